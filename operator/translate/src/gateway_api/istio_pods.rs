//! The pods that serve the Gateways of a translating class, as far as Services tell of them.

use std::collections::{BTreeMap, BTreeSet};

use postern_api::meta::ObjectKey;

use super::gateways::GatewayEntry;
use crate::children::is_managed;
use crate::ingress::is_subset;
use crate::world::{World, key_of};

/// The pods with some labels, and the Services in front of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IstioPods {
    /// Their labels, or some of them.
    pub selector: BTreeMap<String, String>,
    /// The Services all of whose pods have these labels, by name.
    pub services: Vec<PodsService>,
}

/// A Service in front of such pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodsService {
    /// Which.
    pub key: ObjectKey,
    /// Is it of type LoadBalancer?
    pub load_balancer: bool,
    /// Its addresses within the cluster.
    pub cluster_ips: Vec<String>,
    /// Its ports.
    pub ports: BTreeSet<u16>,
}

impl IstioPods {
    pub(super) fn of(gateway: &GatewayEntry<'_>, world: &World) -> Self {
        let mut services = Vec::new();
        let Some(selector) = gateway.selector() else { return Self::default() };
        for service in world.services.iter().filter(|service| !is_managed(&service.metadata)) {
            let Some(spec) = &service.spec else { continue };
            let Some(labels) = &spec.selector else { continue };
            // Labels that a Service asks for are labels of all of its pods.
            if !is_subset(&selector, labels) {
                continue;
            }
            let ips = spec.cluster_ips.iter().flatten().filter(|ip| *ip != "None");
            let ports = spec.ports.iter().flatten().filter_map(|port| u16::try_from(port.port).ok());
            services.push(PodsService {
                key: key_of(service.as_ref()),
                load_balancer: spec.type_.as_deref() == Some("LoadBalancer"),
                cluster_ips: ips.cloned().collect(),
                ports: ports.collect(),
            });
        }
        Self { selector, services }
    }

    /// Where they are.
    pub(super) fn namespaces(&self) -> BTreeSet<String> {
        self.services.iter().map(|service| service.key.namespace.clone()).collect()
    }

    /// The labels, as `kubectl` takes them.
    #[must_use]
    pub fn labels(&self) -> String {
        self.selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
    }

    /// The addresses: those that load balancers gave (`assigned`, by Service), or, without a Service of that type, those
    /// within the cluster.
    #[must_use]
    pub fn addresses<'a>(&'a self, assigned: &'a BTreeMap<ObjectKey, Vec<String>>) -> Vec<&'a String> {
        let balancers = || self.services.iter().filter(|service| service.load_balancer);
        if balancers().next().is_none() {
            return self.services.iter().flat_map(|service| &service.cluster_ips).collect();
        }
        balancers().filter_map(|service| assigned.get(&service.key)).flatten().collect()
    }
}

/// Who reads the credentials of a Gateway.
pub(super) enum Readers<'a> {
    /// Pods that nobody knows yet.
    Unknown,
    /// Pods of these namespaces. There may be copies of Secrets there.
    Namespaces(&'a BTreeSet<String>, &'a World),
}

impl Readers<'_> {
    /// Is the credential of this name, in a Gateway of `own`, the one that is meant? It is one of `namespace`.
    pub(super) fn find(&self, own: bool, namespace: &str, name: &str) -> bool {
        match self {
            Self::Unknown => own,
            Self::Namespaces(namespaces, world) => {
                let copied = |reader: &String| own && same_secret(world, namespace, reader, name);
                namespaces.iter().all(|reader| reader == namespace || copied(reader))
            }
        }
    }

    /// Where they are, as the end of a sentence.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Namespaces(namespaces, _) if !namespaces.is_empty() => {
                format!(", {}", namespaces.iter().cloned().collect::<Vec<_>>().join(" and "))
            }
            _ => String::new(),
        }
    }
}

fn same_secret(world: &World, a: &str, b: &str, name: &str) -> bool {
    let secret = |namespace| world.secrets.get(namespace, name).map(|it| (&it.data, &it.string_data));
    secret(a).is_some_and(|it| secret(b) == Some(it))
}
