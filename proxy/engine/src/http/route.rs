//! The phase after [`receive`](super::receive): host choice and route, and what is answered without an upstream.

use std::{rc::Rc, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header, request};
use postern_router::{Lookup, PathMatched, RequestHead};
use postern_telemetry::Reason;
use postern_upstream::Cluster;

use super::{
    body::ResponseBody,
    compile::{Action, Forward, GoesTo, HttpRuntime, Route, Target},
    direct::DirectResponse,
    exchange::Exchange,
    local_reply,
    local_reply::LocalReply,
    rate_limit,
    receive::Received,
    redirect::{self, Asked},
    respond,
    retry::RetryPolicy,
};

/// Where in the route table a request has its place.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Virtual host and route, when there is one.
    route: Option<(u32, u32)>,
    /// The chosen target of the route.
    target: Option<u32>,
}

impl Place {
    /// The route, if it forwards.
    pub(super) fn forward<'a>(&self, runtime: &'a HttpRuntime) -> Option<(&'a Route, &'a Forward)> {
        let (virtual_host, route) = self.route?;
        let route = runtime.route(virtual_host as usize, route as usize)?;
        match &route.action {
            Action::Forward(forward) => Some((route, forward)),
            _ => None,
        }
    }

    /// The cluster of the chosen target.
    pub(super) fn cluster<'a>(&self, runtime: &'a HttpRuntime) -> Option<&'a Arc<Cluster>> {
        let target = self.forward(runtime)?.1.targets.get(self.target? as usize)?;
        match &target.goes_to {
            GoesTo::Cluster(cluster) => Some(cluster),
            GoesTo::Nowhere(_) => None,
        }
    }

    pub(super) fn chose(&mut self, target: usize) {
        self.target = u32::try_from(target).ok();
    }
}

impl Exchange {
    /// The route that was found.
    pub(super) fn route(&self) -> Option<&Route> {
        let (virtual_host, route) = self.place.route?;
        self.runtime.route(virtual_host as usize, route as usize)
    }

    /// The target that was chosen.
    pub(super) fn target(&self) -> Option<&Target> {
        self.place.forward(&self.runtime)?.1.targets.get(self.place.target? as usize)
    }

    /// The route's policy for more tries.
    pub(super) fn retry_policy(&self) -> Option<&RetryPolicy> {
        self.place.forward(&self.runtime)?.1.retry.as_ref()
    }
}

/// What is next for a request.
#[allow(
    clippy::large_enum_variant,
    reason = "it lives for one step of one request; a box would cost more than a move"
)]
pub(super) enum Routed {
    /// It was answered here.
    Answered(Response<ResponseBody>),
    /// It goes to an upstream; the exchange knows the route.
    Forward(Box<Exchange>, PathMatched),
}

