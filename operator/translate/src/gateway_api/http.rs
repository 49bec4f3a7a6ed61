//! HTTPRoute: rules → rules of a VirtualService, one for each match.

use std::collections::BTreeMap;

use postern_api::gateway_api::http_route::{
    HttpBackendRef, HttpRouteMatch, HttpRouteRetry, HttpRouteRule, HttpRouteTimeouts,
};
use postern_api::gateway_api::route_match::{NamedMatch, PathMatch, TextMatch};
use postern_api::istio::virtual_service::{
    HttpDirectResponse, HttpMatchRequest, HttpRetry, HttpRoute, HttpRouteDestination, StringMatch, ValueMatch,
};

use super::Context;
use super::backends::{self, NOWHERE};
use super::filters::Filters;
use super::order::Precedence;
use super::routes::{Route, Rules};
use crate::config::RuleOrigin;

/// A rule with one match.
#[derive(Clone)]
pub(super) struct HttpEntry {
    pub(super) precedence: Precedence,
    pub(super) origin: RuleOrigin,
    pub(super) rule: HttpRoute,
}

/// The rules of an HTTPRoute.
pub(super) fn rules(route: &Route<'_>, rules: &[HttpRouteRule], context: Context<'_>) -> Rules {
    let mut found = Rules { count: rules.len(), ..Rules::default() };
    for (position, rule) in rules.iter().enumerate() {
        let HttpRouteRule { name, matches, filters, backend_refs, timeouts, retry, session_persistence: _ } =
            rule;
        let origin = route.origin(position);
        let filters = Filters::of_rule(filters, route, context);
        let mut istio = action(filters, backend_refs, &origin, route, context, &mut found);
        istio.name = Some(rule_name(name.as_deref(), &origin));
        if !istio.route.is_empty() {
            let timeouts = timeouts.unwrap_or_default();
            istio.timeout = timeouts.request;
            istio.retries = retries(retry.as_ref(), timeouts);
        }
        let requests = if matches.is_empty() {
            vec![request(&HttpRouteMatch::default())]
        } else {
            matches.iter().map(request).collect()
        };
        found.add_http(requests, &istio, &origin);
    }
    found
}

impl Rules {
    /// Adds a rule, once for each match.
    pub(super) fn add_http(
        &mut self,
        requests: Vec<HttpMatchRequest>,
        rule: &HttpRoute,
        origin: &RuleOrigin,
    ) {
        self.http.extend(requests.into_iter().map(|request| HttpEntry {
            precedence: Precedence::of(&request),
            origin: origin.clone(),
            rule: HttpRoute { match_: vec![request], ..rule.clone() },
        }));
    }
}

/// The name of a rule, for the access log: its own, or (Istio) `NAMESPACE.ROUTE.INDEX`.
pub(super) fn rule_name(name: Option<&str>, origin: &RuleOrigin) -> String {
    let unnamed = || format!("{}.{}.{}", origin.key.namespace, origin.key.name, origin.position);
    name.map_or_else(unnamed, str::to_owned)
}

/// What a rule does, whatever its matches. What is wrong with it is noted.
pub(super) fn action(
    filters: Filters,
    backends: &[HttpBackendRef],
    origin: &RuleOrigin,
    route: &Route<'_>,
    context: Context<'_>,
    found: &mut Rules,
) -> HttpRoute {
    let Filters { headers, redirect, rewrite, mirrors, cors, unresolved, unsupported } = filters;
    let refused = !unsupported.is_empty();
    found.unresolved.extend(unresolved.into_iter().map(|denial| (origin.clone(), denial)));
    found.unsupported.extend(unsupported.into_iter().map(|denial| (origin.clone(), denial)));
    let destinations = destinations(backends, origin, route, context, found);
    let mut rule = HttpRoute { headers, cors_policy: cors, ..HttpRoute::default() };
    if refused {
        // A request must not be served without a filter that it was meant to pass.
        rule.direct_response = Some(server_error());
    } else if redirect.is_some() {
        rule.redirect = redirect;
    } else if destinations.iter().all(|destination| destination.weight == 0) {
        rule.direct_response = Some(server_error());
    } else {
        rule.route = destinations;
        rule.rewrite = rewrite;
        rule.mirrors = mirrors;
    }
    rule
}

