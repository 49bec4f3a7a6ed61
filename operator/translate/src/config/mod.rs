//! IstioConfig: the one model. Istio's own objects join here those that the Gateway API's are translated to; what
//! Istio's API cannot say of the latter are explicit fields beside the object.

mod delegate;
mod delegate_match;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use postern_api::finding::FieldPath;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::virtual_service::{HttpRoute, VirtualService};
use postern_api::meta::{Generation, ObjectKey};

use postern_snapshot::model::{ServerIdentity, TransportProtocol};

use crate::at::At;
use crate::finding::{Findings, Problem, Reason};
use crate::gateway_api::Translation;
use crate::ingress::IngressName;
use crate::plan::OwningGateway;
use crate::world::{World, key_of};

/// The one model of what ingresses serve, oldest objects first.
#[derive(Debug, Default)]
pub(crate) struct IstioConfig {
    pub(crate) gateways: Vec<GatewayConfig>,
    pub(crate) virtual_services: Vec<VirtualServiceConfig>,
    /// The ingresses of single Gateways of the Gateway API.
    pub(crate) own_ingresses: Vec<OwnIngress>,
    /// The Gateway API's BackendTLSPolicies, by the whole names of the Services; the oldest first.
    pub(crate) backend_tls: BTreeMap<String, Vec<BackendTls>>,
}

/// How a Service is spoken to with TLS (BackendTLSPolicy). It goes before a DestinationRule's `tls`.
#[derive(Clone, Debug)]
pub(crate) struct BackendTls {
    /// The policy.
    pub(crate) key: ObjectKey,
    pub(crate) generation: Generation,
    /// The name of the port; `None`: all.
    pub(crate) port: Option<String>,
    /// What the ClientHello names.
    pub(crate) hostname: String,
    /// None: the hostname.
    pub(crate) subject_alt_names: Vec<ServerIdentity>,
    /// `None`: it cannot be carried out, and requests get an error.
    pub(crate) trust: Option<BackendTrust>,
}

/// Whom to trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackendTrust {
    /// The authorities of the proxy's image.
    System,
    /// These, as PEM.
    Ca { name: String, certificates: String },
}

/// The ingress of one Gateway of the Gateway API.
#[derive(Debug)]
pub(crate) struct OwnIngress {
    pub(crate) name: IngressName,
    /// Of its pods.
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) gateway: ObjectKey,
    /// What its objects say of the Gateway.
    pub(crate) object: OwningGateway,
    /// The Secret, by namespace and name, with the certificate that backends are shown where a BackendTLSPolicy asks for
    /// TLS.
    pub(crate) client_certificate: Option<(String, String)>,
}

/// A Gateway and what is meant by it.
#[derive(Clone, Debug)]
pub(crate) struct GatewayConfig {
    pub(crate) key: ObjectKey,
    pub(crate) generation: Generation,
    pub(crate) object: Arc<Gateway>,
    pub(crate) placement: Placement,
    /// Servers were left out on reading, because of errors.
    pub(crate) lost_servers: bool,
    /// The listener of the Gateway API that it was translated from; then it has one server.
    pub(crate) listener: Option<ListenerOrigin>,
}

/// A listener of the Gateway API.
#[derive(Clone, Debug)]
pub(crate) struct ListenerOrigin {
    /// The Gateway or ListenerSet.
    pub(crate) key: ObjectKey,
    pub(crate) generation: Generation,
    /// Its place in `spec.listeners`.
    pub(crate) position: usize,
    pub(crate) name: String,
}

impl GatewayConfig {
    /// Does it ask for an ingress? One without servers does not: the last server that goes takes its ingress down. One whose
    /// servers have errors does: a slip in a field must not cost an ingress its address.
    pub(crate) fn wants_ingress(&self) -> bool {
        self.lost_servers || !self.object.spec.servers.is_empty()
    }

    /// The object of the World that it is of, and its generation.
    pub(crate) fn source(&self) -> (&ObjectKey, Generation) {
        self.listener.as_ref().map_or((&self.key, self.generation), |it| (&it.key, it.generation))
    }
}

/// Which ingresses a Gateway is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// Those whose pods have these labels (`spec.selector`); empty: all.
    Selector(BTreeMap<String, String>),
    /// This one, which is for one Gateway of the Gateway API alone.
    Own(IngressName),
}

/// A VirtualService and what is meant by it.
#[derive(Debug)]
pub(crate) struct VirtualServiceConfig {
    pub(crate) key: ObjectKey,
    /// Its place among all by age, from 0: a cheaper name than its key.
    pub(crate) rank: usize,
    pub(crate) generation: Generation,
    pub(crate) object: Arc<VirtualService>,
    pub(crate) semantics: RouteSemantics,
    /// What its `tcp` rules are of: Istio's API knows TCP only, and rules for UDP of the Gateway API stand there too.
    pub(crate) transport: TransportProtocol,
    http: Vec<HttpRule>,
    /// Where rules of it come from, besides itself.
    pub(crate) delegates: BTreeMap<ObjectKey, Generation>,
    /// The rules of routes of the Gateway API that it was translated from. Empty: it is an object of the World.
    pub(crate) translated: Vec<RuleOrigin>,
}

