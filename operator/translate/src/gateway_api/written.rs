//! The objects of Istio that are written into the cluster for the Gateways of translating classes.
//!
//! Everything of a Gateway is in the namespace of what it was translated from: Istio Gateways beside their Gateway or
//! ListenerSet, VirtualServices beside their oldest route, DestinationRules beside their Service. What is in the namespace
//! of its Gateway is owned by it. Labels say what Postern wrote ([`super::in_cluster`]); by them it is cleaned up.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::Resource as _;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use postern_api::gateway_api::gateway::Gateway;
use postern_api::meta::ObjectKey;

use super::Context;
use super::attach::{self, Attachments};
use super::backend_tls::Policies;
use super::gateways::{GatewayEntry, Gateways};
use super::in_cluster;
use super::istio_losses;
use super::istio_object::IstioObject;
use super::istio_objects::{Translated, destination_rule, gateway, virtual_service};
use super::istio_pods::{IstioPods, Readers};
use super::mode::Mode;
use super::refused_backend::{refused_backend, uses_refused};
use super::routes::Rules;
use crate::at::At;
use crate::config::{GatewayConfig, VirtualServiceConfig};
use crate::finding::{Findings, Problem, Reason};

/// What is to be in the cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TranslatedObjects {
    /// By the keys of the objects.
    pub objects: BTreeMap<ObjectKey, WrittenObject>,
    /// Gateways that cannot be translated as they are now: what is there of them stays as it is.
    pub held: BTreeSet<ObjectKey>,
}

/// An object of Istio, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct WrittenObject {
    /// The object, with its labels and owners.
    pub object: IstioObject,
    /// The Gateways that need it.
    pub gateways: BTreeSet<ObjectKey>,
    /// What Istio's API cannot say.
    notes: Vec<String>,
}

impl TranslatedObjects {
    /// The objects of one Gateway.
    pub fn of<'a>(
        &'a self,
        gateway: &'a ObjectKey,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a WrittenObject)> {
        self.objects.iter().filter(move |(_, object)| object.gateways.contains(gateway))
    }

    /// The Gateways and VirtualServices as anybody may apply them: not as objects of Postern's.
    pub(super) fn for_anybody(self) -> impl Iterator<Item = Translated> {
        let objects = self.objects.into_values();
        let routing = objects.filter(|it| !in_cluster::is_shared(it.object.key().kind));
        routing.map(|WrittenObject { mut object, notes, .. }| {
            let metadata = object.metadata_mut();
            metadata.labels = None;
            metadata.owner_references = None;
            Translated::object(object, notes)
        })
    }
}

/// What the objects are made from.
pub(super) struct Sources<'s, 'a> {
    pub(super) context: Context<'a>,
    pub(super) gateways: &'s Gateways<'a>,
    pub(super) rules: &'s [Rules],
    pub(super) attachments: &'s Attachments,
    pub(super) policies: &'s Policies<'a>,
}

impl Sources<'_, '_> {
    /// The objects. What Istio's API cannot say is told of those that asked for it.
    pub(super) fn objects(
        &self,
        gateways: &[(usize, GatewayConfig)],
        virtual_services: Vec<(usize, VirtualServiceConfig)>,
        findings: &mut Findings,
    ) -> TranslatedObjects {
        let mut written = TranslatedObjects { held: self.held(), ..TranslatedObjects::default() };
        let entry = |place: usize| self.gateways.entries.get(place).filter(|entry| entry.verdict().is_ok());
        for (place, config) in gateways {
            let Some(entry) = entry(*place) else { continue };
            let own = gateways.iter().filter(|(other, _)| other == place).map(|(_, config)| config);
            let lost = istio_losses::of_gateway(config, &own.collect::<Vec<_>>(), self.context.world);
            let pods = IstioPods::of(entry, self.context.world);
            let origin = config.listener.clone();
            let port = config.object.spec.servers.first().map(|server| server.port.number);
            let readers = Readers::Namespaces(&pods.namespaces(), self.context.world);
            let mut translated = gateway(config.clone(), &readers);
            translated.notes.extend(port.and_then(|port| missing_port(&pods, port)));
            if let Some(origin) = origin {
                let at = At::object(&origin.key);
                let at = at.field("spec");
                let at = at.field("listeners");
                let at = at.index(origin.position);
                tell(&translated.notes, &at, findings);
                for loss in &lost {
                    findings.info(&at, Problem::programmed(Reason::UnsupportedValue, loss));
                }
            }
            translated.notes.extend(lost);
            written.add(translated, &[entry]);
        }
        for (place, config) in virtual_services {
            let Some(entry) = entry(place) else { continue };
            let routes: BTreeSet<_> = config.translated.iter().map(|rule| rule.key.clone()).collect();
            let translated = virtual_service(config);
            for route in routes {
                tell(&translated.notes, &At::object(&route), findings);
            }
            written.add(translated, &[entry]);
        }
        self.add_destination_rules(&mut written, findings);
        self.add_refused_backends(&mut written);
        written
    }

