//! Destinations → clusters with their endpoints.
//!
//! A destination's host is a Service (a short name is one in the rule's namespace, as in Istio) or a host of a
//! ServiceEntry. What does not exist becomes [`Target::Unavailable`]: the rule stays, its requests get the error that
//! Istio gives them, and nothing falls through to another rule.

mod backend_tls;
mod policy;
mod rule_index;
mod service;
mod service_entry;
mod subset;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use postern_api::istio::virtual_service::Destination;
use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::ClusterName;
use postern_snapshot::model::{
    CircuitBreakers, Cluster, Endpoint, LoadBalancing, ServiceIdentity, Target, UpstreamProtocol,
};

pub(crate) use rule_index::{Client, RuleIndex};
pub(crate) use service_entry::EntryIndex;

use policy::Policy;
use rule_index::Rule;
use subset::{FoundSubset, Labels};
use tls::{Unmet, upstream_tls};

use crate::at::At;
use crate::config::{BackendTls, OwnIngress, RouteSemantics};
use crate::finding::{Findings, Problem, Reason, code};
use crate::gateway::tls::TlsBuilder;
use crate::names::{complete, origin};
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
    /// What becomes of requests when it does not exist, for findings.
    pub(crate) otherwise: &'static str,
}

/// What becomes of requests for a destination that does not exist.
pub(crate) const REQUESTS_FAIL: &str = "requests for it get 503";

/// Finds destinations, and gathers the clusters of one snapshot.
#[derive(Debug)]
pub(crate) struct Resolver<'a> {
    world: &'a World,
    entries: &'a EntryIndex<'a>,
    rules: &'a RuleIndex<'a>,
    client: Client<'a>,
    options: &'a Options,
    /// What connections to upstreams need.
    pub(crate) tls: TlsBuilder<'a>,
    /// Those that cannot be reached as they should be.
    refused: BTreeSet<ClusterName>,
    pub(crate) clusters: BTreeMap<ClusterName, Cluster>,
    pub(crate) endpoints: BTreeMap<ClusterName, Vec<Endpoint>>,
    /// The ServiceEntries and DestinationRules that clusters were made of.
    pub(crate) used: BTreeMap<ObjectKey, Generation>,
    /// The hosts of all clusters.
    pub(crate) hosts: BTreeSet<String>,
    backend_tls: Option<&'a BTreeMap<String, Vec<BackendTls>>>,
    owner: Option<&'a OwnIngress>,
}

/// Which part of a service is asked for, by whom, and where that stands.
#[derive(Clone, Copy)]
struct Asked<'q> {
    /// Empty: the whole.
    subset: &'q str,
    asker: &'q Asker<'q>,
    at: &'q At<'q>,
}

impl<'q> Asked<'q> {
    fn new(destination: &'q Destination, asker: &'q Asker<'q>, at: &'q At<'q>) -> Self {
        Self { subset: destination.subset.as_deref().unwrap_or_default(), asker, at }
    }
}

