//! Destinations → clusters with their endpoints.
//!
//! A destination's host is a Service (a short name is one in the rule's namespace, as in Istio) or a host of a
//! ServiceEntry. What does not exist becomes [`Target::Unavailable`]: the rule stays, its requests get the error that
//! Istio gives them, and nothing falls through to another rule.

mod service;
mod service_entry;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use postern_api::istio::virtual_service::Destination;
use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::ClusterName;
use postern_snapshot::model::{Cluster, Endpoint, LoadBalancing, ServiceIdentity, Target, UpstreamProtocol};

pub(crate) use service_entry::EntryIndex;

use crate::at::At;
use crate::config::RouteSemantics;
use crate::finding::{Findings, Problem, Reason, code};
use crate::names::complete;
use crate::options::Options;
use crate::virtual_service::Viewpoint;
use crate::world::World;

/// Istio's default (`connectionPool.tcp.connectTimeout`).
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Who asks for a destination.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker<'a> {
    /// Where short names are looked up.
    pub(crate) namespace: &'a str,
    pub(crate) semantics: RouteSemantics,
    pub(crate) here: &'a Viewpoint<'a>,
}

/// Finds destinations, and gathers the clusters of one snapshot.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    world: &'a World,
    entries: &'a EntryIndex<'a>,
    options: &'a Options,
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    pub(crate) endpoints: BTreeMap<ClusterName, Vec<Endpoint>>,
    /// The ServiceEntries that clusters were made of.
    pub(crate) used: BTreeMap<ObjectKey, Generation>,
    /// The hosts of all clusters.
    pub(crate) hosts: BTreeSet<String>,
}

/// A service as its own kind of object has it.
struct Found {
    /// The whole name, by which clusters are called.
    host: String,
    identity: ServiceIdentity,
    port: u16,
    protocol: UpstreamProtocol,
    endpoints: Vec<Endpoint>,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(world: &'a World, entries: &'a EntryIndex<'a>, options: &'a Options) -> Self {
        Self {
            world,
            entries,
            options,
            clusters: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            used: BTreeMap::new(),
            hosts: BTreeSet::new(),
        }
    }

    /// Where a destination is. `at` is its place.
    pub(crate) fn target(
        &mut self,
        destination: &Destination,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Target {
        match self.cluster(destination, asker, at, findings) {
            Some(name) => Target::Cluster(name),
            None => Target::Unavailable { status: asker.semantics.missing_destination_status },
        }
    }

    fn cluster(
        &mut self,
        destination: &Destination,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<ClusterName> {
        if destination.subset.is_some() {
            let message = "Postern does not honour subsets yet; requests for this destination get 503";
            let problem = Problem::programmed(Reason::UnsupportedField, message);
            findings.error(&at.field("subset"), problem);
            return None;
        }
        let host = complete(&destination.host, asker.namespace, &self.options.cluster_domain);
        let found = if let Some((namespace, name)) = self.service_of(&host) {
            self.in_service(namespace, name, destination, asker, at, findings)?
        } else {
            self.in_service_entry(&host, destination, asker, at, findings)?
        };
        Some(self.add(found))
    }

    /// Puts a cluster into the snapshot.
    fn add(&mut self, found: Found) -> ClusterName {
        let Found { host, identity, port, protocol, endpoints } = found;
        let name = ClusterName::new(format!("outbound|{port}||{host}"));
        self.hosts.insert(host);
        if !self.clusters.contains_key(&name) {
            let cluster = Cluster {
                service: identity,
                protocol,
                load_balancing: LoadBalancing::default(),
                connect_timeout: CONNECT_TIMEOUT,
                tls: None,
            };
            self.clusters.insert(name.clone(), cluster);
            if !endpoints.is_empty() {
                self.endpoints.insert(name.clone(), endpoints);
            }
        }
        name
    }

    /// The Service that a whole name means, if there is one.
    fn service_of<'h>(&self, host: &'h str) -> Option<(&'h str, &'h str)> {
        let rest = host.strip_suffix(self.options.cluster_domain.as_str())?.strip_suffix(".svc.")?;
        let (name, namespace) = rest.split_once('.')?;
        self.world.services.get(namespace, name).map(|_| (namespace, name))
    }
}

/// A destination that does not exist.
fn not_found(message: String) -> Problem {
    Problem::resolved_refs(Reason::BackendNotFound, message).code(code::REFERENCED_RESOURCE_NOT_FOUND)
}

/// Which of a service's ports a destination means. `ports` are all of them.
fn choose_port(
    host: &str,
    ports: &[u16],
    destination: &Destination,
    asker: &Asker<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<u16> {
    let list = || ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    if let Some(port) = destination.port_number() {
        if ports.contains(&port.get()) {
            return Some(port.get());
        }
        let message = format!("{host} has no port {port}, only {}; requests for it get 503", list());
        findings.error(&at.field("port").field("number"), not_found(message));
        return None;
    }
    if let [port] = ports {
        return Some(*port);
    }
    // Istio takes the port of the server then, which may or may not be one of the service's.
    let port = asker.here.port.number();
    let served = ports.contains(&port);
    let message = if served {
        format!(
            "{host} has several ports ({}); as none is named, that of the gateway's server is taken, {port}",
            list()
        )
    } else {
        format!("{host} has several ports ({}), and none is named; requests for it get 503", list())
    };
    let problem = Problem::resolved_refs(Reason::PortRequired, message).code(code::PORT_SELECTOR_REQUIRED);
    if served {
        findings.warn(&at.field("port"), problem);
        return Some(port);
    }
    findings.error(&at.field("port"), problem);
    None
}
