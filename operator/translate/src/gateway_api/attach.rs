//! Which listeners take which routes, for which hosts.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::Resource as _;
use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::gateway::Gateway;
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::gateway_api::reference::ParentReference;
use postern_api::meta::ObjectKey;
use postern_snapshot::HostPattern;

use super::denial::Denial;
use super::gateways::{Gateways, ListenerId};
use super::listener::Listener;
use super::route_kind::RouteKind;
use super::routes::{Route, Rules};
use crate::at::At;
use crate::finding::{ConditionType, Findings, Reason};
use crate::names::host_pattern;

/// What is attached, and what became of each parent reference.
#[derive(Default)]
pub(super) struct Attachments {
    /// The hosts of each route at a listener; of TCP and UDP `*`. By listener, then by the route's place.
    pub(super) listeners: BTreeMap<ListenerId, BTreeMap<usize, BTreeSet<HostPattern>>>,
    /// By the route's place: what became of its parents, as far as they are Postern's, with their places.
    pub(super) parents: Vec<Vec<(usize, Result<(), Denial>)>>,
}

/// Attaches all routes. Listeners count what is attached to them.
pub(super) fn attach(routes: &[Route<'_>], gateways: &mut Gateways<'_>) -> Attachments {
    let mut attachments = Attachments::default();
    for (place, route) in routes.iter().enumerate() {
        let mut parents = Vec::new();
        let mut counted = BTreeSet::new();
        for (index, reference) in route.parents.iter().enumerate() {
            let Some(found) = attach_one(route, reference, gateways) else { continue };
            let verdict = found.map(|listeners| {
                for (id, hosts) in listeners {
                    if counted.insert(id)
                        && let Some(listener) = gateways.listener_mut(id)
                    {
                        listener.attached += 1;
                    }
                    if !hosts.is_empty() {
                        attachments.listeners.entry(id).or_default().entry(place).or_default().extend(hosts);
                    }
                }
            });
            parents.push((index, verdict));
        }
        attachments.parents.push(parents);
    }
    attachments
}

/// A listener, and the hosts that the route gets there.
type Taken = (ListenerId, BTreeSet<HostPattern>);

/// The listeners of one parent that take a route. `None` if the parent is not one of Postern's.
fn attach_one(
    route: &Route<'_>,
    reference: &ParentReference,
    gateways: &Gateways<'_>,
) -> Option<Result<Vec<Taken>, Denial>> {
    let (entry, gateway, list) = gateways.parent(&parent_key(route, reference)?)?;
    let part = entry.lists.get(list)?;
    let is_meant = |listener: &Listener<'_>| {
        reference.section_name.as_ref().is_none_or(|name| *name == listener.spec.name)
            && reference.port.is_none_or(|port| port == listener.spec.port)
    };
    let meant: Vec<_> =
        part.listeners.iter().enumerate().filter(|(_, listener)| is_meant(listener)).collect();
    if meant.is_empty() {
        let message = format!("{} has no listener with this sectionName and port", part.key);
        return Some(Err(Denial::new(Reason::NoMatchingParent, message)));
    }
    let allowing: Vec<_> = meant
        .into_iter()
        .filter(|(_, it)| it.kinds.contains(&route.kind) && it.namespaces.admit(&route.key.namespace))
        .collect();
    if allowing.is_empty() {
        let message = format!(
            "no listener of {} that is meant takes {} objects of {}",
            part.key, route.kind, route.key.namespace
        );
        return Some(Err(Denial::new(Reason::NotAllowedByListeners, message)));
    }
    let mut taken = Vec::new();
    for (index, listener) in allowing {
        let id = ListenerId { gateway, list, listener: index };
        let Some(hosts) = common_hosts(route, listener) else { continue };
        let serves = entry.accepted.is_ok() && part.accepted.is_ok() && listener.is_accepted();
        taken.push((id, isolated(hosts, id, listener, gateways), serves));
    }
    if taken.is_empty() {
        let message = format!("no listener of {} that is meant has one of these hostnames", part.key);
        return Some(Err(Denial::new(Reason::NoMatchingListenerHostname, message)));
    }
    taken.retain(|(_, _, serves)| *serves);
    if taken.is_empty() {
        let message = format!("no listener of {} that is meant is accepted itself", part.key);
        return Some(Err(Denial::new(Reason::NoMatchingParent, message)));
    }
    Some(Ok(taken.into_iter().map(|(id, hosts, _)| (id, hosts)).collect()))
}

