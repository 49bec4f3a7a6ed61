//! GRPCRoute: rules → rules of a VirtualService. A call is an HTTP request for `/SERVICE/METHOD`.

use postern_api::gateway_api::grpc_route::{GrpcRouteMatch, GrpcRouteRule};
use postern_api::gateway_api::route_match::{GrpcMethodMatch, TextMatch};
use postern_api::istio::virtual_service::{HttpMatchRequest, StringMatch};

use super::Context;
use super::filters::{Filters, escape};
use super::http::{action, named, rule_name};
use super::routes::{Route, Rules};

/// The rules of a GRPCRoute.
pub(super) fn rules(route: &Route<'_>, rules: &[GrpcRouteRule], context: Context<'_>) -> Rules {
    let mut found = Rules { count: rules.len(), ..Rules::default() };
    for (position, rule) in rules.iter().enumerate() {
        let GrpcRouteRule { name, matches, filters, backend_refs, session_persistence: _ } = rule;
        let origin = route.origin(position);
        let filters = Filters::of_rule(filters, route, context);
        let mut istio = action(filters, backend_refs, &origin, route, context, &mut found);
        istio.name = Some(rule_name(name.as_deref(), &origin));
        let requests = if matches.is_empty() {
            vec![request(&GrpcRouteMatch::default())]
        } else {
            matches.iter().map(request).collect()
        };
        found.add_http(requests, &istio, &origin);
    }
    found
}

fn request(found: &GrpcRouteMatch) -> HttpMatchRequest {
    let uri = found.method.as_ref().map_or_else(|| StringMatch::Prefix("/".to_owned()), path);
    HttpMatchRequest {
        uri: Some(uri),
        headers: named(&found.headers, |name| name.to_ascii_lowercase()),
        ..HttpMatchRequest::default()
    }
}

/// The path of a method.
fn path(method: &GrpcMethodMatch) -> StringMatch {
    match (&method.service, &method.method) {
        (Some(TextMatch::Exact(service)), Some(TextMatch::Exact(method))) => {
            StringMatch::Exact(format!("/{service}/{method}"))
        }
        // A prefix ends where a segment ends.
        (Some(TextMatch::Exact(service)), None) => StringMatch::Prefix(format!("/{service}")),
        (service, method) => {
            StringMatch::Regex(format!("/{}/{}", part(service.as_ref()), part(method.as_ref())))
        }
    }
}

fn part(part: Option<&TextMatch>) -> String {
    match part {
        None => "[^/]+".to_owned(),
        Some(TextMatch::Exact(text)) => escape(text),
        Some(TextMatch::RegularExpression(regex)) => format!("(?:{regex})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_is_a_path() {
        let text = |text: &str| Some(TextMatch::Exact(text.to_owned()));
        let of = |service, method| path(&GrpcMethodMatch { service, method });
        assert_eq!(of(text("a.B"), text("C")), StringMatch::Exact("/a.B/C".to_owned()));
        assert_eq!(of(text("a.B"), None), StringMatch::Prefix("/a.B".to_owned()));
        assert_eq!(of(None, text("C")), StringMatch::Regex("/[^/]+/C".to_owned()));
        let regex = Some(TextMatch::RegularExpression("Get|List".to_owned()));
        assert_eq!(of(text("a.B"), regex), StringMatch::Regex("/a\\.B/(?:Get|List)".to_owned()));
    }
}