/// The answer where there is no backend (Gateway API).
const fn server_error() -> HttpDirectResponse {
    HttpDirectResponse { status: 500, body: None }
}

fn destinations(
    backends: &[HttpBackendRef],
    origin: &RuleOrigin,
    route: &Route<'_>,
    context: Context<'_>,
    found: &mut Rules,
) -> Vec<HttpRouteDestination> {
    let mut destinations = Vec::with_capacity(backends.len());
    for HttpBackendRef { backend, filters } in backends {
        let filters = Filters::of_backend(filters);
        let refused = !filters.unsupported.is_empty();
        found.unsupported.extend(filters.unsupported.into_iter().map(|denial| (origin.clone(), denial)));
        let destination = backends::destination(&backend.object, route, context).unwrap_or_else(|denial| {
            found.unresolved.push((origin.clone(), denial));
            NOWHERE
        });
        let destination = if refused { NOWHERE } else { destination };
        destinations.push(HttpRouteDestination {
            destination,
            weight: backend.weight(),
            headers: filters.headers,
        });
    }
    destinations
}

/// When to try again. Without `retry` it is as in Istio, with the limit of each try.
fn retries(retry: Option<&HttpRouteRetry>, timeouts: HttpRouteTimeouts) -> Option<HttpRetry> {
    let per_try_timeout = timeouts.backend_request.filter(|timeout| !timeout.is_zero());
    let Some(retry) = retry else {
        let retries = HttpRetry { attempts: DEFAULT_ATTEMPTS, per_try_timeout, ..HttpRetry::default() };
        return per_try_timeout.map(|_| retries);
    };
    // "Disconnect, reset, timeout, TCP failure" are worth another try wherever there is a retry stanza.
    let conditions = ["connect-failure", "refused-stream", "unavailable", "cancelled", "reset"];
    let conditions = conditions.iter().map(ToString::to_string);
    let codes = retry.codes.iter().map(ToString::to_string);
    Some(HttpRetry {
        attempts: retry.attempts.unwrap_or(DEFAULT_ATTEMPTS),
        per_try_timeout,
        retry_on: Some(conditions.chain(codes).collect::<Vec<_>>().join(",")),
        backoff: retry.backoff,
        ..HttpRetry::default()
    })
}

/// Istio's number of tries after the first.
const DEFAULT_ATTEMPTS: u32 = 2;

/// A match in Istio's form.
fn request(found: &HttpRouteMatch) -> HttpMatchRequest {
    let HttpRouteMatch { path, headers, query_params, method } = found;
    let uri = match path {
        None => StringMatch::Prefix("/".to_owned()),
        Some(PathMatch::Exact(path)) => StringMatch::Exact(path.clone()),
        Some(PathMatch::PathPrefix(path)) => StringMatch::Prefix(path.clone()),
        Some(PathMatch::RegularExpression(regex)) => StringMatch::Regex(regex.clone()),
    };
    HttpMatchRequest {
        uri: Some(uri),
        method: method.clone().map(StringMatch::Exact),
        headers: named(headers, |name| name.to_ascii_lowercase()),
        query_params: named(query_params, str::to_owned),
        ..HttpMatchRequest::default()
    }
}

/// Of several with one name the first counts.
pub(super) fn named(list: &[NamedMatch], key: fn(&str) -> String) -> BTreeMap<String, ValueMatch> {
    let mut found = BTreeMap::new();
    for NamedMatch { name, value } in list {
        let value = match value {
            TextMatch::Exact(text) => StringMatch::Exact(text.clone()),
            TextMatch::RegularExpression(regex) => StringMatch::Regex(regex.clone()),
        };
        found.entry(key(name)).or_insert(ValueMatch::Value(value));
    }
    found
}
