//! Attached routes → VirtualServices.
//!
//! All routes that serve a host on a listener are one VirtualService, as their rules are sorted together. Hosts and
//! listeners that the same routes serve share one.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::istio::virtual_service::{
    HttpRoute, TcpRoute, TlsMatchAttributes, TlsRoute, VirtualService, VirtualServiceSpec,
};
use postern_api::value::{self, GatewayName};
use postern_snapshot::HostPattern;
use postern_snapshot::model::TransportProtocol;

use super::attach::Attachments;
use super::gateways::{Gateways, ListenerId};
use super::http::HttpEntry;
use super::listener::Protocol;
use super::names;
use super::routes::{Route, Rules};
use crate::config::{RuleOrigin, VirtualServiceConfig};

/// The VirtualServices of all routes, each with the place of the Gateway that it is of.
pub(super) fn virtual_services(
    routes: &[Route<'_>],
    rules: &[Rules],
    attachments: &Attachments,
    gateways: &Gateways<'_>,
) -> Vec<(usize, VirtualServiceConfig)> {
    let groups = groups(attachments, gateways).into_iter();
    let builder = Builder { routes, rules, gateways };
    let one = |(group, listeners): (Group, Vec<ListenerId>)| {
        Some((group.gateway, builder.virtual_service(&group, &listeners)?))
    };
    groups.filter_map(one).collect()
}

/// Routes that serve the same hosts of one Gateway, in order of age.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    gateway: usize,
    routes: Vec<usize>,
    hosts: BTreeSet<HostPattern>,
    class: Class,
}

/// What a VirtualService's rules are of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Class {
    Http,
    Tls,
    Tcp,
    Udp,
}

fn groups(attachments: &Attachments, gateways: &Gateways<'_>) -> BTreeMap<Group, Vec<ListenerId>> {
    let mut groups: BTreeMap<Group, Vec<ListenerId>> = BTreeMap::new();
    for (id, attached) in &attachments.listeners {
        let class = match gateways.listener(*id).and_then(|listener| listener.protocol) {
            Some(Protocol::Http | Protocol::Https) => Class::Http,
            Some(Protocol::Tls(_)) => Class::Tls,
            Some(Protocol::Tcp) => Class::Tcp,
            Some(Protocol::Udp) => Class::Udp,
            None => continue,
        };
        let mut by_host: BTreeMap<&HostPattern, Vec<usize>> = BTreeMap::new();
        for (route, hosts) in attached {
            for host in hosts {
                by_host.entry(host).or_default().push(*route);
            }
        }
        let mut by_routes: BTreeMap<Vec<usize>, BTreeSet<HostPattern>> = BTreeMap::new();
        for (host, routes) in by_host {
            by_routes.entry(routes).or_default().insert(host.clone());
        }
        for (routes, hosts) in by_routes {
            groups.entry(Group { gateway: id.gateway, routes, hosts, class }).or_default().push(*id);
        }
    }
    groups
}

struct Builder<'b, 'a> {
    routes: &'b [Route<'a>],
    rules: &'b [Rules],
    gateways: &'b Gateways<'a>,
}

impl Builder<'_, '_> {
    fn virtual_service(&self, group: &Group, listeners: &[ListenerId]) -> Option<VirtualServiceConfig> {
        let first = self.routes.get(*group.routes.first()?)?;
        let gateways: Vec<_> = listeners.iter().filter_map(|id| self.gateway_name(*id)).collect();
        let canonical = format!(
            "{}\n{}",
            gateways.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
            group.hosts.iter().map(host_text).collect::<Vec<_>>().join("\n"),
        );
        let mut spec = VirtualServiceSpec {
            hosts: group.hosts.iter().map(istio_host).collect(),
            gateways,
            ..VirtualServiceSpec::default()
        };
        let origins = match group.class {
            Class::Http => {
                let (http, origins) = merged(self.entries(&group.routes));
                spec.http = http;
                origins
            }
            Class::Tls | Class::Tcp | Class::Udp => self.add_l4(group, &mut spec),
        };
        if origins.is_empty() {
            return None;
        }
        let metadata = ObjectMeta {
            name: Some(names::virtual_service(&first.key, &canonical)),
            namespace: Some(first.key.namespace.clone()),
            creation_timestamp: first.metadata.creation_timestamp.clone(),
            ..ObjectMeta::default()
        };
        let transport = match group.class {
            Class::Http | Class::Tls | Class::Tcp => TransportProtocol::Tcp,
            Class::Udp => TransportProtocol::Udp,
        };
        let object = VirtualService { metadata, spec, status: None };
        Some(VirtualServiceConfig::translated(object, transport, origins))
    }

    fn gateway_name(&self, id: ListenerId) -> Option<GatewayName> {
        let list = self.gateways.entries.get(id.gateway)?.lists.get(id.list)?;
        let listener = list.listeners.get(id.listener)?;
        Some(GatewayName::Gateway {
            namespace: Some(list.key.namespace.clone()),
            name: names::istio_gateway(&list.key, &listener.spec.name),
        })
    }

    /// The rules of some routes in the Gateway API's order.
    fn entries(&self, routes: &[usize]) -> Vec<&HttpEntry> {
        let rules = routes.iter().filter_map(|route| self.rules.get(*route));
        let mut entries: Vec<_> = rules.flat_map(|rules| &rules.http).collect();
        // Stable: what is equal stays in the order of the routes' age, and of their rules.
        entries.sort_by_key(|entry| Reverse(entry.precedence));
        entries
    }

    /// The rule for connections, or datagrams, of the oldest route, which takes them all.
    fn add_l4(&self, group: &Group, spec: &mut VirtualServiceSpec) -> Vec<RuleOrigin> {
        let entry = group.routes.iter().find_map(|route| self.rules.get(*route)?.l4.as_ref());
        let Some(entry) = entry else { return Vec::new() };
        if group.class == Class::Tls {
            let request =
                TlsMatchAttributes { sni_hosts: spec.hosts.clone(), ..TlsMatchAttributes::default() };
            spec.tls = vec![TlsRoute { match_: vec![request], route: entry.route.clone() }];
        } else {
            spec.tcp = vec![TcpRoute { match_: Vec::new(), route: entry.route.clone() }];
        }
        vec![entry.origin.clone()]
    }
}

/// Neighbours that are of one rule become one rule with several matches.
fn merged(entries: Vec<&HttpEntry>) -> (Vec<HttpRoute>, Vec<RuleOrigin>) {
    let mut rules: Vec<HttpRoute> = Vec::new();
    let mut origins: Vec<RuleOrigin> = Vec::new();
    for HttpEntry { origin, rule, .. } in entries {
        let same =
            origins.last().is_some_and(|last| (&last.key, last.position) == (&origin.key, origin.position));
        match rules.last_mut() {
            Some(last) if same => last.match_.extend(rule.match_.iter().cloned()),
            _ => {
                rules.push(rule.clone());
                origins.push(origin.clone());
            }
        }
    }
    (rules, origins)
}

fn istio_host(host: &HostPattern) -> value::HostPattern {
    match host {
        HostPattern::Any => value::HostPattern::Any,
        HostPattern::Exact(name) => value::HostPattern::Exact(name.clone()),
        HostPattern::Suffix(suffix) => value::HostPattern::Suffix(suffix.clone()),
    }
}

fn host_text(host: &HostPattern) -> String {
    istio_host(host).to_string()
}