/// A port of a service, as the service's own kind of object has it.
struct Found<'f> {
    /// The whole name, by which clusters are called.
    host: String,
    name: &'f str,
    namespace: &'f str,
    port: u16,
    port_name: &'f str,
    protocol: UpstreamProtocol,
    /// What its certificates are for, unless a DestinationRule says otherwise.
    subject_alt_names: &'f [String],
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(
        world: &'a World,
        entries: &'a EntryIndex<'a>,
        rules: &'a RuleIndex<'a>,
        client: Client<'a>,
        options: &'a Options,
    ) -> Self {
        Self {
            world,
            entries,
            rules,
            client,
            options,
            tls: TlsBuilder::for_upstreams(world, client.namespace),
            refused: BTreeSet::new(),
            clusters: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            used: BTreeMap::new(),
            hosts: BTreeSet::new(),
            backend_tls: None,
            owner: None,
        }
    }

    /// With the Gateway API's policies, and the Gateway whose own ingress asks.
    pub(crate) const fn with_backend_tls(
        mut self,
        policies: &'a BTreeMap<String, Vec<BackendTls>>,
        owner: Option<&'a OwnIngress>,
    ) -> Self {
        self.backend_tls = Some(policies);
        self.owner = owner;
        self
    }

    /// Where a destination is. `at` is its place.
    pub(crate) fn target(
        &mut self,
        destination: &Destination,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Target {
        if destination.host.is_empty() {
            // A backend that the Gateway API refuses: that was said where it was refused.
            return Target::Unavailable { status: asker.semantics.missing_destination_status };
        }
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
        let host = complete(&destination.host, asker.namespace, &self.options.cluster_domain);
        match self.service_of(&host) {
            Some(service) => self.in_service(service, destination, asker, at, findings),
            None => self.in_service_entry(&host, destination, asker, at, findings),
        }
    }

    /// Puts a cluster into the snapshot, if it is not there yet: its endpoints, those with these labels, are only then
    /// looked for. `None` when there is no such subset, or it cannot be reached as its DestinationRule wants it: findings
    /// say so.
    fn add(
        &mut self,
        found: Found<'_>,
        asked: Asked<'_>,
        findings: &mut Findings,
        endpoints: impl FnOnce(&Labels) -> Vec<Endpoint>,
    ) -> Option<ClusterName> {
        let Asked { subset: name, asker, at } = asked;
        // Istio's form. It has no UDP, of which a service may have the same port.
        let suffix = if found.protocol == UpstreamProtocol::Udp { "/udp" } else { "" };
        let id = ClusterName::new(format!("outbound|{}{suffix}|{name}|{}", found.port, found.host));
        if self.refused.contains(&id) {
            return None;
        }
        if self.clusters.contains_key(&id) {
            return Some(id);
        }
        let rules = self.rules.find(&found.host, found.namespace, self.client);
        let subset = if name.is_empty() { None } else { subset::find(&rules, name) };
        if subset.is_none() && !name.is_empty() {
            let message =
                format!("no DestinationRule has a subset {name} of {}; {}", found.host, asker.otherwise);
            findings.error(&at.field("subset"), not_found(message));
            return None;
        }
        self.hosts.insert(found.host.clone());
        let Ok(cluster) = self.build(found, &rules, subset, findings) else {
            self.refused.insert(id);
            return None;
        };
        self.clusters.insert(id.clone(), cluster);
        let endpoints = match &subset {
            None => endpoints(&Labels::new()),
            Some(FoundSubset { rule, subset, .. }) => {
                self.used.insert(rule.key.clone(), Generation::of(rule.object));
                endpoints(&subset.labels)
            }
        };
        if !endpoints.is_empty() {
            self.endpoints.insert(id.clone(), endpoints);
        }
        Some(id)
    }

    /// The cluster, as its DestinationRules want it.
    fn build(
        &mut self,
        found: Found<'_>,
        rules: &[&'a Rule<'a>],
        subset: Option<FoundSubset<'a>>,
        findings: &mut Findings,
    ) -> Result<Cluster, Unmet> {
        let Found { host, name, namespace, port, port_name, protocol, subject_alt_names } = found;
        if let Some(rule) = rules.iter().find(|rule| rule.lost_policy) {
            let message = format!(
                "it has errors, so requests for {host} get 503: they may have to be encrypted, and that is in it"
            );
            let problem = Problem::programmed(Reason::Invalid, message);
            let at = At::object(&rule.key);
            findings.error(&at.field("spec").field("trafficPolicy"), problem);
            return Err(Unmet);
        }
        let mut cluster = Cluster {
            origin: String::new(),
            service: ServiceIdentity { host, name: name.to_owned(), namespace: namespace.to_owned() },
            protocol,
            load_balancing: LoadBalancing::default(),
            connect_timeout: CONNECT_TIMEOUT,
            tls: None,
            circuit_breakers: CircuitBreakers::default(),
            outlier_detection: None,
        };
        let backend_tls = self.backend_tls.and_then(|policies| policies.get(&cluster.service.host));
        // TLS is for connections.
        let backend_tls = backend_tls.filter(|_| protocol != UpstreamProtocol::Udp);
        let backend_tls = backend_tls.and_then(|policies| backend_tls::of_port(policies, port_name));
        if let Some(settings) = backend_tls {
            self.use_backend_tls(settings, &mut cluster, findings)?;
        }
        let Some(policy) = Policy::of(rules, subset, port) else { return Ok(cluster) };
        let mut honoured = policy.apply(&mut cluster);
        if backend_tls.is_some() || protocol == UpstreamProtocol::Udp {
            if honoured {
                self.uses(&policy);
            }
            return Ok(cluster);
        }
        cluster.tls = upstream_tls(&policy, &mut self.tls, findings)?;
        if let Some(tls) = &mut cluster.tls {
            cluster.origin = origin(policy.key());
            if tls.subject_alt_names.is_empty() {
                tls.subject_alt_names = tls::identities(subject_alt_names);
            }
        }
        honoured |= policy.tls.is_some();
        if honoured {
            self.uses(&policy);
        }
        Ok(cluster)
    }

    fn uses(&mut self, policy: &Policy<'_>) {
        for rule in &policy.rules {
            self.used.insert(rule.key.clone(), Generation::of(rule.object));
        }
    }

    /// The Service that a whole name means, if there is one.
    fn service_of<'h>(&self, host: &'h str) -> Option<ServiceRef<'h, 'a>> {
        let rest = host.strip_suffix(self.options.cluster_domain.as_str())?.strip_suffix(".svc.")?;
        let (name, namespace) = rest.split_once('.')?;
        let service = self.world.services.get(namespace, name)?;
        Some(ServiceRef { namespace, name, service })
    }
}

/// A Service that exists.
#[derive(Clone, Copy)]
struct ServiceRef<'h, 'a> {
    namespace: &'h str,
    name: &'h str,
    service: &'a Service,
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
        let message = format!("{host} has no port {port}, only {}; {}", list(), asker.otherwise);
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
        format!("{host} has several ports ({}), and none is named; {}", list(), asker.otherwise)
    };
    let problem = Problem::resolved_refs(Reason::PortRequired, message).code(code::PORT_SELECTOR_REQUIRED);
    if served {
        findings.warn(&at.field("port"), problem);
        return Some(port);
    }
    findings.error(&at.field("port"), problem);
    None
}