/// A rule of a route of the Gateway API.
#[derive(Clone, Debug)]
pub(crate) struct RuleOrigin {
    /// The route.
    pub(crate) key: Arc<ObjectKey>,
    pub(crate) generation: Generation,
    /// Its place in `spec.rules`.
    pub(crate) position: usize,
}

impl RuleOrigin {
    /// Calls `then` with the place of the rule.
    pub(crate) fn at<R>(&self, then: impl FnOnce(&At<'_>) -> R) -> R {
        let at = At::object(&self.key);
        let at = at.field("spec");
        let at = at.field("rules");
        then(&at.index(self.position).closed())
    }
}

/// Where an HTTP rule comes from.
#[derive(Debug)]
enum HttpRule {
    /// It is the object's own, at this place.
    Own(usize),
    /// It is at this place, and was translated from what [`VirtualServiceConfig::translated`] has there.
    Translated(usize),
    /// It is a delegate's.
    Delegated(Box<DelegatedRule>),
}

/// A rule of a delegate, filled up with what the rule says that delegates.
#[derive(Debug)]
struct DelegatedRule {
    key: ObjectKey,
    place: usize,
    rule: HttpRoute,
}

/// An HTTP rule and its place, which is also where its short names are looked up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleRef<'a> {
    pub(crate) key: &'a ObjectKey,
    /// In `spec.http` of that object, or in `spec.rules` of a route of the Gateway API.
    pub(crate) place: usize,
    pub(crate) rule: &'a HttpRoute,
    translated: Option<&'a RuleOrigin>,
}

impl RuleRef<'_> {
    /// Calls `then` with the place of the rule.
    pub(crate) fn at<R>(&self, then: impl FnOnce(&At<'_>) -> R) -> R {
        if let Some(origin) = self.translated {
            return origin.at(then);
        }
        let at = At::object(self.key);
        let at = at.field("spec");
        let at = at.field("http");
        then(&at.index(self.place))
    }
}

impl VirtualServiceConfig {
    /// The HTTP rules in order, those of delegates where the rules are that delegate.
    pub(crate) fn rules(&self) -> impl Iterator<Item = RuleRef<'_>> {
        let own = &self.object.spec.http;
        self.http.iter().filter_map(move |rule| {
            Some(match rule {
                HttpRule::Own(place) => {
                    RuleRef { key: &self.key, place: *place, rule: own.get(*place)?, translated: None }
                }
                HttpRule::Translated(place) => {
                    let origin = self.translated.get(*place)?;
                    let rule = own.get(*place)?;
                    RuleRef { key: &origin.key, place: origin.position, rule, translated: Some(origin) }
                }
                HttpRule::Delegated(delegated) => RuleRef {
                    key: &delegated.key,
                    place: delegated.place,
                    rule: &delegated.rule,
                    translated: None,
                },
            })
        })
    }

    /// What was translated from routes of the Gateway API. `rules` are the origins of its rules, in order.
    pub(crate) fn translated(
        object: VirtualService,
        transport: TransportProtocol,
        rules: Vec<RuleOrigin>,
    ) -> Self {
        Self {
            key: key_of(&object),
            rank: 0,
            generation: Generation::default(),
            semantics: RouteSemantics::GATEWAY_API,
            transport,
            http: (0..object.spec.http.len()).map(HttpRule::Translated).collect(),
            object: Arc::new(object),
            delegates: BTreeMap::new(),
            translated: rules,
        }
    }

    /// Is it an object of the World?
    pub(crate) fn is_of_world(&self) -> bool {
        self.translated.is_empty()
    }

    /// The objects of the World that rules of it come from.
    pub(crate) fn sources(&self) -> impl Iterator<Item = (&ObjectKey, Generation)> {
        let own = self.is_of_world().then_some((&self.key, self.generation));
        let routes = self.translated.iter().map(|rule| (rule.key.as_ref(), rule.generation));
        let delegates = self.delegates.iter().map(|(key, generation)| (key, *generation));
        own.into_iter().chain(routes).chain(delegates)
    }

    /// Calls `then` with the object of a rule for connections, and with its place: `list` is `tls` or `tcp`.
    pub(crate) fn at_l4<R>(
        &self,
        list: &str,
        place: usize,
        then: impl FnOnce(&ObjectKey, &At<'_>) -> R,
    ) -> R {
        if let Some(origin) = self.translated.get(place) {
            return origin.at(|at| then(&origin.key, at));
        }
        let at = At::object(&self.key);
        let at = at.field("spec");
        let at = at.field(list);
        then(&self.key, &at.index(place))
    }
}

