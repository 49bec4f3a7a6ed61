//! EndpointSlices → endpoints of a cluster.

use std::net::IpAddr;

use k8s_openapi::api::core::v1::{Service, ServicePort};
use k8s_openapi::api::discovery::v1::{Endpoint as SliceEndpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use postern_snapshot::Port;
use postern_snapshot::model::Endpoint;

/// The endpoints of one port of a Service that are meant, sorted, each once.
///
/// Those that are ready count; if none is, those that still serve while they terminate (as kube-proxy does). Of a
/// dual-stack Service the addresses of its first family count, as long as there are any: each pod is there in both.
pub(crate) fn endpoints<'a>(
    service: &Service,
    port: &ServicePort,
    slices: impl Iterator<Item = &'a EndpointSlice>,
    is_meant: impl Fn(&SliceEndpoint) -> bool,
) -> Vec<Endpoint> {
    let mut found = Found::default();
    for slice in slices {
        let Some(number) = port_of(slice, port) else { continue };
        for endpoint in slice.endpoints.iter().filter(|endpoint| is_meant(endpoint)) {
            let Some(readiness) = Readiness::of(endpoint) else { continue };
            // All addresses of one endpoint are the same pod (API: consumers use the first).
            let address = endpoint.addresses.first().and_then(|address| address.parse().ok());
            let Some(address) = address else { continue };
            found.add(readiness, Endpoint { address, port: number, weight: None });
        }
    }
    found.choose(prefers_ipv6(service))
}

#[derive(Clone, Copy)]
enum Readiness {
    Ready,
    Draining,
}

impl Readiness {
    fn of(endpoint: &SliceEndpoint) -> Option<Self> {
        let conditions = endpoint.conditions.as_ref();
        // What is left out means ready and serving (API).
        if conditions.and_then(|c| c.ready).unwrap_or(true) {
            return Some(Self::Ready);
        }
        let serving = conditions.and_then(|c| c.serving).unwrap_or(false);
        let terminating = conditions.and_then(|c| c.terminating).unwrap_or(false);
        (serving && terminating).then_some(Self::Draining)
    }
}

/// Endpoints by readiness and family.
#[derive(Default)]
struct Found {
    ready: [Vec<Endpoint>; 2],
    draining: [Vec<Endpoint>; 2],
}

impl Found {
    fn add(&mut self, readiness: Readiness, endpoint: Endpoint) {
        let [v4, v6] = match readiness {
            Readiness::Ready => &mut self.ready,
            Readiness::Draining => &mut self.draining,
        };
        match endpoint.address {
            IpAddr::V4(_) => v4.push(endpoint),
            IpAddr::V6(_) => v6.push(endpoint),
        }
    }

    fn choose(self, ipv6_first: bool) -> Vec<Endpoint> {
        let in_order = |[v4, v6]: [Vec<Endpoint>; 2]| if ipv6_first { [v6, v4] } else { [v4, v6] };
        let [ready, ready_other] = in_order(self.ready);
        let [draining, draining_other] = in_order(self.draining);
        let candidates = [ready, ready_other, draining, draining_other];
        let mut chosen = candidates.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        chosen.sort();
        chosen.dedup();
        chosen
    }
}

fn prefers_ipv6(service: &Service) -> bool {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.as_ref());
    families.and_then(|families| families.first()).is_some_and(|family| family == "IPv6")
}

/// The port of the slice that a port of the Service means: that of the same name and protocol.
fn port_of(slice: &EndpointSlice, port: &ServicePort) -> Option<Port> {
    let wanted = port.name.as_deref().unwrap_or_default();
    let Some(ports) = slice.ports.as_ref().filter(|ports| !ports.is_empty()) else {
        // A slice without ports speaks of all of them (API), so the number is the Service's to say.
        return target_number(port);
    };
    let named = ports.iter().find(|candidate| {
        candidate.name.as_deref().unwrap_or_default() == wanted
            && candidate.protocol.as_deref().unwrap_or("TCP") == port.protocol.as_deref().unwrap_or("TCP")
    })?;
    match named.port {
        Some(number) => u16::try_from(number).ok().and_then(Port::new),
        None => target_number(port),
    }
}

fn target_number(port: &ServicePort) -> Option<Port> {
    let number = match &port.target_port {
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(_)) => return None,
        None => port.port,
    };
    u16::try_from(number).ok().and_then(Port::new)
}

#[cfg(test)]
#[path = "endpoints_tests.rs"]
mod tests;
