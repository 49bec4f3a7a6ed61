//! The Plan of one ingress: what its proxies get, and what its Service needs.

use std::collections::{BTreeMap, BTreeSet};

use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::Port;
use postern_snapshot::model::{Endpoints, HttpsRedirect, Routes, Snapshot, TransportProtocol};

use crate::children::parameters::IngressParameters;
use crate::config::BackendTls;
use crate::destination::{Client, EntryIndex, Resolver, RuleIndex};
use crate::envoy_filter::{EnvoyFilters, PatchId};
use crate::finding::Findings;
use crate::gateway::kind::{Family, ServerKind};
use crate::gateway::listeners::ListenerBuilder;
use crate::gateway::merge::{MergedListener, merge};
use crate::gateway::tls::{Credentials, TlsBuilder};
use crate::ingress::{Ingress, IngressName};
use crate::names::source;
use crate::options::{ClientPorts, Options};
use crate::virtual_service::attach::Attachments;
use crate::world::World;

/// What one ingress is to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Which ingress.
    pub ingress: IngressName,
    /// The Gateway of the Gateway API whose own ingress it is. `None`: it is one of Istio Gateways.
    pub gateway: Option<OwningGateway>,
    /// The labels of its pods, which selectors of Gateways, EnvoyFilters and its own Service look for.
    pub labels: BTreeMap<String, String>,
    /// The ports of its Service, by number, TCP before UDP. Also those where nothing can be served at the moment.
    pub ports: Vec<IngressPort>,
    /// The objects, and which generations of them, of which the snapshot holds something. A proxy that has applied it
    /// serves them.
    pub programmed: BTreeMap<ObjectKey, Generation>,
    /// The Gateways that each listener of the snapshot is of, by its name: the ones to tell when it cannot be bound.
    pub listeners: BTreeMap<String, BTreeSet<ObjectKey>>,
    /// What its proxies load.
    pub snapshot: Snapshot,
}

/// The Gateway of the Gateway API that an ingress is for alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OwningGateway {
    /// Its name; its namespace is that of the ingress.
    pub name: String,
    /// `metadata.uid`. `None` if it was read from a file.
    pub uid: Option<String>,
    /// What all objects of the ingress carry: its `infrastructure.labels`, and the names of Gateway and class.
    pub labels: BTreeMap<String, String>,
    /// Its `infrastructure.annotations`.
    pub annotations: BTreeMap<String, String>,
    /// The first IP address that it asks for: a Service can ask for one only.
    pub address: Option<String>,
    /// What its `parametersRef` and that of its class say. `None`: it cannot be used.
    pub parameters: Option<IngressParameters>,
}

/// A port of an ingress's Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct IngressPort {
    /// The port of the Service: `port.number` of the servers.
    pub port: Port,
    /// Of which protocol: each has ports of its own.
    pub protocol: TransportProtocol,
    /// What the proxy binds.
    pub target_port: Port,
    /// A name, unique in the Service: `https-443`.
    pub name: String,
    /// What is spoken, as `appProtocol` has it: `http`, `https`, `tls`, `tcp` or `udp`.
    pub app_protocol: &'static str,
}

/// What the planning of all ingresses shares.
pub(crate) struct Planner<'a> {
    pub(crate) world: &'a World,
    pub(crate) options: &'a Options,
    pub(crate) entries: &'a EntryIndex<'a>,
    pub(crate) rules: &'a RuleIndex<'a>,
    pub(crate) attachments: &'a Attachments<'a>,
    pub(crate) backend_tls: &'a BTreeMap<String, Vec<BackendTls>>,
    pub(crate) envoy_filters: &'a EnvoyFilters<'a>,
}

/// A Plan, and what of the World went into it.
pub(crate) struct Planned {
    pub(crate) plan: Plan,
    /// The hosts of the services that it needs.
    pub(crate) hosts: BTreeSet<String>,
    /// The ranks of the VirtualServices of which something is in it.
    pub(crate) served: BTreeSet<usize>,
    /// The patches of EnvoyFilters that matched something of it.
    pub(crate) matched: BTreeSet<PatchId>,
}

