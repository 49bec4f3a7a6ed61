//! The objects of Istio that objects of the Gateway API mean, for other readers of Istio's API.
//!
//! Postern's own model has fields beside these objects ([`crate::config`]). What they say is written into the objects here
//! as far as Istio's API can say it; the rest is told in notes, never left out in silence.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::istio::destination_rule::{
    ClientTlsMode, ClientTlsSettings, DestinationRule, DestinationRuleSpec, PortTrafficPolicy, TrafficPolicy,
};
use postern_api::istio::gateway::TlsMode;
use postern_api::istio::virtual_service::{
    Destination, HttpDirectResponse, HttpRoute, PortSelector, StringMatch,
};
use postern_api::value::{HostPattern, Port, Protocol};
use postern_snapshot::model::{ServerIdentity, TransportProtocol};

use super::istio_object::IstioObject;
use super::istio_pods::Readers;
use super::refused_backend::{REFUSED_BACKEND, refused_backends};
use super::{Translation, istio_losses, translate};
use crate::config::{BackendTls, BackendTrust, GatewayConfig, RouteSemantics, VirtualServiceConfig};
use crate::finding::Findings;
use crate::names::complete;
use crate::options::Options;
use crate::world::{World, key_of, namespace_of};

/// The annotation that names the objects of the Gateway API that an object was translated from.
pub const TRANSLATED_FROM: &str = "postern.dev/translated-from";

/// So many certificates may a server of Istio's have.
const MOST_CREDENTIALS: usize = 2;

/// An object, and what is different from what the Gateway API means.
#[derive(Clone, Debug, PartialEq)]
pub struct Translated {
    /// The object. `None`: Istio's API has nothing for what is meant, as a note says.
    pub object: Option<IstioObject>,
    /// What it was translated from, if there is no object to say so.
    left_out: String,
    /// What Istio's API cannot say.
    pub notes: Vec<String>,
}

impl Translated {
    pub(super) fn object(object: IstioObject, notes: Vec<String>) -> Self {
        Self { object: Some(object), left_out: String::new(), notes }
    }

    fn udp(left_out: String) -> Self {
        Self { object: None, left_out, notes: vec!["left out, because Istio's API has no UDP".to_owned()] }
    }

    /// What it was translated from.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.object.as_ref().map_or(&self.left_out, IstioObject::origin)
    }

    /// What is to be written above the object, or in its place.
    pub fn comments(&self) -> impl Iterator<Item = String> {
        let place = if self.left_out.is_empty() { String::new() } else { format!("{}: ", self.left_out) };
        self.notes.iter().map(move |note| format!("# {place}{note}"))
    }
}

/// The objects of Istio that the Gateway API's objects of a World mean, in an order that depends on nothing else.
#[must_use]
pub fn istio_objects(world: &World, options: &Options) -> Vec<Translated> {
    let (translation, _) = translate(world, options, &mut Findings::default());
    let Translation { gateways, virtual_services, ingresses, backend_tls, translated } = translation;
    let client_certificates = ingresses.iter().any(|ingress| ingress.client_certificate.is_some());
    let mut objects = Vec::new();
    for config in &gateways {
        let all: Vec<_> = gateways.iter().filter(|other| other.placement == config.placement).collect();
        let lost = istio_losses::of_gateway(config, &all, world);
        let mut translated = gateway(config.clone(), &Readers::Unknown);
        translated.notes.extend(lost);
        objects.push(translated);
    }
    let is_gateway = |it: &Translated| matches!(it.object, Some(IstioObject::Gateway(_)));
    let (others_gateways, others): (Vec<_>, Vec<_>) = translated.for_anybody().partition(is_gateway);
    objects.extend(others_gateways);
    let mut virtual_services: Vec<_> = virtual_services.into_iter().map(virtual_service).collect();
    // What has no object is told once, however many there would be.
    virtual_services.dedup_by(|a, b| a.object.is_none() && a == b);
    objects.extend(virtual_services.into_iter().chain(others));
    let entries = refused_backends(&objects);
    let rules = backend_tls
        .iter()
        .map(|(host, policies)| destination_rule(host, policies, client_certificates, world, options));
    objects.extend(rules);
    objects.extend(entries);
    objects
}

