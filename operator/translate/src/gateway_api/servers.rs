//! Listeners → Istio's Gateways, one for each.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::gateway_api::listener::TlsMode as ApiMode;
use postern_api::istio::gateway::{Gateway, GatewaySpec, Server, ServerPort, ServerTlsSettings, TlsMode};
use postern_api::meta::Generation;
use postern_api::value::{self, HostNamespace, ServerHost};
use postern_snapshot::HostPattern;

use super::gateways::{GatewayEntry, Gateways, ListenerList};
use super::listener::{Listener, Protocol};
use super::mode::Mode;
use super::names;
use super::namespaces::Namespaces;
use crate::config::{GatewayConfig, ListenerOrigin, Placement};
use crate::world::key_of;

/// The Gateways of all listeners that are served, each with the place of the Gateway that it is of.
pub(super) fn gateways(gateways: &Gateways<'_>) -> Vec<(usize, GatewayConfig)> {
    let mut found = Vec::new();
    for (place, entry) in gateways.entries.iter().enumerate() {
        for (list, position, listener) in entry.served() {
            let Some(part) = entry.lists.get(list) else { continue };
            found.extend(config(entry, part, position, listener).map(|config| (place, config)));
        }
    }
    found
}

fn config(
    entry: &GatewayEntry<'_>,
    part: &ListenerList<'_>,
    position: usize,
    listener: &Listener<'_>,
) -> Option<GatewayConfig> {
    let selector = entry.selector()?;
    let object = Gateway {
        metadata: ObjectMeta {
            name: Some(names::istio_gateway(&part.key, &listener.spec.name)),
            namespace: Some(part.key.namespace.clone()),
            creation_timestamp: part.metadata.creation_timestamp.clone(),
            ..ObjectMeta::default()
        },
        spec: GatewaySpec { servers: vec![server(listener)?], selector: selector.clone() },
        status: None,
    };
    let listener = ListenerOrigin {
        key: part.key.clone(),
        generation: part.generation,
        position,
        name: listener.spec.name.clone(),
    };
    Some(GatewayConfig {
        key: key_of(&object),
        generation: Generation::default(),
        object: Arc::new(object),
        placement: match entry.mode {
            Mode::Serving => Placement::Own(entry.ingress.clone()),
            Mode::Translating => Placement::Selector(selector),
        },
        lost_servers: false,
        listener: Some(listener),
    })
}

fn server(listener: &Listener<'_>) -> Option<Server> {
    let protocol = match listener.protocol? {
        Protocol::Http => value::Protocol::Http,
        Protocol::Https => value::Protocol::Https,
        Protocol::Tls(_) => value::Protocol::Tls,
        Protocol::Tcp => value::Protocol::Tcp,
        // Istio's Gateways do not serve it.
        Protocol::Udp => value::Protocol::Udp,
    };
    let port = ServerPort {
        number: listener.spec.port.get(),
        protocol,
        name: listener.spec.name.clone(),
        target_port: None,
    };
    let tls = tls(listener);
    Some(Server { port, bind: None, hosts: hosts(listener), tls, name: None, default_endpoint: None })
}

fn tls(listener: &Listener<'_>) -> Option<ServerTlsSettings> {
    let mode = match listener.protocol? {
        Protocol::Tls(ApiMode::Passthrough) => TlsMode::Passthrough,
        Protocol::Https | Protocol::Tls(ApiMode::Terminate) => TlsMode::Simple,
        Protocol::Http | Protocol::Tcp | Protocol::Udp => return None,
    };
    let mut tls = ServerTlsSettings { mode: Some(mode), ..ServerTlsSettings::default() };
    if let Some(clients) = &listener.clients {
        tls.mode = Some(if clients.fallback { TlsMode::OptionalMutual } else { TlsMode::Mutual });
        tls.insecure_skip_verify = clients.fallback.then_some(true);
        tls.ca_cert_credential_name = Some(clients.credential.clone());
    }
    match listener.credentials.as_slice() {
        [one] => tls.credential_name = Some(one.clone()),
        several => tls.credential_names = several.to_vec(),
    }
    Some(tls)
}

/// The host, for each of the namespaces whose routes are taken.
fn hosts(listener: &Listener<'_>) -> Vec<ServerHost> {
    let host = match &listener.host {
        HostPattern::Any => value::HostPattern::Any,
        HostPattern::Exact(name) => value::HostPattern::Exact(name.clone()),
        HostPattern::Suffix(suffix) => value::HostPattern::Suffix(suffix.clone()),
    };
    let entry = |namespace| ServerHost { namespace, host: host.clone() };
    match &listener.namespaces {
        Namespaces::All => vec![entry(HostNamespace::Any)],
        Namespaces::Only(names) if names.is_empty() => vec![entry(HostNamespace::Nobody)],
        Namespaces::Only(names) => names.iter().cloned().map(HostNamespace::Named).map(entry).collect(),
    }
}
