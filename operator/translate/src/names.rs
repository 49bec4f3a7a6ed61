//! Names and hosts of the API as the snapshot has them.

use std::borrow::Cow;

use k8s_openapi::Resource as _;
use postern_api::gateway_api::gateway::Gateway as KubernetesGateway;
use postern_api::meta::{Generation, Kind, ObjectKey};
use postern_api::value;
use postern_snapshot::HostPattern;
use postern_snapshot::manifest::Source;

/// An object in the snapshot: `VirtualService/istio-system/web-routing`.
pub(crate) fn origin(key: &ObjectKey) -> String {
    format!("{}/{}/{}", kind(key), key.namespace, key.name)
}

/// A kind in the snapshot. Istio and the Gateway API both have a `Gateway`: the latter's is written as kubectl takes it,
/// `Gateway.gateway.networking.k8s.io`.
pub(crate) fn kind(key: &ObjectKey) -> Cow<'static, str> {
    if key.kind == Kind::of::<KubernetesGateway>() {
        return format!("{}.{}", KubernetesGateway::KIND, KubernetesGateway::GROUP).into();
    }
    key.kind.name.into()
}

/// An object in the snapshot's list of sources.
pub(crate) fn source(key: &ObjectKey, generation: Generation) -> Source {
    Source {
        kind: kind(key).into_owned(),
        namespace: key.namespace.clone(),
        name: key.name.clone(),
        generation: generation.0,
    }
}

/// A host as the snapshot has it. `None` for a wildcard within a label (`*-x.example.com`), which the proxy does not
/// know.
pub(crate) fn host_pattern(host: &value::HostPattern) -> Option<HostPattern> {
    match host {
        value::HostPattern::Any => Some(HostPattern::Any),
        value::HostPattern::Exact(name) => Some(HostPattern::Exact(name.clone())),
        value::HostPattern::Suffix(suffix) if suffix.starts_with('.') => {
            Some(HostPattern::Suffix(suffix.clone()))
        }
        value::HostPattern::Suffix(_) => None,
    }
}

/// A short host name (without a dot) is one of a Service in `namespace`; others are whole already (Istio).
pub(crate) fn complete(host: &str, namespace: &str, cluster_domain: &str) -> String {
    if host.contains(['.', ':']) || host.starts_with('*') || host.is_empty() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.{cluster_domain}")
    }
}
