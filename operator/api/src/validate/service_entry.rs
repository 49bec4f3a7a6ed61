//! Rules about ServiceEntries.

use std::collections::BTreeSet;

use super::{Findings, Validate, common};
use crate::finding::SchemaFinding;
use crate::istio::service_entry::{Resolution, ServiceEntry, ServiceEntrySpec, WorkloadEntry};
use crate::place::Place;
use crate::value::{Bind, HostPattern, Protocol, is_dns_label};

/// `maxItems` of the schema, for hosts, addresses and ports.
const MAX_ITEMS: usize = 256;
/// `maxItems` of the schema, for endpoints.
const MAX_ENDPOINTS: usize = 4096;

impl Validate for ServiceEntry {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let object = Place::Object;
        let at = object.field("spec");
        validate_hosts(&self.spec, &at, &mut findings);
        validate_ports(&self.spec, &at, &mut findings);
        validate_selection(&self.spec, &at, &mut findings);
        validate_resolution(&self.spec, &at, &mut findings);
        let names: BTreeSet<&str> = self.spec.ports.iter().map(|port| port.name.as_str()).collect();
        let list = at.field("endpoints");
        common::at_most(&self.spec.endpoints, MAX_ENDPOINTS, &list, &mut findings);
        for (index, endpoint) in self.spec.endpoints.iter().enumerate() {
            validate_endpoint(endpoint, self.spec.resolution(), &names, &list.index(index), &mut findings);
        }
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        common::export_to(&self.spec.export_to, namespace, true, &at.field("exportTo"), &mut findings);
        findings.0
    }
}

fn validate_hosts(spec: &ServiceEntrySpec, at: &Place<'_>, findings: &mut Findings) {
    let list = at.field("hosts");
    if spec.hosts.is_empty() {
        findings.error(&list, "a ServiceEntry must have at least one host");
    }
    common::at_most(&spec.hosts, MAX_ITEMS, &list, findings);
    for (index, host) in spec.hosts.iter().enumerate() {
        if *host == HostPattern::Any {
            findings.error(&list.index(index), "\"*\" cannot be a host of a ServiceEntry");
        }
    }
    let list = at.field("addresses");
    common::at_most(&spec.addresses, MAX_ITEMS, &list, findings);
    let resolution = spec.resolution();
    for (index, address) in spec.addresses.iter().enumerate() {
        let is_block = address.get().prefix_len() < address.get().max_prefix_len();
        if is_block && !matches!(resolution, Resolution::None | Resolution::Static) {
            findings.error(
                &list.index(index),
                format!("{address} is a block, which only resolution NONE or STATIC can have"),
            );
        }
    }
}

fn validate_ports(spec: &ServiceEntrySpec, at: &Place<'_>, findings: &mut Findings) {
    let list = at.field("ports");
    common::at_most(&spec.ports, MAX_ITEMS, &list, findings);
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    for (index, port) in spec.ports.iter().enumerate() {
        let at = list.index(index);
        let name = at.field("name");
        common::unique(port.name.as_str(), &mut names, &name, findings);
        common::unique(&port.number, &mut numbers, &at.field("number"), findings);
        port_name(&port.name, &name, findings);
        let protocol = port.protocol();
        // HTTP tells hosts apart by the authority and TLS by the server name; other protocols cannot.
        let one_host_only = !protocol.is_http() && !protocol.is_tls();
        if one_host_only && spec.hosts.len() > 1 && spec.resolution() != Resolution::None {
            findings.error(
                &at.field("protocol"),
                format!("{protocol} cannot tell several hosts apart; give one host, or resolution NONE"),
            );
        }
    }
}

/// How endpoints are told: in a list, by a selector, or by DNS.
fn validate_selection(spec: &ServiceEntrySpec, at: &Place<'_>, findings: &mut Findings) {
    let Some(selector) = &spec.workload_selector else { return };
    let at = at.field("workloadSelector");
    common::selector(&selector.labels, &at.field("labels"), findings);
    if !spec.endpoints.is_empty() {
        findings.error(&at, "only one of workloadSelector and endpoints may be set");
    }
    if spec.resolution() == Resolution::None {
        findings.warn(&at, "resolution NONE takes no endpoints; this has no effect");
    }
}

