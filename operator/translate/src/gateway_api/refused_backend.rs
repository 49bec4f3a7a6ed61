//! What a backend that cannot be used is in Istio's API: a host that is known, and has no endpoints.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::istio::service_entry::{Resolution, ServiceEntry, ServiceEntrySpec, ServicePort};
use postern_api::value::{HostPattern, Port, Protocol, Visibility};

use super::istio_object::IstioObject;
use super::istio_objects::{Translated, annotate};

/// A host that nothing answers for (RFC 6761): what a backend that cannot be used is in Istio's API.
pub(super) const REFUSED_BACKEND: &str = "refused-backend.invalid";

/// What makes [`REFUSED_BACKEND`] a host that is known and has no endpoints, in each namespace that needs it.
pub(super) fn refused_backends(translated: &[Translated]) -> Vec<Translated> {
    let mut namespaces: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for object in translated.iter().filter_map(|it| it.object.as_ref()) {
        if uses_refused(object) {
            let namespace = object.key().namespace;
            namespaces.entry(namespace).or_default().insert(object.origin().to_owned());
        }
    }
    namespaces.into_iter().map(|(namespace, origins)| refused_backend(namespace, origins)).collect()
}

/// Does it send anything to a backend that cannot be used?
pub(super) fn uses_refused(object: &IstioObject) -> bool {
    let IstioObject::VirtualService(service) = object else { return false };
    let l4 = service.spec.tls.iter().flat_map(|rule| &rule.route);
    let l4 = l4.chain(service.spec.tcp.iter().flat_map(|rule| &rule.route)).map(|it| &it.destination);
    let http = service.spec.http.iter().flat_map(|rule| &rule.route).map(|it| &it.destination);
    http.chain(l4).any(|destination| destination.host == REFUSED_BACKEND)
}

/// The ServiceEntry of a namespace; `origins` are the objects that need it.
pub(super) fn refused_backend(namespace: String, origins: BTreeSet<String>) -> Translated {
    let mut metadata = ObjectMeta {
        name: Some(super::names::REFUSED_BACKEND.to_owned()),
        namespace: Some(namespace),
        ..ObjectMeta::default()
    };
    annotate(&mut metadata, origins.into_iter().collect::<Vec<_>>().join(", "));
    let port = |number| ServicePort {
        number,
        protocol: Some(Protocol::Http),
        name: "http".to_owned(),
        target_port: None,
    };
    let spec = ServiceEntrySpec {
        hosts: vec![HostPattern::Exact(REFUSED_BACKEND.to_owned())],
        addresses: Vec::new(),
        ports: Port::new(80).map(port).into_iter().collect(),
        location: None,
        resolution: Some(Resolution::Static),
        endpoints: Vec::new(),
        workload_selector: None,
        export_to: vec![Visibility::Own],
        subject_alt_names: Vec::new(),
    };
    let object = ServiceEntry { metadata, spec, status: None };
    Translated::object(IstioObject::ServiceEntry(Box::new(object)), Vec::new())
}
