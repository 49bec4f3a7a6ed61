//! What Istio's Gateways cannot say of the listeners that they were translated from.

use postern_api::gateway_api::gateway::{FromNamespaces, Gateway};
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::gateway_api::{gateway, listener};
use postern_api::istio::gateway::Server;
use postern_api::meta::ObjectKey;
use postern_api::value::Protocol;

use crate::config::{GatewayConfig, ListenerOrigin, Placement};
use crate::names::host_pattern;
use crate::world::World;

/// What is lost of a listener, for people. `all` are those of its Gateway, and of its ListenerSets, too.
pub(super) fn of_gateway(config: &GatewayConfig, all: &[&GatewayConfig], world: &World) -> Vec<String> {
    let mut notes = Vec::new();
    let (Some(origin), Some(server)) = (&config.listener, config.object.spec.servers.first()) else {
        return notes;
    };
    if let Some(gateway) = gateway_of(origin, world).filter(|_| origin.position == 0) {
        notes.extend(of_whole_gateway(gateway, &config.placement));
    }
    if listener_of(origin, world).is_some_and(selects_namespaces) {
        let message = "allowedRoutes selects namespaces by their labels: these are the ones of this moment";
        notes.push(message.to_owned());
    }
    let siblings: Vec<_> = all.iter().copied().filter(|other| is_sibling(config, other)).collect();
    notes.extend(of_neighbours(server, &siblings));
    notes
}

fn gateway_of<'w>(origin: &ListenerOrigin, world: &'w World) -> Option<&'w Gateway> {
    let is_gateway = origin.key == ObjectKey::new::<Gateway>(&origin.key.namespace, &origin.key.name);
    is_gateway
        .then(|| world.kubernetes_gateways.get(&origin.key.namespace, &origin.key.name))
        .flatten()
        .map(AsRef::as_ref)
}

fn listener_of<'w>(origin: &ListenerOrigin, world: &'w World) -> Option<&'w listener::Listener> {
    if let Some(gateway) = gateway_of(origin, world) {
        return gateway.spec.listeners.get(origin.position);
    }
    let set: &ListenerSet = world.listener_sets.get(&origin.key.namespace, &origin.key.name)?;
    set.spec.listeners.get(origin.position)
}

fn selects_namespaces(listener: &listener::Listener) -> bool {
    let namespaces = listener.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    namespaces.is_some_and(|namespaces| namespaces.from == Some(FromNamespaces::Selector))
}

/// What is about the objects that run a Gateway. The pods of a Gateway that Postern does not serve itself are known:
/// its parameters say which they are, and its status what addresses they have.
fn of_whole_gateway(gateway: &Gateway, placement: &Placement) -> Option<String> {
    let gateway::GatewaySpec { addresses, infrastructure, .. } = &gateway.spec;
    let said = match placement {
        Placement::Own(_) => {
            vec![(!addresses.is_empty(), "addresses"), (infrastructure.is_some(), "infrastructure")]
        }
        Placement::Selector(_) => {
            let infrastructure = infrastructure.clone().unwrap_or_default();
            vec![
                (!infrastructure.labels.is_empty(), "infrastructure.labels"),
                (!infrastructure.annotations.is_empty(), "infrastructure.annotations"),
            ]
        }
    };
    let said: Vec<_> = said.into_iter().filter(|(said, _)| *said).map(|(_, field)| field).collect();
    (!said.is_empty()).then(|| {
        format!(
            "the Gateway's {}: left out, because Istio's API says nothing about the pods that run it",
            said.join(" and ")
        )
    })
}

/// Is it another one on the same port?
fn is_sibling(config: &GatewayConfig, other: &GatewayConfig) -> bool {
    let port = |config: &GatewayConfig| {
        let port = &config.object.spec.servers.first()?.port;
        Some((port.number, port.protocol == Protocol::Udp))
    };
    config.key != other.key && port(config) == port(other)
}

/// Listeners of one port are isolated from each other in the Gateway API. Istio looks among all of their routes.
fn of_neighbours(server: &Server, siblings: &[&GatewayConfig]) -> Vec<String> {
    let mut notes = Vec::new();
    let hosts = |server: &Server| server.hosts.first().and_then(|host| host_pattern(&host.host));
    let Some(own) = hosts(server) else { return notes };
    let servers: Vec<_> = siblings.iter().filter_map(|it| it.object.spec.servers.first()).collect();
    let narrower = servers.iter().filter_map(|it| hosts(it).map(|host| (it, host)));
    let narrower: Vec<String> = narrower
        .filter(|(_, host)| *host != own && own.covers(host))
        .filter_map(|(server, _)| server.hosts.first())
        .map(|host| host.host.to_string())
        .collect();
    let https = server.port.protocol == Protocol::Https;
    if !narrower.is_empty() && server.port.protocol.is_http() {
        notes.push(format!(
            "other listeners have {}: what no route there takes gets 404 by the Gateway API, and by Istio what a route of this \
             listener says, if one takes it",
            narrower.join(", ")
        ));
    }
    if https && !servers.is_empty() {
        notes.push(
            "a request for a host of another listener of this port, on a connection of this one, gets 421 by the Gateway API, \
             and by Istio 404 or what a route of this listener says"
                .to_owned(),
        );
    }
    notes
}
