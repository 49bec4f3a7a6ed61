//! Which VirtualServices are served by which servers, for which hosts.
//!
//! A VirtualService is attached to a server when it names the server's Gateway, its `exportTo` reaches the ingress,
//! and a host of both is the same or within the other's wildcard, on the server's side with a namespace that admits
//! the VirtualService. What both have in common is served: the narrower host (Istio).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use postern_api::meta::ObjectKey;
use postern_api::value::{HostNamespace, Visibility};
use postern_snapshot::HostPattern;

use crate::at::At;
use crate::config::{GatewayConfig, IstioConfig, VirtualServiceConfig};
use crate::finding::{Findings, Problem, Reason, code};
use crate::gateway::ServerRef;
use crate::names::{complete, host_pattern};
use crate::options::Options;

/// A VirtualService at a server.
#[derive(Debug)]
pub(crate) struct Attached<'a> {
    pub(crate) virtual_service: &'a VirtualServiceConfig,
    /// At least one.
    pub(crate) hosts: BTreeSet<HostPattern>,
}

/// The VirtualServices of every server, the oldest first.
#[derive(Debug)]
pub(crate) struct Attachments<'a> {
    /// By Gateway; each has a list for each server.
    gateways: BTreeMap<&'a ObjectKey, Vec<Vec<Attached<'a>>>>,
}

impl<'a> Attachments<'a> {
    /// The VirtualServices of a server.
    pub(crate) fn of(&self, server: ServerRef<'_>) -> &[Attached<'a>] {
        let servers = self.gateways.get(&server.gateway.key);
        servers.and_then(|servers| servers.get(server.position)).map_or(&[], Vec::as_slice)
    }
}

/// Says of VirtualServices that are attached to servers but of which nothing is in a snapshot. `served` are the ranks of
/// those of which something is.
pub(crate) fn report_idle(attachments: &Attachments<'_>, served: &BTreeSet<usize>, findings: &mut Findings) {
    let attached = attachments.gateways.values().flatten().flatten();
    let is_idle = |attached: &&Attached<'_>| {
        let virtual_service = attached.virtual_service;
        // Of routes of the Gateway API the listeners tell why they serve nothing.
        virtual_service.is_of_world() && !served.contains(&virtual_service.rank)
    };
    for idle in attached.filter(is_idle) {
        let message = "it is attached to servers, but none of them serves a rule of it: spec.http needs a server that \
                       speaks HTTP, spec.tls one with mode PASSTHROUGH, spec.tcp any other, each with a certificate where \
                       it needs one";
        let at = At::object(&idle.virtual_service.key);
        findings.warn(&at, Problem::programmed(Reason::NoRoutes, message));
    }
}

/// Attaches all VirtualServices.
pub(crate) fn attach<'a>(
    config: &'a IstioConfig,
    options: &Options,
    findings: &mut Findings,
) -> Attachments<'a> {
    let mut gateways: BTreeMap<_, _> = config
        .gateways
        .iter()
        .map(|gateway| {
            let name = (gateway.key.namespace.as_str(), gateway.key.name.as_str());
            (name, GatewayHosts::new(gateway))
        })
        .collect();
    for virtual_service in &config.virtual_services {
        attach_one(virtual_service, &mut gateways, options, findings);
    }
    Attachments {
        gateways: gateways.into_values().map(|hosts| (&hosts.gateway.key, hosts.attached)).collect(),
    }
}

fn attach_one<'a>(
    virtual_service: &'a VirtualServiceConfig,
    gateways: &mut BTreeMap<(&'a str, &'a str), GatewayHosts<'a>>,
    options: &Options,
    findings: &mut Findings,
) {
    let spec = &virtual_service.object.spec;
    let own = virtual_service.key.namespace.as_str();
    let at = At::object(&virtual_service.key);
    let at = at.field("spec");
    let names: Vec<_> =
        spec.gateways.iter().enumerate().filter_map(|(i, name)| Some((i, name.resolve(own)?))).collect();
    if names.is_empty() {
        // A VirtualService without hosts is a delegate.
        if !spec.hosts.is_empty() {
            let message = "it names no gateway, so it is for the mesh only; no ingress serves it";
            findings.info(&at.field("gateways"), Problem::accepted(Reason::MeshOnly, message));
        }
        return;
    }
    if !reaches(&spec.export_to, own, &options.root_namespace) {
        let message = format!(
            "no ingress sees it: exportTo reaches neither all namespaces nor that of the ingresses, {}",
            options.root_namespace
        );
        findings.warn(&at.field("exportTo"), Problem::accepted(Reason::NotExported, message));
        return;
    }
    let hosts = hosts_of(virtual_service, options, findings);
    for (index, name) in names {
        if let Some(gateway) = gateways.get_mut(&name) {
            gateway.attach(virtual_service, &hosts, findings);
        } else {
            let message = format!("there is no Gateway {}/{}", name.0, name.1);
            let problem = Problem::resolved_refs(Reason::GatewayNotFound, message);
            findings
                .error(&at.field("gateways").index(index), problem.code(code::REFERENCED_RESOURCE_NOT_FOUND));
        }
    }
}

/// Does something of namespace `own` with this `exportTo` reach `namespace`? Nothing means everywhere.
pub(crate) fn reaches(export_to: &[Visibility], own: &str, namespace: &str) -> bool {
    export_to.is_empty() || export_to.iter().any(|entry| entry.reaches(own, namespace))
}