pub(super) fn gateway(config: GatewayConfig, readers: &Readers<'_>) -> Translated {
    let origin = config.listener.as_ref().map(|it| format!("{} listener {}", it.key, it.name));
    if config.object.spec.servers.iter().any(|server| server.port.protocol == Protocol::Udp) {
        return Translated::udp(origin.unwrap_or_default());
    }
    let mut object = Arc::unwrap_or_clone(config.object);
    annotate(&mut object.metadata, origin.unwrap_or_default());
    let mut notes = Vec::new();
    let own = format!("kubernetes-gateway://{}/", object.metadata.namespace.as_deref().unwrap_or_default());
    for tls in object.spec.servers.iter_mut().filter_map(|server| server.tls.as_mut()) {
        if tls.mode() != TlsMode::Passthrough && tls.credentials().next().is_none() {
            let missing = "no-valid-certificate";
            tls.credential_name = Some(missing.to_owned());
            notes.push(format!("{missing}: none of its certificates can be used, so no handshake succeeds"));
        }
        if tls.credential_names.len() > MOST_CREDENTIALS {
            tls.credential_names.truncate(MOST_CREDENTIALS);
            notes.push(format!(
                "Istio takes {MOST_CREDENTIALS} certificates at most; the others are left out"
            ));
        }
        let names = tls.credential_name.iter_mut().chain(&mut tls.credential_names);
        for name in names.chain(&mut tls.ca_cert_credential_name) {
            let Some((_, place)) = name.split_once("://") else { continue };
            let (namespace, secret) = place.split_once('/').unwrap_or_default();
            let found = readers.find(name.starts_with(&own), namespace, secret);
            if let Some(short) = name.strip_prefix(&own) {
                *name = short.to_owned();
            }
            if !found {
                let place = readers.place();
                notes.push(format!(
                    "{name}: Istio reads credentials in the namespace of the ingress's pods{place}"
                ));
            }
        }
    }
    Translated::object(IstioObject::Gateway(Box::new(object)), notes)
}

pub(super) fn virtual_service(config: VirtualServiceConfig) -> Translated {
    let origins: BTreeSet<String> = config.translated.iter().map(|rule| rule.key.to_string()).collect();
    let origins = origins.into_iter().collect::<Vec<_>>().join(", ");
    if config.transport == TransportProtocol::Udp {
        return Translated::udp(origins);
    }
    let mut object = Arc::unwrap_or_clone(config.object);
    annotate(&mut object.metadata, origins);
    let mut notes = BTreeSet::new();
    let rules = std::mem::take(&mut object.spec.http);
    object.spec.http = rules.into_iter().flat_map(plain_rules).collect();
    for rule in &mut object.spec.http {
        if rule.route.iter().all(|it| it.destination.host.is_empty() || it.weight == 0)
            && !rule.route.is_empty()
        {
            let answer = Some(HttpDirectResponse { status: 500, body: None });
            let (name, match_) = (rule.name.take(), std::mem::take(&mut rule.match_));
            *rule = HttpRoute { name, match_, direct_response: answer, ..HttpRoute::default() };
        }
        let refused = rule.route.iter_mut().map(|it| &mut it.destination).filter(|it| it.host.is_empty());
        replace_refused(refused, &mut notes);
        if let Some(redirect) = &mut rule.redirect {
            redirect.code = redirect.code.or(Some(RouteSemantics::GATEWAY_API.default_redirect_status));
        }
    }
    let l4 = object.spec.tls.iter_mut().flat_map(|rule| &mut rule.route);
    let l4 = l4.chain(object.spec.tcp.iter_mut().flat_map(|rule| &mut rule.route));
    replace_refused(l4.map(|it| &mut it.destination).filter(|it| it.host.is_empty()), &mut notes);
    let notes = notes.into_iter().collect();
    Translated::object(IstioObject::VirtualService(Box::new(object)), notes)
}

fn replace_refused<'d>(
    destinations: impl Iterator<Item = &'d mut Destination>,
    notes: &mut BTreeSet<String>,
) {
    for destination in destinations {
        REFUSED_BACKEND.clone_into(&mut destination.host);
        notes.insert(format!(
            "{REFUSED_BACKEND} is a backend that cannot be used: Istio answers 503 there, the Gateway API 500"
        ));
    }
}

/// A rule with Istio's prefixes, which are of text: `/app` of the Gateway API is `/app`, and all that begins with `/app/`.
/// What replaces a prefix ends with a slash then too, so such a rule is two.
fn plain_rules(rule: HttpRoute) -> Vec<HttpRoute> {
    let replaces = rule.rewrite.as_ref().is_some_and(|rewrite| rewrite.uri.is_some())
        || rule.redirect.as_ref().is_some_and(|redirect| redirect.prefix_rewrite.is_some());
    let (mut whole, mut below) = (Vec::new(), Vec::new());
    for request in &rule.match_ {
        let Some(StringMatch::Prefix(prefix)) = &request.uri else {
            whole.push(request.clone());
            continue;
        };
        let prefix = prefix.trim_end_matches('/');
        let mut exact = request.clone();
        let mut rest = request.clone();
        exact.uri = Some(StringMatch::Exact(prefix.to_owned()));
        rest.uri = Some(StringMatch::Prefix(format!("{prefix}/")));
        if !prefix.is_empty() {
            whole.push(exact);
        }
        if replaces { below.push(rest) } else { whole.push(rest) }
    }
    let mut rules = Vec::new();
    if !below.is_empty() {
        let mut under = HttpRoute { match_: below, ..rule.clone() };
        let texts = under.rewrite.iter_mut().filter_map(|rewrite| rewrite.uri.as_mut());
        let texts = texts.chain(under.redirect.iter_mut().filter_map(|it| it.prefix_rewrite.as_mut()));
        for text in texts.filter(|text| !text.ends_with('/')) {
            text.push('/');
        }
        rules.push(under);
    }
    if !whole.is_empty() {
        let mut whole = HttpRoute { match_: whole, ..rule };
        // The prefix is the whole path there.
        if let Some(redirect) = &mut whole.redirect
            && let Some(path) = redirect.prefix_rewrite.take()
        {
            redirect.uri = Some(if path.is_empty() { "/".to_owned() } else { path });
        }
        rules.insert(0, whole);
    }
    rules
}

