//! EnvoyFilter, of those that would change an ingress: no patch is honoured yet.

use postern_api::istio::envoy_filter::{
    ApplyTo, EnvoyConfigObjectPatch, EnvoyFilter, EnvoyFilterSpec, PatchContext,
};

use super::Scope;
use crate::at::At;
use crate::finding::{Findings, Problem, Reason};
use crate::ingress::is_subset;
use crate::world::key_of;

pub(super) fn report(scope: &Scope<'_>, findings: &mut Findings) {
    for filter in scope.world.envoy_filters.iter() {
        let key = key_of(filter.as_ref());
        if !concerns_ingress(filter, &key.namespace, scope) {
            continue;
        }
        // The priority orders patches.
        let EnvoyFilterSpec { workload_selector: _, target_refs, config_patches, priority: _ } = &filter.spec;
        let at = At::object(&key);
        let at = at.field("spec");
        if !target_refs.is_empty() {
            findings.unsupported(&at.field("targetRefs"), "it is looked at as if it were for all");
        }
        let at = at.field("configPatches");
        for (index, patch) in config_patches.iter().enumerate() {
            report_patch(patch, &at.index(index), findings);
        }
    }
}

/// Does it select an ingress (Istio: by labels in its own namespace, in the root namespace everywhere)?
fn concerns_ingress(filter: &EnvoyFilter, namespace: &str, scope: &Scope<'_>) -> bool {
    scope.ingresses.iter().any(|ingress| {
        let reached = namespace == scope.options.root_namespace || namespace == ingress.name.namespace;
        let selector = filter.spec.workload_selector.as_ref();
        reached && selector.is_none_or(|selector| is_subset(&selector.labels, &ingress.labels))
    })
}

fn report_patch(patch: &EnvoyConfigObjectPatch, at: &At<'_>, findings: &mut Findings) {
    let EnvoyConfigObjectPatch { apply_to, match_, patch: _ } = patch;
    let context = match_.as_ref().map_or(PatchContext::Any, |found| found.context());
    match context {
        PatchContext::Any | PatchContext::Gateway => {}
        PatchContext::SidecarInbound | PatchContext::SidecarOutbound | PatchContext::Waypoint => return,
    }
    let what = apply_to.map_or("nothing", name);
    let message =
        format!("Postern is not Envoy, and honours no patch of {what} yet; the ingress is not changed");
    findings.error(at, Problem::programmed(Reason::UnsupportedPatch, message));
}

/// As the API writes it.
const fn name(kind: ApplyTo) -> &'static str {
    match kind {
        ApplyTo::Invalid => "INVALID",
        ApplyTo::Listener => "LISTENER",
        ApplyTo::FilterChain => "FILTER_CHAIN",
        ApplyTo::NetworkFilter => "NETWORK_FILTER",
        ApplyTo::HttpFilter => "HTTP_FILTER",
        ApplyTo::RouteConfiguration => "ROUTE_CONFIGURATION",
        ApplyTo::VirtualHost => "VIRTUAL_HOST",
        ApplyTo::HttpRoute => "HTTP_ROUTE",
        ApplyTo::Cluster => "CLUSTER",
        ApplyTo::ExtensionConfig => "EXTENSION_CONFIG",
        ApplyTo::Bootstrap => "BOOTSTRAP",
        ApplyTo::ListenerFilter => "LISTENER_FILTER",
    }
}
