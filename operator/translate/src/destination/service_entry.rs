//! Destinations that are hosts of ServiceEntries.

use std::collections::BTreeMap;
use std::net::IpAddr;

use postern_api::istio::service_entry::{Resolution, ServiceEntry, ServicePort, WorkloadEntry};
use postern_api::istio::virtual_service::Destination;
use postern_api::meta::{Generation, ObjectKey};
use postern_api::value::{HostPattern, Protocol};
use postern_snapshot::model::{Endpoint, TransportProtocol, UpstreamProtocol};
use postern_snapshot::{ClusterName, Port};

use super::{Asked, Asker, Found, Resolver, choose_port, subset::Labels};
use crate::at::At;
use crate::config::by_age;
use crate::finding::{Findings, Problem, Reason};
use crate::ingress::is_subset;
use crate::options::Options;
use crate::virtual_service::attach::reaches;
use crate::world::{World, key_of};

/// The ServiceEntries that an ingress sees, by their hosts.
#[derive(Debug, Default)]
pub(crate) struct EntryIndex<'a> {
    /// The oldest first.
    hosts: BTreeMap<&'a str, Vec<(ObjectKey, &'a ServiceEntry)>>,
}

impl<'a> EntryIndex<'a> {
    pub(crate) fn new(world: &'a World, options: &Options) -> Self {
        let mut entries: Vec<_> =
            world.service_entries.iter().map(|entry| (key_of(entry.as_ref()), entry)).collect();
        entries.sort_by(|(a_key, a), (b_key, b)| by_age(&a.metadata, a_key, &b.metadata, b_key));
        let mut index = Self::default();
        for (key, entry) in entries {
            if !reaches(&entry.spec.export_to, &key.namespace, &options.root_namespace) {
                continue;
            }
            for host in &entry.spec.hosts {
                if let HostPattern::Exact(host) = host {
                    index.hosts.entry(host).or_default().push((key.clone(), entry.as_ref()));
                }
            }
        }
        index
    }

    /// The entry for a host: one in the rule's namespace, or else the oldest (Istio).
    fn find<'s>(&'s self, host: &str, namespace: &str) -> Option<(&'s ObjectKey, &'a ServiceEntry)> {
        let entries = self.hosts.get(host)?;
        let own = entries.iter().find(|(key, _)| key.namespace == namespace);
        own.or_else(|| entries.first()).map(|(key, entry)| (key, *entry))
    }
}

impl Resolver<'_> {
    /// A host that is no Service.
    pub(super) fn in_service_entry(
        &mut self,
        host: &str,
        destination: &Destination,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<ClusterName> {
        let lower = host.to_ascii_lowercase();
        let entries = self.entries;
        let Some((key, entry)) = entries.find(&lower, asker.namespace) else {
            self.unknown_host(host, asker, at, findings);
            return None;
        };
        if !has_addresses(key, entry, findings) {
            return None;
        }
        let datagrams = asker.here.transport == TransportProtocol::Udp;
        let is_meant = |port: &&ServicePort| (port.protocol() == Protocol::Udp) == datagrams;
        let ports: Vec<_> = entry.spec.ports.iter().filter(is_meant).collect();
        let numbers: Vec<u16> = ports.iter().map(|port| port.number.get()).collect();
        let number = choose_port(&lower, &numbers, destination, asker, at, findings)?;
        let port = ports.into_iter().find(|port| port.number.get() == number)?;
        self.used.insert(key.clone(), Generation::of(entry));
        let name = lower.clone();
        let found = Found {
            host: lower,
            name: &name,
            namespace: &key.namespace,
            port: number,
            port_name: &port.name,
            protocol: protocol(port),
            subject_alt_names: &entry.spec.subject_alt_names,
        };
        self.add(found, Asked::new(destination, asker, at), findings, |labels| {
            entry_endpoints(entry, port, labels)
        })
    }
}

/// Are the endpoints of the entry addresses? Findings of the entry say where they are not.
fn has_addresses(key: &ObjectKey, entry: &ServiceEntry, findings: &mut Findings) -> bool {
    let at = At::object(key);
    let at = at.field("spec");
    if entry.spec.workload_selector.is_some() {
        let message =
            "Postern does not look for pods by workloadSelector yet; requests for these hosts get 503";
        findings.error(&at.field("workloadSelector"), Problem::programmed(Reason::UnsupportedField, message));
        return false;
    }
    let listed = !entry.spec.endpoints.is_empty();
    let usable = match entry.spec.resolution() {
        Resolution::Static => true,
        // Names are not looked up yet, but addresses need no DNS.
        Resolution::Dns | Resolution::DnsRoundRobin => {
            listed && entry.spec.endpoints.iter().all(|endpoint| address(endpoint).is_some())
        }
        Resolution::None | Resolution::DynamicDns => false,
    };
    if !usable {
        let message = "an ingress reaches only endpoints with IP addresses (resolution STATIC) yet; requests for these \
                       hosts get 503";
        findings.error(&at.field("resolution"), Problem::programmed(Reason::UnsupportedValue, message));
        return false;
    }
    let at = at.field("endpoints");
    for (index, endpoint) in entry.spec.endpoints.iter().enumerate() {
        if address(endpoint).is_none() {
            let message = "it has no IP address, and is left out";
            let at = at.index(index);
            findings.error(&at.field("address"), Problem::programmed(Reason::UnsupportedValue, message));
        }
    }
    true
}

fn address(endpoint: &WorkloadEntry) -> Option<IpAddr> {
    endpoint.address.as_deref()?.parse().ok()
}

fn entry_endpoints(entry: &ServiceEntry, port: &ServicePort, labels: &Labels) -> Vec<Endpoint> {
    let mut endpoints: Vec<_> = entry
        .spec
        .endpoints
        .iter()
        .filter(|endpoint| is_subset(labels, &endpoint.labels))
        .filter_map(|endpoint| {
            let number = endpoint.ports.get(&port.name).copied().unwrap_or_else(|| port.target_port());
            let weight = Some(endpoint.weight()).filter(|weight| *weight != 1);
            Some(Endpoint { address: address(endpoint)?, port: Port::new(number.get())?, weight })
        })
        .collect();
    endpoints.sort();
    endpoints.dedup();
    endpoints
}

fn protocol(port: &ServicePort) -> UpstreamProtocol {
    match port.protocol() {
        Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => UpstreamProtocol::Http2,
        Protocol::Http
        | Protocol::Https
        | Protocol::Mongo
        | Protocol::Redis
        | Protocol::MySql
        | Protocol::Tcp
        | Protocol::Tls => UpstreamProtocol::Http1,
        Protocol::Udp => UpstreamProtocol::Udp,
    }
}
