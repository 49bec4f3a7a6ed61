//! Which requests a rule is for.

use postern_api::istio::virtual_service::{
    HttpMatchRequest, StringMatch as ApiMatch, ValueMatch as ApiValue,
};
use postern_snapshot::model::{HeaderMatch, PathMatch, QueryMatch, RouteMatch, StringMatch, ValueMatch};

use super::Viewpoint;
use crate::config::PrefixSemantics;
use crate::ingress::is_subset;

/// Does a match of a rule in `namespace` look at this server at all? Otherwise nothing can arrive there that fits.
///
/// As in Istio, labels and namespace of the source are those of the ingress itself, and count only where no gateways
/// are named.
pub(crate) fn is_for(request: &HttpMatchRequest, namespace: &str, here: &Viewpoint<'_>) -> bool {
    if !here.is_port(request.port) {
        return false;
    }
    if !request.gateways.is_empty() {
        return here.is_gateway(&request.gateways, namespace);
    }
    is_subset(&request.source_labels, here.labels)
        && request.source_namespace.as_ref().is_none_or(|namespace| namespace == here.namespace)
}

/// The condition on requests. `None` if it holds a condition that the proxy does not know: such a match must not take
/// more than was meant, so it takes nothing ([`crate::unsupported`] says so).
pub(crate) fn route_match(request: &HttpMatchRequest, prefix: PrefixSemantics) -> Option<RouteMatch> {
    let mut found = RouteMatch {
        path: request.uri.as_ref().map(|uri| path_match(uri, prefix)),
        ignore_path_case: request.ignore_uri_case && !matches!(request.uri, None | Some(ApiMatch::Regex(_))),
        method: request.method.as_ref().map(string_match),
        scheme: request.scheme.as_ref().map(string_match),
        authority: request.authority.as_ref().map(string_match),
        headers: Vec::new(),
        query: Vec::new(),
    };
    for (name, value) in &request.headers {
        add_header(&mut found, name, value)?;
    }
    for (name, value) in &request.without_headers {
        if !is_plain_header(name) {
            return None;
        }
        let value = value_match(value);
        found.headers.push(HeaderMatch { name: name.to_ascii_lowercase(), value, invert: true });
    }
    let query = request.query_params.iter();
    found.query =
        query.map(|(name, value)| QueryMatch { name: name.clone(), value: value_match(value) }).collect();
    Some(found)
}

/// Does every request fit (Istio's catch-all: path `/` as prefix or `.*`, and nothing else)?
pub(crate) fn is_catch_all(found: &RouteMatch) -> bool {
    let RouteMatch { path, ignore_path_case: _, method, scheme, authority, headers, query } = found;
    let every_path = match path {
        None => true,
        Some(PathMatch::Prefix(prefix) | PathMatch::PathSeparatedPrefix(prefix)) => {
            prefix == "/" || prefix.is_empty()
        }
        Some(PathMatch::Regex(regex)) => regex == ".*",
        Some(PathMatch::Exact(_)) => false,
    };
    every_path
        && method.is_none()
        && scheme.is_none()
        && authority.is_none()
        && headers.is_empty()
        && query.is_empty()
}

/// Can the proxy look at a header of this name? Not at what stands for other parts of a request, nor at claims of a
/// token (`@request.auth.claims.x`).
pub(crate) fn is_plain_header(name: &str) -> bool {
    !name.is_empty() && !name.starts_with([':', '@']) && !name.eq_ignore_ascii_case("host")
}

fn add_header(found: &mut RouteMatch, name: &str, value: &ApiValue) -> Option<()> {
    if is_plain_header(name) {
        let header =
            HeaderMatch { name: name.to_ascii_lowercase(), value: value_match(value), invert: false };
        found.headers.push(header);
        return Some(());
    }
    let field = match name.to_ascii_lowercase().as_str() {
        ":authority" | "host" => &mut found.authority,
        ":method" => &mut found.method,
        ":scheme" => &mut found.scheme,
        _ => return None,
    };
    match value_match(value) {
        // Every request has one.
        ValueMatch::Present => Some(()),
        ValueMatch::String(value) if field.is_none() => {
            *field = Some(value);
            Some(())
        }
        ValueMatch::String(_) => None,
    }
}

fn path_match(uri: &ApiMatch, prefix: PrefixSemantics) -> PathMatch {
    match (uri, prefix) {
        (ApiMatch::Exact(path), _) => PathMatch::Exact(path.clone()),
        (ApiMatch::Prefix(path), PrefixSemantics::Text) => PathMatch::Prefix(path.clone()),
        (ApiMatch::Prefix(path), PrefixSemantics::Segments) => PathMatch::PathSeparatedPrefix(path.clone()),
        (ApiMatch::Regex(regex), _) => PathMatch::Regex(regex.clone()),
    }
}

pub(super) fn string_match(value: &ApiMatch) -> StringMatch {
    match value {
        ApiMatch::Exact(text) => StringMatch::Exact(text.clone()),
        ApiMatch::Prefix(text) => StringMatch::Prefix(text.clone()),
        ApiMatch::Regex(regex) => StringMatch::Regex(regex.clone()),
    }
}

fn value_match(value: &ApiValue) -> ValueMatch {
    match value {
        // `*` is no regular expression; Istio reads it as "there is one".
        ApiValue::Present => ValueMatch::Present,
        ApiValue::Value(ApiMatch::Regex(regex)) if regex == "*" => ValueMatch::Present,
        ApiValue::Value(value) => ValueMatch::String(string_match(value)),
    }
}
