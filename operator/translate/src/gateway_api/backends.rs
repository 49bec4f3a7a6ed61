//! Backends of rules.
//!
//! One that cannot be used keeps its share, and its requests get 500 (Gateway API). Istio's form of that is a destination
//! without a host.

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::Service;
use postern_api::gateway_api::reference::BackendObjectReference;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::{Destination, PortSelector};
use postern_snapshot::HostPattern;

use super::Context;
use super::denial::Denial;
use super::grants::{Referent, Referrer};
use super::route_kind::RouteKind;
use super::routes::Route;
use crate::finding::Reason;
use crate::names::host_pattern;

/// What is in place of a backend that cannot be used.
pub(super) const NOWHERE: Destination = Destination { host: String::new(), subset: None, port: None };

/// The group of Istio's `Hostname`: a host of a ServiceEntry.
const ISTIO: &str = "networking.istio.io";

/// Where a backend is.
pub(super) fn destination(
    reference: &BackendObjectReference,
    route: &Route<'_>,
    context: Context<'_>,
) -> Result<Destination, Denial> {
    let port = Some(PortSelector { number: reference.port });
    match (reference.group(), reference.kind()) {
        ("", Service::KIND) => {}
        (ISTIO, "Hostname") => return hostname(reference, port, route, context),
        (group, kind) => {
            let message = format!("requests cannot be sent to a {kind} of group {group:?}; name a Service");
            return Err(Denial::new(Reason::InvalidKind, message));
        }
    }
    service_destination(reference, route, context)
}

/// A host of Istio's registry. The name of a Service means that Service, with the same need of a grant.
fn hostname(
    reference: &BackendObjectReference,
    port: Option<PortSelector>,
    route: &Route<'_>,
    context: Context<'_>,
) -> Result<Destination, Denial> {
    let host = reference.name.as_str();
    let service = host.strip_suffix(&format!(".svc.{}", context.options.cluster_domain));
    if let Some((name, namespace)) = service.and_then(|service| service.split_once('.')) {
        let (name, namespace) = (name.to_owned(), Some(namespace.to_owned()));
        let service =
            BackendObjectReference { group: None, kind: None, name, namespace, port: reference.port };
        return service_destination(&service, route, context);
    }
    let pattern = HostPattern::Exact(host.to_owned());
    let has_host = |entry: &ServiceEntry| {
        entry.spec.hosts.iter().filter_map(host_pattern).any(|it| it == pattern || it.covers(&pattern))
    };
    if !context.world.service_entries.iter().any(|entry| has_host(entry)) {
        let message = format!("no ServiceEntry has the host {host}");
        return Err(Denial::new(Reason::BackendNotFound, message));
    }
    Ok(Destination { host: host.to_owned(), subset: None, port })
}

fn service_destination(
    reference: &BackendObjectReference,
    route: &Route<'_>,
    context: Context<'_>,
) -> Result<Destination, Denial> {
    let port = Some(PortSelector { number: reference.port });
    let namespace = reference.namespace.as_deref().unwrap_or(&route.key.namespace);
    let name = reference.name.as_str();
    let from = Referrer { kind: route.kind.name(), namespace: &route.key.namespace };
    if !context.grants.allow(from, Referent { group: "", kind: Service::KIND, namespace, name }) {
        let message = format!(
            "no ReferenceGrant in {namespace} lets a {} of {} use Service {name}",
            from.kind, from.namespace
        );
        return Err(Denial::new(Reason::RefNotPermitted, message));
    }
    let not_found = |message: String| Err(Denial::new(Reason::BackendNotFound, message));
    let Some(service) = context.world.services.get(namespace, name) else {
        return not_found(format!("there is no Service {namespace}/{name}"));
    };
    if let Some(name) = service.spec.as_ref().and_then(|spec| spec.external_name.as_deref()) {
        return not_found(format!(
            "Service {namespace}/{} is the external name {name}, which Postern does not look up; name a ServiceEntry",
            reference.name
        ));
    }
    let Some(number) = reference.port else {
        return not_found(format!("it must say which port of Service {namespace}/{name} is meant"));
    };
    let transport = if route.kind == RouteKind::Udp { "UDP" } else { "TCP" };
    if !has_port(service, number.get(), transport) {
        return not_found(format!("Service {namespace}/{name} has no {transport} port {number}"));
    }
    let host = format!("{name}.{namespace}.svc.{}", context.options.cluster_domain);
    Ok(Destination { host, subset: None, port })
}

fn has_port(service: &Service, number: u16, transport: &str) -> bool {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    ports
        .iter()
        .any(|port| port.port == i32::from(number) && port.protocol.as_deref().unwrap_or("TCP") == transport)
}
