//! TLS and TCP rules → where connections go.

use std::collections::BTreeSet;

use postern_api::istio::virtual_service::{L4MatchAttributes, RouteDestination, TlsMatchAttributes};
use postern_api::meta::ObjectKey;
use postern_snapshot::HostPattern;
use postern_snapshot::model::{TcpForward, WeightedTarget};

use super::Viewpoint;
use super::attach::Attached;
use super::http::nowhere;
use crate::at::At;
use crate::config::VirtualServiceConfig;
use crate::destination::{Asker, REQUESTS_FAIL, Resolver};
use crate::finding::{Findings, Problem, Reason, code};
use crate::names::{host_pattern, origin};

/// Where the connections of a TCP (or terminated TLS) server, or the datagrams of a UDP server, go, and the VirtualService that says so: the first rule
/// that fits, of the oldest VirtualService (Istio).
pub(crate) fn tcp_forward<'a>(
    attached: &[Attached<'a>],
    here: &Viewpoint<'_>,
    resolver: &mut Resolver<'_>,
    findings: &mut Findings,
) -> Option<(&'a VirtualServiceConfig, TcpForward)> {
    let fitting = attached.iter().filter(|it| it.virtual_service.transport == here.transport);
    for Attached { virtual_service, .. } in fitting {
        for (index, rule) in virtual_service.object.spec.tcp.iter().enumerate() {
            let fits = |request: &L4MatchAttributes| {
                here.is_port(request.port)
                    && here.is_gateway(&request.gateways, &virtual_service.key.namespace)
            };
            if rule.route.is_empty() || !(rule.match_.is_empty() || rule.match_.iter().any(fits)) {
                continue;
            }
            let forward = virtual_service.at_l4("tcp", index, |key, at| {
                let asker = Asker {
                    namespace: &key.namespace,
                    semantics: virtual_service.semantics,
                    here,
                    otherwise: REQUESTS_FAIL,
                };
                forward(&rule.route, key, &asker, resolver, at, findings)
            });
            return Some((virtual_service, forward));
        }
    }
    None
}

/// A rule for TLS connections that are passed on.
#[derive(Debug)]
pub(crate) struct Passthrough<'a> {
    pub(crate) virtual_service: &'a VirtualServiceConfig,
    /// The server names, at least one.
    pub(crate) server_names: BTreeSet<HostPattern>,
    pub(crate) forward: TcpForward,
}

/// Where the connections of a PASSTHROUGH server go. Each rule has its own server names, within the server's hosts; a
/// name is the first rule's that has it. `taken` are the names that are somebody's already, and becomes longer.
pub(crate) fn passthrough<'a>(
    attached: &[Attached<'a>],
    here: &Viewpoint<'_>,
    taken: &mut BTreeSet<HostPattern>,
    resolver: &mut Resolver<'_>,
    findings: &mut Findings,
) -> Vec<Passthrough<'a>> {
    let mut chains = Vec::new();
    for Attached { virtual_service, hosts } in attached {
        for (index, rule) in virtual_service.object.spec.tls.iter().enumerate() {
            let found = virtual_service.at_l4("tls", index, |key, at| {
                let mut server_names = BTreeSet::new();
                let matches = at.field("match");
                for (index, request) in rule.match_.iter().enumerate() {
                    if here.is_port(request.port)
                        && here.is_gateway(&request.gateways, &virtual_service.key.namespace)
                    {
                        claim(request, hosts, taken, &mut server_names, &matches.index(index), findings);
                    }
                }
                if server_names.is_empty() || rule.route.is_empty() {
                    return None;
                }
                let asker = Asker {
                    namespace: &key.namespace,
                    semantics: virtual_service.semantics,
                    here,
                    otherwise: REQUESTS_FAIL,
                };
                let forward = forward(&rule.route, key, &asker, resolver, at, findings);
                Some(Passthrough { virtual_service, server_names, forward })
            });
            chains.extend(found);
        }
    }
    chains
}

/// Takes the server names of a match that lie within the hosts of the server, and that nobody else has.
fn claim(
    request: &TlsMatchAttributes,
    hosts: &BTreeSet<HostPattern>,
    taken: &mut BTreeSet<HostPattern>,
    names: &mut BTreeSet<HostPattern>,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let at = at.field("sniHosts");
    for (index, sni) in request.sni_hosts.iter().enumerate() {
        let at = at.index(index);
        let Some(pattern) = host_pattern(sni) else {
            let message = format!("{sni}: a wildcard must be the whole first label; this name is left out");
            findings.error(&at, Problem::accepted(Reason::UnsupportedValue, message));
            continue;
        };
        let common: BTreeSet<_> = hosts.iter().filter_map(|host| host.intersect(&pattern)).collect();
        if common.is_empty() {
            let message =
                format!("{sni} is no host that the VirtualService and the Gateway's server both have");
            let problem = Problem::programmed(Reason::NoMatchingListenerHostname, message);
            findings.warn(&at, problem.code(code::HOST_NOT_FOUND_IN_GATEWAY));
        }
        for name in common {
            if names.contains(&name) {
                continue;
            }
            if taken.insert(name.clone()) {
                names.insert(name);
            } else {
                let message = format!("{name} on this port belongs to another server or to an older rule");
                findings.warn(&at, Problem::programmed(Reason::HostnameConflict, message));
            }
        }
    }
}

/// The shares of connections. `at` is the rule's place, in the object `key`.
fn forward(
    destinations: &[RouteDestination],
    key: &ObjectKey,
    asker: &Asker<'_>,
    resolver: &mut Resolver<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> TcpForward {
    let at = at.field("route");
    let sole = destinations.len() == 1;
    let mut targets = Vec::new();
    for (index, RouteDestination { destination, weight }) in destinations.iter().enumerate() {
        if *weight == 0 && !sole {
            continue;
        }
        let at = at.index(index);
        let target = resolver.target(destination, asker, &at.field("destination"), findings);
        targets.push(WeightedTarget { target, weight: if sole { 1 } else { *weight }, ..nowhere(503) });
    }
    if targets.is_empty() {
        let message = "the weights of all destinations are 0, so there is none; connections are closed";
        findings.error(&at, Problem::accepted(Reason::Invalid, message));
        targets.push(nowhere(asker.semantics.missing_destination_status));
    }
    TcpForward { origin: origin(key), targets, idle_timeout: None }
}