pub(super) fn destination_rule(
    host: &str,
    policies: &[BackendTls],
    client_certificates: bool,
    world: &World,
    options: &Options,
) -> Translated {
    let (name, namespace) = host.split_once('.').unwrap_or((host, ""));
    let namespace = namespace.split('.').next().unwrap_or_default();
    let mut notes = Vec::new();
    let mut policy = TrafficPolicy::default();
    let service = world.services.get(namespace, name);
    let mut taken = BTreeSet::new();
    let own = world.destination_rules.iter().find(|rule| {
        let namespace = namespace_of(&rule.metadata);
        complete(&rule.spec.host.to_string(), &namespace, &options.cluster_domain) == host
    });
    if let Some(rule) = own {
        notes.push(format!(
            "{} is about this Service too: Istio takes its TLS settings only from one of them",
            key_of(rule.as_ref())
        ));
    }
    for settings in policies {
        let tls = client_tls(settings, namespace, client_certificates, &mut notes);
        match &settings.port {
            None => {
                policy.tls.get_or_insert(tls);
            }
            Some(port) => {
                let number = service.and_then(|service| port_number(service, port));
                if let Some(number) = number.filter(|number| taken.insert(*number)) {
                    let port = Some(PortSelector { number: Some(number) });
                    let level = PortTrafficPolicy { port, tls: Some(tls), ..PortTrafficPolicy::default() };
                    policy.port_level_settings.push(level);
                }
            }
        }
    }
    let mut metadata = ObjectMeta {
        name: Some(super::names::destination_rule(name)),
        namespace: Some(namespace.to_owned()),
        ..ObjectMeta::default()
    };
    let origins: BTreeSet<String> = policies.iter().map(|policy| policy.key.to_string()).collect();
    annotate(&mut metadata, origins.into_iter().collect::<Vec<_>>().join(", "));
    let spec = DestinationRuleSpec {
        host: HostPattern::Exact(complete(host, namespace, &options.cluster_domain)),
        traffic_policy: Some(policy),
        subsets: Vec::new(),
        export_to: Vec::new(),
        workload_selector: None,
    };
    let object = DestinationRule { metadata, spec, status: None };
    Translated::object(IstioObject::DestinationRule(Box::new(object)), notes)
}

fn client_tls(
    settings: &BackendTls,
    namespace: &str,
    client_certificates: bool,
    notes: &mut Vec<String>,
) -> ClientTlsSettings {
    let names = settings.subject_alt_names.iter().map(|name| match name {
        ServerIdentity::Dns(name) | ServerIdentity::Uri(name) => name.clone(),
    });
    let mut tls = ClientTlsSettings {
        mode: Some(ClientTlsMode::Simple),
        sni: Some(settings.hostname.clone()),
        subject_alt_names: names.collect(),
        ..ClientTlsSettings::default()
    };
    if client_certificates {
        notes.push("the certificate that the Gateway shows to backends is left out".to_owned());
    }
    match &settings.trust {
        Some(BackendTrust::System) => tls.ca_certificates = Some("system".to_owned()),
        Some(BackendTrust::Ca { name, .. }) => {
            let name = name.rsplit('/').next().unwrap_or_default();
            let credential = format!("configmap://{namespace}/{name}");
            notes.push(format!(
                "{credential}: Istio reads credentials in the namespace of the ingress's pods"
            ));
            tls.credential_name = Some(credential);
        }
        None => {
            let missing = format!("configmap://{namespace}/no-valid-ca-certificate");
            notes.push(format!("{} cannot be carried out, so no connection is made", settings.key));
            tls.credential_name = Some(missing);
        }
    }
    tls
}

fn port_number(service: &Service, name: &str) -> Option<Port> {
    let ports = service.spec.as_ref()?.ports.as_deref()?;
    let port = ports.iter().find(|port| port.name.as_deref() == Some(name))?;
    u16::try_from(port.port).ok().and_then(Port::new)
}

pub(super) fn annotate(metadata: &mut ObjectMeta, origin: String) {
    metadata.annotations = Some(BTreeMap::from([(TRANSLATED_FROM.to_owned(), origin)]));
    // Age decides nothing any more: the rules are sorted.
    metadata.creation_timestamp = None;
}
