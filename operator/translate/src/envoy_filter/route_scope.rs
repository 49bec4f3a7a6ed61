//! Which virtual hosts and routes of a route table a patch is for.

use postern_api::istio::envoy_filter::RouteAction as Wanted;
use postern_snapshot::model::{Route, RouteAction, RouteTable, VirtualHost};
use postern_snapshot::{HostPattern, Port};

use super::route::RouteChange;
use super::scope::RouteScope;

/// Calls `then` for the virtual hosts that are meant. Did it find something to do in one of them?
///
/// In Istio every host has a virtual host of its own; in a snapshot those with the same rules share one. So the hosts
/// that are meant get one of their own first, and where something is counted by `change`, one each.
pub(super) fn virtual_hosts(
    table: &mut RouteTable,
    port: Port,
    scope: &RouteScope,
    change: &RouteChange,
    mut then: impl FnMut(&mut VirtualHost) -> bool,
) -> bool {
    split(table, port, scope, change.counts());
    let mut found = false;
    for host in &mut table.virtual_hosts {
        // After the split all of its domains are meant, or none.
        if host.domains.first().is_some_and(|domain| is_domain(domain, &host.name, port, scope)) {
            found |= then(host);
        }
    }
    found
}

/// Changes the routes that are meant. Is there one?
pub(super) fn routes(table: &mut RouteTable, port: Port, scope: &RouteScope, change: &RouteChange) -> bool {
    let is_meant = |host: &VirtualHost| {
        is_any_domain(host, port, scope) && host.routes.iter().any(|r| is_route(r, scope))
    };
    if !table.virtual_hosts.iter().any(is_meant) {
        return false;
    }
    virtual_hosts(table, port, scope, change, |host| {
        let mut found = false;
        for route in host.routes.iter_mut().filter(|route| is_route(route, scope)) {
            change.merge_into(&mut route.request_headers, &mut route.response_headers, &mut route.filters);
            found = true;
        }
        found
    })
}

fn is_any_domain(host: &VirtualHost, port: Port, scope: &RouteScope) -> bool {
    host.domains.iter().any(|domain| is_domain(domain, &host.name, port, scope))
}

/// Separates the domains that are meant from others that they share a virtual host with, and with `each` from each
/// other.
fn split(table: &mut RouteTable, port: Port, scope: &RouteScope, each: bool) {
    if scope.host_name.is_none() && scope.domain.is_none() && !each {
        return;
    }
    let mut virtual_hosts = Vec::with_capacity(table.virtual_hosts.len() + 1);
    for host in std::mem::take(&mut table.virtual_hosts) {
        let (meant, others): (Vec<_>, Vec<_>) =
            host.domains.iter().cloned().partition(|domain| is_domain(domain, &host.name, port, scope));
        let meant: Vec<_> = match each {
            true => meant.into_iter().map(|domain| vec![domain]).collect(),
            false => vec![meant],
        };
        let groups = meant.into_iter().chain([others]).filter(|domains| !domains.is_empty());
        virtual_hosts.extend(groups.map(|domains| with_domains(&host, domains)));
    }
    table.virtual_hosts = virtual_hosts;
}

/// The virtual host of some of its domains.
fn with_domains(host: &VirtualHost, domains: Vec<HostPattern>) -> VirtualHost {
    let port = host.name.rsplit_once(':').map_or("", |(_, port)| port);
    let name = domains.first().map(|domain| format!("{domain}:{port}")).unwrap_or_default();
    VirtualHost { name, domains, ..host.clone() }
}

/// Is this domain of a virtual host meant? `name` is the virtual host's.
fn is_domain(domain: &HostPattern, name: &str, port: Port, scope: &RouteScope) -> bool {
    let domain = domain.to_string();
    // Istio's name has the server's port; the proxy's own is in that of the snapshot.
    let client_port = name.rsplit_once(':').map_or("", |(_, port)| port);
    let is_name = |wanted: &String| {
        wanted.rsplit_once(':').is_some_and(|(host, number)| {
            host.eq_ignore_ascii_case(&domain) && (number == client_port || number == port.to_string())
        })
    };
    scope.host_name.as_ref().is_none_or(is_name)
        && scope.domain.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&domain) || is_name(wanted))
}

fn is_route(route: &Route, scope: &RouteScope) -> bool {
    let is_action = match scope.action {
        None | Some(Wanted::Any) => true,
        Some(Wanted::Route) => matches!(route.action, RouteAction::Forward(_)),
        Some(Wanted::Redirect) => matches!(route.action, RouteAction::Redirect(_)),
        Some(Wanted::DirectResponse) => matches!(route.action, RouteAction::DirectResponse(_)),
    };
    is_action && scope.route_name.as_ref().is_none_or(|name| *name == route.name)
}