/// The hosts with their places in the list.
fn hosts_of(
    virtual_service: &VirtualServiceConfig,
    options: &Options,
    findings: &mut Findings,
) -> Vec<(usize, HostPattern)> {
    let at = At::object(&virtual_service.key);
    let at = at.field("spec");
    let at = at.field("hosts");
    let mut hosts = Vec::new();
    for (index, host) in virtual_service.object.spec.hosts.iter().enumerate() {
        match host_pattern(host) {
            Some(HostPattern::Exact(name)) => {
                let whole = complete(&name, &virtual_service.key.namespace, &options.cluster_domain);
                hosts.push((index, HostPattern::Exact(whole)));
            }
            Some(pattern) => hosts.push((index, pattern)),
            None => {
                let message =
                    format!("{host}: a wildcard must be the whole first label; this host is left out");
                findings.error(&at.index(index), Problem::accepted(Reason::UnsupportedValue, message));
            }
        }
    }
    hosts
}

/// The hosts of all servers of a Gateway, to be searched, and what is attached to each server.
#[derive(Debug)]
struct GatewayHosts<'a> {
    gateway: &'a GatewayConfig,
    entries: Vec<HostEntry<'a>>,
    /// Indices of entries.
    exact: HashMap<&'a str, Vec<usize>>,
    /// Without the `*`.
    suffixes: HashMap<&'a str, Vec<usize>>,
    any: Vec<usize>,
    attached: Vec<Vec<Attached<'a>>>,
}

#[derive(Debug)]
struct HostEntry<'a> {
    server: usize,
    namespace: &'a HostNamespace,
    host: HostPattern,
}

impl<'a> GatewayHosts<'a> {
    fn new(gateway: &'a GatewayConfig) -> Self {
        use postern_api::value::HostPattern as ApiPattern;
        let servers = &gateway.object.spec.servers;
        let mut hosts = Self {
            gateway,
            entries: Vec::new(),
            exact: HashMap::new(),
            suffixes: HashMap::new(),
            any: Vec::new(),
            attached: servers.iter().map(|_| Vec::new()).collect(),
        };
        for (server, host) in
            servers.iter().enumerate().flat_map(|(i, s)| s.hosts.iter().map(move |h| (i, h)))
        {
            let Some(pattern) = host_pattern(&host.host) else { continue };
            let index = hosts.entries.len();
            hosts.entries.push(HostEntry { server, namespace: &host.namespace, host: pattern });
            match &host.host {
                ApiPattern::Exact(name) => hosts.exact.entry(name).or_default().push(index),
                ApiPattern::Suffix(suffix) => hosts.suffixes.entry(suffix).or_default().push(index),
                ApiPattern::Any => hosts.any.push(index),
            }
        }
        hosts
    }

    /// The entries that have something in common with a host.
    fn candidates(&self, host: &HostPattern) -> Vec<usize> {
        let HostPattern::Exact(name) = host else {
            // Wildcards are rare, and may cover any part of the list.
            return (0..self.entries.len()).collect();
        };
        let suffixes = name.char_indices().filter(|(_, c)| *c == '.').filter_map(|(dot, _)| name.get(dot..));
        let found = self.exact.get(name.as_str()).into_iter();
        let found = found.chain(suffixes.filter_map(|suffix| self.suffixes.get(suffix))).chain([&self.any]);
        found.flatten().copied().collect()
    }

    fn attach(
        &mut self,
        virtual_service: &'a VirtualServiceConfig,
        hosts: &[(usize, HostPattern)],
        findings: &mut Findings,
    ) {
        let own = &self.gateway.key.namespace;
        let mut servers: BTreeMap<usize, BTreeSet<HostPattern>> = BTreeMap::new();
        for (position, host) in hosts {
            let (mut found, mut forbidden) = (false, false);
            for index in self.candidates(host) {
                let Some(entry) = self.entries.get(index) else { continue };
                let Some(common) = entry.host.intersect(host) else { continue };
                if entry.namespace.admits(own, &virtual_service.key.namespace) {
                    found = true;
                    servers.entry(entry.server).or_default().insert(common);
                } else {
                    forbidden = true;
                }
            }
            if !found {
                self.not_attached(virtual_service, *position, host, forbidden, findings);
            }
        }
        for (server, hosts) in servers {
            let Some(list) = self.attached.get_mut(server) else { continue };
            // Naming a Gateway twice changes nothing.
            if list.last().is_none_or(|last| last.virtual_service.key != virtual_service.key) {
                list.push(Attached { virtual_service, hosts });
            }
        }
    }

    fn not_attached(
        &self,
        virtual_service: &VirtualServiceConfig,
        position: usize,
        host: &HostPattern,
        forbidden: bool,
        findings: &mut Findings,
    ) {
        let gateway = &self.gateway.key;
        let message = if forbidden {
            format!(
                "{gateway} has {host} for other namespaces only, not for {}",
                virtual_service.key.namespace
            )
        } else {
            format!("{gateway} has no server for {host}")
        };
        let problem = Problem::programmed(Reason::NoMatchingListenerHostname, message);
        let at = At::object(&virtual_service.key);
        let at = at.field("spec");
        let at = at.field("hosts");
        findings.warn(&at.index(position), problem.code(code::HOST_NOT_FOUND_IN_GATEWAY));
    }
}