impl<'a> Planner<'a> {
    /// The Plan of an ingress.
    pub(crate) fn plan(&self, ingress: &Ingress<'a>, findings: &mut Findings) -> Planned {
        let merged = merge(ingress, self.options, findings);
        let client = Client { namespace: &ingress.name.namespace, labels: &ingress.labels };
        let mut builder = ListenerBuilder {
            ingress,
            options: self.options,
            attachments: self.attachments,
            https_redirect: https_redirect(&merged, self.options),
            tls: TlsBuilder::new(self.world, &ingress.name.namespace, Credentials::of(ingress)),
            resolver: Resolver::new(self.world, self.entries, self.rules, client, self.options)
                .with_backend_tls(self.backend_tls, ingress.owner),
            findings,
            route_tables: BTreeMap::new(),
            served: BTreeMap::new(),
            served_routes: BTreeMap::new(),
        };
        let mut listeners = Vec::new();
        let mut gateways: BTreeMap<String, BTreeSet<ObjectKey>> = BTreeMap::new();
        for merged in &merged {
            let Some(listener) = builder.listener(merged) else { continue };
            let keys = merged.servers.iter().map(|(server, _)| server.gateway.source().0.clone());
            gateways.entry(listener.name.clone()).or_default().extend(keys);
            listeners.push(listener);
        }
        let ListenerBuilder {
            tls,
            resolver,
            findings,
            route_tables,
            served: mut programmed,
            served_routes,
            ..
        } = builder;
        let served = served_routes.keys().copied().collect();
        for virtual_service in served_routes.into_values() {
            programmed.extend(virtual_service.sources().map(|(key, generation)| (key.clone(), generation)));
        }
        programmed.extend(resolver.used);
        let (certificates, keys) = tls.finish(resolver.tls, &listeners, resolver.clusters.values());
        let mut routes = Routes { listeners, route_tables, clusters: resolver.clusters };
        let applied = self.envoy_filters.apply(ingress, self.options, &merged, &mut routes, findings);
        programmed.extend(applied.programmed);
        let snapshot = Snapshot {
            ingress: ingress.name.to_string(),
            sources: programmed.iter().map(|(key, generation)| source(key, *generation)).collect(),
            routes,
            endpoints: Endpoints(resolver.endpoints),
            certificates,
            keys,
        };
        let plan = Plan {
            ingress: ingress.name.clone(),
            gateway: ingress.owner.map(|own| own.object.clone()),
            labels: ingress.labels.clone(),
            ports: ports(&merged),
            programmed,
            listeners: gateways,
            snapshot,
        };
        Planned { plan, hosts: resolver.hosts, served, matched: applied.matched }
    }
}

/// Where `httpsRedirect` leads to. In a cluster no port is named (Istio); without a Service in front, the proxy's port
/// for 443, or else its first one for HTTPS.
fn https_redirect(merged: &[MergedListener<'_>], options: &Options) -> HttpsRedirect {
    if options.client_ports == ClientPorts::Service {
        return HttpsRedirect::default();
    }
    let is_https = |listener: &&MergedListener<'_>| {
        listener.servers.iter().any(|(_, kind)| matches!(kind, ServerKind::TerminateHttp(_)))
    };
    let https = merged.iter().filter(is_https);
    let port = https.min_by_key(|listener| (listener.service_port.number() != 443, listener.service_port));
    HttpsRedirect { port: port.map(|listener| listener.bound_port).filter(|port| port.number() != 443) }
}

fn ports(merged: &[MergedListener<'_>]) -> Vec<IngressPort> {
    let mut ports: Vec<_> = merged
        .iter()
        .map(|listener| {
            let https = listener.servers.iter().any(|(_, kind)| matches!(kind, ServerKind::TerminateHttp(_)));
            let app_protocol = match listener.family {
                Family::Http => "http",
                Family::Tcp => "tcp",
                Family::Tls if https => "https",
                Family::Tls => "tls",
                Family::Udp => "udp",
            };
            let port = listener.service_port;
            IngressPort {
                port,
                protocol: listener.family.transport(),
                target_port: listener.bound_port,
                name: format!("{app_protocol}-{port}"),
                app_protocol,
            }
        })
        .collect();
    // The same port may be bound on several addresses.
    ports.sort();
    ports.dedup_by_key(|port| (port.port, port.protocol));
    ports
}
