//! Rules about EnvoyFilters. What a patch's value may be, translation says: it knows which ones Postern honours.

use super::{Findings, Validate, common};
use crate::finding::SchemaFinding;
use crate::istio::envoy_filter::{
    ApplyTo, EnvoyConfigObjectMatch, EnvoyConfigObjectPatch, EnvoyFilter, FilterMatch, ObjectMatch,
    PatchContext, PatchOperation, PolicyTargetReference,
};
use crate::place::Place;

/// `maxItems` of the schema.
const MAX_TARGET_REFS: usize = 16;
/// Group and kind of what a target may be.
const TARGETS: [(&str, &str); 4] = [
    ("", "Service"),
    ("networking.istio.io", "ServiceEntry"),
    ("gateway.networking.k8s.io", "Gateway"),
    ("gateway.networking.k8s.io", "GatewayClass"),
];
const CONNECTION_MANAGER: [&str; 2] =
    ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

mod code {
    /// EnvoyFilterUsesReplaceOperationIncorrectly (error).
    pub(super) const WRONG_REPLACE: &str = "IST0152";
    /// EnvoyFilterUsesAddOperationIncorrectly (error).
    pub(super) const WRONG_ADD: &str = "IST0153";
    /// EnvoyFilterUsesRemoveOperationIncorrectly (error).
    pub(super) const WRONG_REMOVE: &str = "IST0154";
}

impl Validate for EnvoyFilter {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let object = Place::Object;
        let at = object.field("spec");
        if let Some(selector) = &self.spec.workload_selector {
            let at = at.field("workloadSelector");
            common::selector(&selector.labels, &at.field("labels"), &mut findings);
            if !self.spec.target_refs.is_empty() {
                findings.error(&at, "only one of workloadSelector and targetRefs may be set");
            }
        }
        let list = at.field("targetRefs");
        common::at_most(&self.spec.target_refs, MAX_TARGET_REFS, &list, &mut findings);
        for (index, target) in self.spec.target_refs.iter().enumerate() {
            validate_target(target, &list.index(index), &mut findings);
        }
        let list = at.field("configPatches");
        for (index, patch) in self.spec.config_patches.iter().enumerate() {
            validate_patch(patch, &list.index(index), &mut findings);
        }
        findings.0
    }
}

fn validate_target(target: &PolicyTargetReference, at: &Place<'_>, findings: &mut Findings) {
    if target.name.is_empty() {
        findings.error(&at.field("name"), "a name is needed");
    }
    if target.namespace.is_some() {
        findings.error(&at.field("namespace"), "targets are of the same namespace; leave this out");
    }
    let group = match target.group.as_deref() {
        None | Some("core") => "",
        Some(group) => group,
    };
    if !TARGETS.contains(&(group, target.kind.as_str())) {
        findings.error(
            at,
            format!(
                "{} of group {group:?} cannot be a target; it must be a Service, a ServiceEntry, or a Gateway or GatewayClass of Gateway API",
                target.kind
            ),
        );
    }
}

fn validate_patch(patch: &EnvoyConfigObjectPatch, at: &Place<'_>, findings: &mut Findings) {
    let context = patch.match_.as_ref().map(EnvoyConfigObjectMatch::context);
    if let Some(match_) = &patch.match_ {
        let for_waypoint = matches!(match_.object, Some(ObjectMatch::Waypoint(_)));
        if for_waypoint != (context == Some(PatchContext::Waypoint)) {
            findings.error(&at.field("match"), "waypoint and context WAYPOINT need each other");
        }
    }
    if context == Some(PatchContext::Waypoint) {
        return;
    }
    let Some(apply_to) = patch.apply_to.filter(|apply_to| *apply_to != ApplyTo::Invalid) else {
        findings.error(&at.field("applyTo"), "what the patch applies to is missing");
        return;
    };
    if let Some(match_) = &patch.match_ {
        validate_match(match_, apply_to, &at.field("match"), findings);
    }
    let at = at.field("patch");
    let operation = patch.patch.as_ref().and_then(|patch| patch.operation);
    let (Some(patch), Some(operation)) = (&patch.patch, operation) else {
        findings.error(&at.field("operation"), "what the patch does is missing");
        return;
    };
    if operation == PatchOperation::Invalid {
        findings.error(&at.field("operation"), "INVALID does nothing");
    } else if operation != PatchOperation::Remove && patch.value.is_empty() {
        findings.error(&at.field("value"), "a value is needed unless the operation is REMOVE");
    }
    validate_operation(operation, apply_to, &at.field("operation"), findings);
}

