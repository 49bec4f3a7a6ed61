//! Names and hosts of the API as the snapshot has them.

use postern_api::meta::{Generation, ObjectKey};
use postern_api::value;
use postern_snapshot::HostPattern;
use postern_snapshot::manifest::Source;

/// An object in the snapshot: `VirtualService/istio-system/web-routing`.
pub(crate) fn origin(key: &ObjectKey) -> String {
    format!("{}/{}/{}", key.kind, key.namespace, key.name)
}

/// An object in the snapshot's list of sources.
pub(crate) fn source(key: &ObjectKey, generation: Generation) -> Source {
    Source {
        kind: key.kind.name.to_owned(),
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