    /// One for each Service of a policy that a translated Gateway sends requests to.
    fn add_destination_rules(&self, written: &mut TranslatedObjects, findings: &mut Findings) {
        let users = attach::users(self.attachments, self.rules);
        for (host, policies) in self.policies.settings() {
            let places = users.get(host.as_str()).into_iter().flatten();
            let places = places.filter(|place| self.gateways.is_translated(**place));
            let entries = places.filter_map(|place| self.gateways.entries.get(*place));
            let entries: Vec<_> = entries.filter(|entry| entry.verdict().is_ok()).collect();
            if entries.is_empty() {
                continue;
            }
            let certificates = entries.iter().any(|it| matches!(it.backend_certificate, Ok(Some(_))));
            let Context { world, options, .. } = self.context;
            let translated = destination_rule(&host, &policies, certificates, world, options);
            for policy in &policies {
                tell(&translated.notes, &At::object(&policy.key), findings);
            }
            written.add(translated, &entries);
        }
    }

    /// One for each namespace that needs it.
    fn add_refused_backends(&self, written: &mut TranslatedObjects) {
        let mut namespaces: BTreeMap<String, (BTreeSet<String>, BTreeSet<ObjectKey>)> = BTreeMap::new();
        for (key, WrittenObject { object, gateways, .. }) in &written.objects {
            if uses_refused(object) {
                let (origins, users) = namespaces.entry(key.namespace.clone()).or_default();
                origins.insert(object.origin().to_owned());
                users.extend(gateways.iter().cloned());
            }
        }
        for (namespace, (origins, users)) in namespaces {
            let entries: Vec<_> =
                self.gateways.entries.iter().filter(|entry| users.contains(&entry.key)).collect();
            written.add(refused_backend(namespace, origins), &entries);
        }
    }

    /// Traffic does not end because a ConfigMap is missing for a moment.
    fn held(&self) -> BTreeSet<ObjectKey> {
        let translated = self.gateways.entries.iter().filter(|entry| entry.mode == Mode::Translating);
        translated.filter(|entry| entry.verdict().is_err()).map(|entry| entry.key.clone()).collect()
    }
}

impl TranslatedObjects {
    fn add(&mut self, translated: Translated, gateways: &[&GatewayEntry<'_>]) {
        // What has no object is refused: see `Listener::check_translated`.
        let Translated { object: Some(mut object), notes, .. } = translated else { return };
        let key = object.key();
        let metadata = object.metadata_mut();
        metadata.labels = Some(match gateways {
            [one] if !in_cluster::is_shared(key.kind) => in_cluster::labels_of(&one.key),
            _ => in_cluster::labels(),
        });
        metadata.owner_references = owners(&key.namespace, gateways);
        let gateways = gateways.iter().map(|entry| entry.key.clone()).collect();
        self.objects.insert(key, WrittenObject { object, gateways, notes });
    }
}

/// Owners are in the namespace of what they own. One that is shared with another namespace has none: it must not go with
/// the last of this one.
fn owners(namespace: &str, gateways: &[&GatewayEntry<'_>]) -> Option<Vec<OwnerReference>> {
    gateways
        .iter()
        .map(|entry| {
            let uid = entry.object.metadata.uid.clone()?;
            (entry.key.namespace == namespace).then(|| OwnerReference {
                api_version: Gateway::API_VERSION.to_owned(),
                kind: Gateway::KIND.to_owned(),
                name: entry.key.name.clone(),
                uid,
                controller: None,
                block_owner_deletion: None,
            })
        })
        .collect()
}

fn missing_port(pods: &IstioPods, port: u16) -> Option<String> {
    let lacking = !pods.services.is_empty() && pods.services.iter().all(|it| !it.ports.contains(&port));
    let names = pods.services.iter().map(|service| service.key.to_string()).collect::<Vec<_>>().join(", ");
    lacking.then(|| format!("nobody reaches port {port} by {names}: add it there"))
}

fn tell(notes: &[String], at: &At<'_>, findings: &mut Findings) {
    for note in notes {
        findings.warn(at, Problem::programmed(Reason::UnsupportedValue, note));
    }
}