/// Where the Gateway API means something else than a VirtualService that looks the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteSemantics {
    pub(crate) prefix: PrefixSemantics,
    /// The answer where a destination does not exist.
    pub(crate) missing_destination_status: u16,
    /// The code of a redirect that names none.
    pub(crate) default_redirect_status: u16,
}

/// What a path prefix takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixSemantics {
    /// Every path that starts with the text.
    Text,
    /// Every path that starts with these segments: `/app` takes `/app/x` and not `/apple`.
    Segments,
}

impl RouteSemantics {
    /// Istio's own.
    pub(crate) const ISTIO: Self =
        Self { prefix: PrefixSemantics::Text, missing_destination_status: 503, default_redirect_status: 301 };

    /// The Gateway API's.
    pub(crate) const GATEWAY_API: Self = Self {
        prefix: PrefixSemantics::Segments,
        missing_destination_status: 500,
        default_redirect_status: 302,
    };
}

fn gateway_config(object: &Arc<Gateway>, world: &World) -> GatewayConfig {
    let key = key_of(object.as_ref());
    let servers = FieldPath::spec().field("servers");
    GatewayConfig {
        generation: Generation::of(object.as_ref()),
        placement: Placement::Selector(object.spec.selector.clone()),
        lost_servers: world
            .read
            .get(&key)
            .is_some_and(|report| report.dropped.paths().any(|path| path.is_within(&servers))),
        object: Arc::clone(object),
        listener: None,
        key,
    }
}

/// World → IstioConfig. What was translated from the Gateway API joins here.
pub(crate) fn istio_config(world: &World, translation: Translation, findings: &mut Findings) -> IstioConfig {
    let Translation { gateways: own, virtual_services: routes, ingresses, backend_tls, translated: _ } =
        translation;
    let mut gateways: Vec<_> =
        world.gateways.iter().map(|object| gateway_config(object, world)).chain(own).collect();
    gateways.sort_by(|a, b| by_age(&a.object.metadata, &a.key, &b.object.metadata, &b.key));
    let mut virtual_services: Vec<_> =
        world.virtual_services.iter().map(|object| virtual_service_config(object, world, findings)).collect();
    virtual_services.extend(routes);
    virtual_services.sort_by(|a, b| by_age(&a.object.metadata, &a.key, &b.object.metadata, &b.key));
    for (rank, virtual_service) in virtual_services.iter_mut().enumerate() {
        virtual_service.rank = rank;
    }
    report_idle_delegates(&virtual_services, findings);
    IstioConfig { gateways, virtual_services, own_ingresses: ingresses, backend_tls }
}

fn virtual_service_config(
    object: &Arc<VirtualService>,
    world: &World,
    findings: &mut Findings,
) -> VirtualServiceConfig {
    let mut config = VirtualServiceConfig {
        key: key_of(object.as_ref()),
        rank: 0,
        generation: Generation::of(object.as_ref()),
        object: Arc::clone(object),
        semantics: RouteSemantics::ISTIO,
        transport: TransportProtocol::Tcp,
        http: Vec::with_capacity(object.spec.http.len()),
        delegates: BTreeMap::new(),
        translated: Vec::new(),
    };
    // Only what is no delegate itself delegates.
    let is_root = !object.spec.hosts.is_empty();
    for (place, rule) in object.spec.http.iter().enumerate() {
        match &rule.delegate {
            Some(to) if is_root => config.delegate(rule, place, to, world, findings),
            _ => config.http.push(HttpRule::Own(place)),
        }
    }
    config
}

/// Without hosts a VirtualService serves only as a delegate.
fn report_idle_delegates(virtual_services: &[VirtualServiceConfig], findings: &mut Findings) {
    let used = |key: &ObjectKey| virtual_services.iter().any(|root| root.delegates.contains_key(key));
    for delegate in virtual_services.iter().filter(|config| config.object.spec.hosts.is_empty()) {
        if !used(&delegate.key) {
            let message =
                "it has no hosts, and no other VirtualService delegates to it, so nothing is served of it";
            findings.warn(&At::object(&delegate.key), Problem::programmed(Reason::NoRoutes, message));
        }
    }
}

/// Istio's order: the oldest first; of the same age by name, then by namespace. Objects from files have no age.
pub(crate) fn by_age(a: &ObjectMeta, a_key: &ObjectKey, b: &ObjectMeta, b_key: &ObjectKey) -> Ordering {
    fn created(metadata: &ObjectMeta) -> Option<&Time> {
        metadata.creation_timestamp.as_ref()
    }
    created(a)
        .cmp(&created(b))
        .then_with(|| a_key.name.cmp(&b_key.name))
        .then_with(|| a_key.namespace.cmp(&b_key.namespace))
}