fn validate_resolution(spec: &ServiceEntrySpec, at: &Place<'_>, findings: &mut Findings) {
    let endpoints = at.field("endpoints");
    match spec.resolution() {
        Resolution::None => {
            if !spec.endpoints.is_empty() {
                findings.error(&endpoints, "resolution NONE (or none given) takes no endpoints");
            }
        }
        Resolution::Static => {}
        Resolution::Dns | Resolution::DnsRoundRobin => {
            if spec.resolution() == Resolution::DnsRoundRobin && spec.endpoints.len() > 1 {
                findings.error(&endpoints, "resolution DNS_ROUND_ROBIN takes one endpoint at most");
            }
            let list = at.field("hosts");
            for (index, host) in spec.hosts.iter().enumerate() {
                if spec.endpoints.is_empty() && host.is_wildcard() {
                    findings.error(
                        &list.index(index),
                        format!("{host} cannot be looked up in DNS; give endpoints"),
                    );
                }
            }
        }
        Resolution::DynamicDns => validate_dynamic(spec, at, findings),
    }
}

fn validate_dynamic(spec: &ServiceEntrySpec, at: &Place<'_>, findings: &mut Findings) {
    let list = at.field("hosts");
    for (index, host) in spec.hosts.iter().enumerate() {
        if !host.is_wildcard() {
            findings.error(&list.index(index), format!("{host} has no wildcard, as DYNAMIC_DNS needs it"));
        }
    }
    let fields = [("addresses", spec.addresses.is_empty()), ("endpoints", spec.endpoints.is_empty())];
    for (field, _) in fields.into_iter().filter(|(_, is_empty)| !is_empty) {
        findings.error(&at.field(field), format!("{field} cannot stand beside resolution DYNAMIC_DNS"));
    }
    let list = at.field("ports");
    for (index, port) in spec.ports.iter().enumerate() {
        let allowed = [Protocol::Http, Protocol::Tls, Protocol::Grpc, Protocol::Http2];
        if !allowed.contains(&port.protocol()) {
            findings.error(
                &list.index(index).field("protocol"),
                format!("got {}; with DYNAMIC_DNS it must be one of HTTP, HTTP2, GRPC, TLS", port.protocol()),
            );
        }
    }
}

fn validate_endpoint(
    endpoint: &WorkloadEntry,
    resolution: Resolution,
    port_names: &BTreeSet<&str>,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    validate_address(endpoint, resolution, port_names, &at.field("address"), findings);
    let ports = at.field("ports");
    for name in endpoint.ports.keys() {
        let at = ports.field(name);
        port_name(name, &at, findings);
        if !port_names.contains(name.as_str()) {
            findings.error(&at, format!("there is no port {name:?} in this ServiceEntry"));
        }
    }
    common::labels(&endpoint.labels, &at.field("labels"), findings);
}

fn validate_address(
    endpoint: &WorkloadEntry,
    resolution: Resolution,
    port_names: &BTreeSet<&str>,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    let Some(address) = &endpoint.address else {
        if let Some(network) = &endpoint.network {
            findings.warn(at, format!("without an address only the network {network:?} is known"));
        } else {
            findings.error(at, "an address is needed");
        }
        return;
    };
    if address.starts_with("unix://") {
        match address.parse() {
            Ok(Bind::Unix(_)) if resolution != Resolution::Static => {
                findings.error(at, "a Unix socket needs resolution STATIC");
            }
            Ok(_) if !endpoint.ports.is_empty() => findings.error(at, "a Unix socket has no ports"),
            Ok(_) if port_names.len() != 1 => {
                findings.error(at, "a Unix socket needs exactly one port in the ServiceEntry");
            }
            Ok(_) => {}
            Err(error) => findings.error(at, error.to_string()),
        }
        return;
    }
    // That resolution STATIC takes no names is said by translation, which leaves only such endpoints out.
    if !matches!(address.parse(), Ok(HostPattern::Exact(_))) {
        findings.error(at, format!("{address:?} is not a DNS name or an IP address"));
    }
}

fn port_name(name: &str, at: &Place<'_>, findings: &mut Findings) {
    if !is_dns_label(name) {
        findings.error(
            at,
            format!("{name:?} is not a port's name; write letters, digits and dashes, 63 at most"),
        );
    }
}

#[cfg(test)]
#[path = "service_entry_tests.rs"]
mod tests;