/// Whether the operation does something to this kind of object.
fn validate_operation(operation: PatchOperation, apply_to: ApplyTo, at: &Place<'_>, findings: &mut Findings) {
    let of_routes = matches!(apply_to, ApplyTo::RouteConfiguration | ApplyTo::HttpRoute);
    let replaceable = matches!(apply_to, ApplyTo::NetworkFilter | ApplyTo::HttpFilter | ApplyTo::VirtualHost);
    let wrong = match operation {
        PatchOperation::Add if of_routes => {
            Some((code::WRONG_ADD, "ADD has no effect on route tables and routes"))
        }
        PatchOperation::Remove if of_routes => {
            Some((code::WRONG_REMOVE, "REMOVE has no effect on route tables and routes"))
        }
        PatchOperation::Replace if !replaceable => {
            Some((code::WRONG_REPLACE, "REPLACE is for NETWORK_FILTER, HTTP_FILTER and VIRTUAL_HOST only"))
        }
        _ => None,
    };
    if let Some((code, message)) = wrong {
        findings.coded(at, code, message);
    }
}

/// Whether what is matched holds what the patch applies to.
fn validate_match(
    match_: &EnvoyConfigObjectMatch,
    apply_to: ApplyTo,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    if let Some(version) = match_.proxy.as_ref().and_then(|proxy| proxy.proxy_version.as_ref()) {
        common::regex(version, &at.field("proxy").field("proxyVersion"), findings);
    }
    let Some(object) = &match_.object else { return };
    let needed = match apply_to {
        ApplyTo::Listener | ApplyTo::FilterChain | ApplyTo::NetworkFilter | ApplyTo::HttpFilter => "listener",
        ApplyTo::RouteConfiguration | ApplyTo::VirtualHost | ApplyTo::HttpRoute => "routeConfiguration",
        ApplyTo::Cluster => "cluster",
        ApplyTo::Invalid | ApplyTo::ExtensionConfig | ApplyTo::Bootstrap | ApplyTo::ListenerFilter => return,
    };
    let got = match object {
        ObjectMatch::Listener(_) => "listener",
        ObjectMatch::RouteConfiguration(_) => "routeConfiguration",
        ObjectMatch::Cluster(_) => "cluster",
        ObjectMatch::Waypoint(_) => "waypoint",
    };
    if got != needed {
        findings.error(
            at,
            format!("a match of {got} does not fit what the patch applies to; it must be {needed}"),
        );
        return;
    }
    let ObjectMatch::Listener(listener) = object else { return };
    let filter = listener.filter_chain.as_ref().and_then(|chain| chain.filter.as_ref());
    if let Some(filter) = filter {
        let at = at.field("listener");
        let at = at.field("filterChain");
        validate_filter(filter, apply_to, &at.field("filter"), findings);
    }
}

fn validate_filter(filter: &FilterMatch, apply_to: ApplyTo, at: &Place<'_>, findings: &mut Findings) {
    if matches!(apply_to, ApplyTo::Listener | ApplyTo::FilterChain) {
        findings.warn(at, "a match of a filter has no effect on listeners and filter chains");
    }
    let Some(name) = &filter.name else {
        findings.error(&at.field("name"), "the filter's name is needed");
        return;
    };
    let Some(sub_filter) = &filter.sub_filter else { return };
    let at = at.field("subFilter");
    if apply_to != ApplyTo::HttpFilter {
        findings.error(&at, "subFilter is for HTTP_FILTER only");
    } else if !CONNECTION_MANAGER.contains(&name.as_str()) {
        findings.error(&at, format!("only {} has filters in it", CONNECTION_MANAGER[0]));
    } else if sub_filter.name.is_none() {
        findings.error(&at.field("name"), "the filter's name is needed");
    }
}

#[cfg(test)]
#[path = "envoy_filter_tests.rs"]
mod tests;