/// The hosts of the Services that requests or connections are sent to, with the places of the Gateways whose routes do.
pub(super) fn users<'r>(attachments: &Attachments, rules: &'r [Rules]) -> BTreeMap<&'r str, BTreeSet<usize>> {
    let mut users: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (id, routes) in &attachments.listeners {
        for host in routes.keys().filter_map(|route| rules.get(*route)).flat_map(Rules::hosts) {
            users.entry(host).or_default().insert(id.gateway);
        }
    }
    users
}

/// The parent that a reference of a route means, if it is of a kind that can be one.
pub(super) fn parent_key(route: &Route<'_>, reference: &ParentReference) -> Option<ObjectKey> {
    let namespace = reference.namespace.as_deref().unwrap_or(&route.key.namespace);
    if reference.group() != GROUP {
        return None;
    }
    match reference.kind() {
        Gateway::KIND => Some(ObjectKey::new::<Gateway>(namespace, &*reference.name)),
        ListenerSet::KIND => Some(ObjectKey::new::<ListenerSet>(namespace, &*reference.name)),
        _ => None,
    }
}

/// The hosts that a route and a listener both have. `None` if there are none.
fn common_hosts(route: &Route<'_>, listener: &Listener<'_>) -> Option<BTreeSet<HostPattern>> {
    if matches!(route.kind, RouteKind::Tcp | RouteKind::Udp) {
        return Some([HostPattern::Any].into());
    }
    if route.hostnames.is_empty() {
        return Some([listener.host.clone()].into());
    }
    let hosts = route.hostnames.iter().filter_map(|hostname| host_pattern(hostname.pattern()));
    let common: BTreeSet<_> = hosts.filter_map(|host| host.intersect(&listener.host)).collect();
    (!common.is_empty()).then_some(common)
}

/// Without hosts that belong to a listener with a narrower host on the same port (listener isolation).
fn isolated(
    mut hosts: BTreeSet<HostPattern>,
    id: ListenerId,
    listener: &Listener<'_>,
    gateways: &Gateways<'_>,
) -> BTreeSet<HostPattern> {
    let Some(entry) = gateways.entries.get(id.gateway) else { return hosts };
    let narrower: Vec<_> = entry
        .served()
        .filter(|(list, index, _)| (*list, *index) != (id.list, id.listener))
        .filter(|(_, _, other)| other.spec.port == listener.spec.port && other.protocol == listener.protocol)
        .filter(|(_, _, other)| other.host != listener.host && listener.host.covers(&other.host))
        .map(|(_, _, other)| &other.host)
        .collect();
    hosts.retain(|host| !narrower.iter().any(|other| other.covers(host)));
    hosts
}

/// Says what is wrong with routes: parents that do not take them, and their rules.
pub(super) fn report(
    routes: &[Route<'_>],
    rules: &[Rules],
    attachments: &Attachments,
    findings: &mut Findings,
) {
    for ((route, rules), parents) in routes.iter().zip(rules).zip(&attachments.parents) {
        // Somebody else's.
        if parents.is_empty() {
            continue;
        }
        let at = At::object(&route.key);
        let at = at.field("spec");
        let at = at.field("parentRefs");
        for (index, verdict) in parents {
            if let Err(denial) = verdict {
                findings.error(&at.index(*index), denial.problem(ConditionType::Accepted));
            }
        }
        for (origin, denial) in &rules.unresolved {
            origin.at(|at| findings.error(at, denial.problem(ConditionType::ResolvedRefs)));
        }
        for (origin, denial) in &rules.unsupported {
            origin.at(|at| findings.error(at, denial.problem(ConditionType::Accepted)));
        }
    }
}