/// Finds the request's route, and answers if that needs no upstream.
pub(super) fn route(mut exchange: Box<Exchange>, request: &request::Parts, received: &Received) -> Routed {
    let lookup = look_up(&exchange, request, received);
    let runtime = Rc::clone(&exchange.runtime);
    let found = match lookup {
        Lookup::Route { virtual_host, route, .. } => runtime.route(virtual_host, route),
        _ => None,
    };
    if let Lookup::Route { virtual_host, route, .. } = lookup {
        exchange.place.route = u32::try_from(virtual_host).ok().zip(u32::try_from(route).ok());
    }
    let verdict = found.and_then(|route| route.cors.as_ref()).map(|cors| cors.judge(request));
    let (origin, preflight) = verdict.map_or((None, None), |verdict| (verdict.origin, verdict.answer));
    exchange.origin = origin;
    let (refused_by, told) = rate_limit::pass(found.map_or(&runtime.limits, |route| &route.limits));
    exchange.limit = told;
    if let Some(limit) = refused_by {
        return Routed::Answered(local_reply::reply(exchange, LocalReply::rate_limited(limit)));
    }
    if let Some(headers) = preflight {
        // Before the route's action: also where it is a redirect or an answer of its own (Envoy).
        exchange.reason = Reason::DirectResponse;
        return Routed::Answered(respond::finish_locally(exchange, StatusCode::OK, headers, Bytes::new()));
    }
    let matched = match lookup {
        Lookup::Route { matched, .. } => matched,
        Lookup::HttpsRedirect { redirect, .. } => {
            let location = redirect::https_location(redirect, asked(request, received));
            return redirected(exchange, StatusCode::MOVED_PERMANENTLY, location, None);
        }
        Lookup::NoHost | Lookup::NoRoute { .. } => {
            let reason = not_found(&exchange, lookup, received);
            return Routed::Answered(local_reply::reply(exchange, LocalReply::new(reason)));
        }
        Lookup::Refused { .. } => return refused(exchange),
    };
    let Some(route) = found else { return refused(exchange) };
    match &route.action {
        Action::Forward(_) => Routed::Forward(exchange, matched),
        Action::Redirect(redirect) => {
            let location = redirect.location(asked(request, received), matched);
            redirected(exchange, redirect.status, location, Some(route))
        }
        Action::Direct(direct) => directly(exchange, direct, route),
        Action::Refused => refused(exchange),
    }
}

fn refused(exchange: Box<Exchange>) -> Routed {
    Routed::Answered(local_reply::refused(exchange))
}

fn look_up(exchange: &Exchange, request: &request::Parts, received: &Received) -> Lookup {
    if request.method == http::Method::CONNECT && !received.is_extended_connect() {
        // As Envoy without a route that says otherwise: no path, no route.
        return Lookup::NoRoute { virtual_host: 0 };
    }
    let authority = received.authority();
    let host = postern_router::normalize_host(authority);
    exchange.runtime.router.route(&RequestHead {
        host: &host,
        authority,
        scheme: received.client.scheme.as_str(),
        method: if received.is_extended_connect() { "GET" } else { request.method.as_str() },
        path: request.uri.path(),
        query: request.uri.query(),
        headers: &request.headers,
    })
}

/// 421 when the client has taken a connection for a host whose certificate is another's (RFC 9110 section 15.5.20). A
/// virtual host without routes keeps such a host from a wider one (the Gateway API's listener isolation).
fn not_found(exchange: &Exchange, lookup: Lookup, received: &Received) -> Reason {
    let connection = &exchange.connection;
    let unknown = match lookup {
        Lookup::NoRoute { virtual_host } => !exchange.runtime.has_routes(virtual_host),
        lookup => lookup == Lookup::NoHost,
    };
    let misdirected = unknown
        && connection.info.tls.is_some()
        && connection.view.slot().is_of_a_sibling(&postern_router::normalize_host(received.authority()));
    if misdirected { Reason::MisdirectedRequest } else { Reason::RouteNotFound }
}

fn asked<'a>(request: &'a request::Parts, received: &'a Received) -> Asked<'a> {
    Asked {
        scheme: received.client.scheme,
        authority: received.authority(),
        path: request.uri.path(),
        query: request.uri.query(),
    }
}

fn redirected(
    exchange: Box<Exchange>,
    status: StatusCode,
    location: Option<HeaderValue>,
    route: Option<&Route>,
) -> Routed {
    let Some(location) = location else { return refused(exchange) };
    let mut headers = HeaderMap::with_capacity(4);
    headers.insert(header::LOCATION, location);
    Routed::Answered(respond::locally(exchange, status, headers, Bytes::new(), route))
}

fn directly(exchange: Box<Exchange>, direct: &DirectResponse, route: &Route) -> Routed {
    let mut headers = HeaderMap::with_capacity(4);
    if let Some(content_type) = &direct.content_type {
        headers.insert(header::CONTENT_TYPE, content_type.clone());
    }
    Routed::Answered(respond::locally(exchange, direct.status, headers, direct.body.clone(), Some(route)))
}
