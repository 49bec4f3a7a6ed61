//! The matches of a delegate's rule within those of the rule that delegates.

use std::collections::BTreeMap;

use postern_api::istio::virtual_service::{HttpMatchRequest, StringMatch, ValueMatch};
use postern_api::value::GatewayName;

use super::delegate::join_names;

/// The matches with gateways by their whole names: two VirtualServices may be in two namespaces.
pub(super) fn absolute_gateways(matches: &[HttpMatchRequest], namespace: &str) -> Vec<HttpMatchRequest> {
    let absolute = |name: &GatewayName| match name.resolve(namespace) {
        None => GatewayName::Mesh,
        Some((namespace, name)) => {
            GatewayName::Gateway { namespace: Some(namespace.to_owned()), name: name.to_owned() }
        }
    };
    let mut matches = matches.to_vec();
    for request in &mut matches {
        request.gateways = request.gateways.iter().map(absolute).collect();
    }
    matches
}

/// What both take: each match of the delegate with each of the root's that it lies within. `None` if one lies within
/// none. A side without matches takes everything.
pub(super) fn merge_matches(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(delegate.to_vec());
    }
    if delegate.is_empty() {
        return Some(root.to_vec());
    }
    let mut merged = Vec::new();
    for inner in delegate {
        let within: Vec<_> = root.iter().filter(|outer| lies_within(inner, outer)).collect();
        if within.is_empty() {
            return None;
        }
        merged.extend(within.into_iter().map(|outer| merge(outer, inner)));
    }
    Some(merged)
}

fn merge(outer: &HttpMatchRequest, inner: &HttpMatchRequest) -> HttpMatchRequest {
    HttpMatchRequest {
        name: join_names(outer.name.as_deref(), inner.name.as_deref()),
        uri: inner.uri.clone().or_else(|| outer.uri.clone()),
        scheme: inner.scheme.clone().or_else(|| outer.scheme.clone()),
        method: inner.method.clone().or_else(|| outer.method.clone()),
        authority: inner.authority.clone().or_else(|| outer.authority.clone()),
        headers: merge_maps(&outer.headers, &inner.headers),
        port: inner.port.or(outer.port),
        source_labels: merge_maps(&outer.source_labels, &inner.source_labels),
        gateways: if inner.gateways.is_empty() { outer.gateways.clone() } else { inner.gateways.clone() },
        query_params: merge_maps(&outer.query_params, &inner.query_params),
        ignore_uri_case: inner.ignore_uri_case,
        without_headers: merge_maps(&outer.without_headers, &inner.without_headers),
        source_namespace: inner.source_namespace.clone().or_else(|| outer.source_namespace.clone()),
        stat_prefix: inner.stat_prefix.clone().or_else(|| outer.stat_prefix.clone()),
    }
}

fn merge_maps<T: Clone>(outer: &BTreeMap<String, T>, inner: &BTreeMap<String, T>) -> BTreeMap<String, T> {
    let mut merged = outer.clone();
    merged.extend(inner.iter().map(|(key, value)| (key.clone(), value.clone())));
    merged
}

/// Does the match of a delegate fit into one of the root? Where only one of them says something they do.
fn lies_within(inner: &HttpMatchRequest, outer: &HttpMatchRequest) -> bool {
    let texts = [
        (&inner.uri, &outer.uri),
        (&inner.scheme, &outer.scheme),
        (&inner.method, &outer.method),
        (&inner.authority, &outer.authority),
    ];
    texts.into_iter().all(|(inner, outer)| match (inner, outer) {
        (Some(inner), Some(outer)) => narrows(inner, outer),
        _ => true,
    }) && values_narrow(&inner.headers, &outer.headers)
        && values_narrow(&inner.query_params, &outer.query_params)
        // A narrower condition that must not hold would take more.
        && agree(&inner.without_headers, &outer.without_headers)
        && agree(&inner.source_labels, &outer.source_labels)
        && inner.ignore_uri_case == outer.ignore_uri_case
        && (inner.port.is_none() || outer.port.is_none() || inner.port == outer.port)
        && (outer.source_namespace.is_none() || inner.source_namespace == outer.source_namespace)
        && (outer.gateways.is_empty() || inner.gateways.iter().all(|name| outer.gateways.contains(name)))
}

/// Does every text of the inner match fit the outer one? Regular expressions cannot be compared, so beside one there
/// may be nothing (Istio).
fn narrows(inner: &StringMatch, outer: &StringMatch) -> bool {
    match (inner, outer) {
        (StringMatch::Exact(inner), StringMatch::Exact(outer)) => inner == outer,
        (StringMatch::Exact(inner) | StringMatch::Prefix(inner), StringMatch::Prefix(outer)) => {
            inner.starts_with(outer.as_str())
        }
        (StringMatch::Prefix(_), StringMatch::Exact(_))
        | (StringMatch::Regex(_), _)
        | (_, StringMatch::Regex(_)) => false,
    }
}

fn values_narrow(inner: &BTreeMap<String, ValueMatch>, outer: &BTreeMap<String, ValueMatch>) -> bool {
    inner.iter().all(|(name, inner)| match (inner, outer.get(name)) {
        (_, None | Some(ValueMatch::Present)) => true,
        (ValueMatch::Present, Some(ValueMatch::Value(_))) => false,
        (ValueMatch::Value(inner), Some(ValueMatch::Value(outer))) => narrows(inner, outer),
    })
}

fn agree<T: PartialEq>(inner: &BTreeMap<String, T>, outer: &BTreeMap<String, T>) -> bool {
    inner.iter().all(|(name, inner)| outer.get(name).is_none_or(|outer| outer == inner))
}

#[cfg(test)]
#[path = "delegate_match_tests.rs"]
mod tests;
