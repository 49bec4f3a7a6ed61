//! Requests and tables for tests.

use http::{HeaderMap, HeaderName, HeaderValue};
use postern_snapshot::model::{
    Forward, HeaderMatch, PathMatch, QueryMatch, Route, RouteAction, RouteMatch, RouteTable, StringMatch,
    ValueMatch, VirtualHost,
};

use crate::{Lookup, PathMatched, RefusedRoute, RequestHead, Router};

/// A request of `example.com`, owned.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) host: &'static str,
    pub(crate) authority: &'static str,
    pub(crate) scheme: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
}

/// `GET` of a path with or without `?query`.
pub(crate) fn get(target: &str) -> Request {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    Request {
        host: "example.com",
        authority: "Example.com:8443",
        scheme: "https",
        method: "GET",
        path: path.to_owned(),
        query,
        headers: HeaderMap::new(),
    }
}

impl Request {
    pub(crate) fn header(mut self, name: &'static str, value: &[u8]) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        self
    }

    pub(crate) fn head(&self) -> RequestHead<'_> {
        RequestHead {
            host: self.host,
            authority: self.authority,
            scheme: self.scheme,
            method: self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

pub(crate) fn exact(text: &str) -> StringMatch {
    StringMatch::Exact(text.to_owned())
}

pub(crate) fn prefix(text: &str) -> StringMatch {
    StringMatch::Prefix(text.to_owned())
}

pub(crate) fn regex(text: &str) -> StringMatch {
    StringMatch::Regex(text.to_owned())
}

pub(crate) fn path_exact(text: &str) -> RouteMatch {
    path(PathMatch::Exact(text.to_owned()))
}

pub(crate) fn path_prefix(text: &str) -> RouteMatch {
    path(PathMatch::Prefix(text.to_owned()))
}

pub(crate) fn path_segments(text: &str) -> RouteMatch {
    path(PathMatch::PathSeparatedPrefix(text.to_owned()))
}

pub(crate) fn path_regex(text: &str) -> RouteMatch {
    path(PathMatch::Regex(text.to_owned()))
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path: Some(path), ..RouteMatch::default() }
}

pub(crate) fn header(name: &str, value: ValueMatch, invert: bool) -> RouteMatch {
    let header = HeaderMatch { name: name.to_owned(), value, invert };
    RouteMatch { headers: vec![header], ..RouteMatch::default() }
}

pub(crate) fn query(name: &str, value: ValueMatch) -> RouteMatch {
    let query = QueryMatch { name: name.to_owned(), value };
    RouteMatch { query: vec![query], ..RouteMatch::default() }
}

pub(crate) fn route(matches: impl Into<Vec<RouteMatch>>) -> Route {
    Route {
        name: String::new(),
        origin: "VirtualService/default/test".to_owned(),
        matches: matches.into(),
        action: RouteAction::Forward(Forward::default()),
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        cors: None,
    }
}

pub(crate) fn virtual_host(domains: &[&str], routes: impl Into<Vec<Route>>) -> VirtualHost {
    VirtualHost {
        name: format!("{}:443", domains.first().unwrap()),
        domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        https_redirect: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        routes: routes.into(),
    }
}

/// A table with the one host `example.com`; each match is a route.
pub(crate) fn table(matches: impl IntoIterator<Item = RouteMatch>) -> RouteTable {
    let routes: Vec<Route> = matches.into_iter().map(|only| route([only])).collect();
    RouteTable { virtual_hosts: vec![virtual_host(&["example.com"], routes)] }
}

/// A table that must compile.
pub(crate) fn compile(table: &RouteTable) -> Router {
    let (router, refused) = Router::compile(table);
    assert_eq!(refused, Vec::<RefusedRoute>::new());
    router
}

/// Does a route with this match take this request?
pub(crate) fn takes(route_match: &RouteMatch, request: &Request) -> bool {
    taken(route_match, request).is_some()
}

/// What of the path a route with this match takes.
pub(crate) fn taken(route_match: &RouteMatch, request: &Request) -> Option<PathMatched> {
    match compile(&table([route_match.clone()])).route(&request.head()) {
        Lookup::Route { virtual_host: 0, route: 0, matched } => Some(matched),
        Lookup::NoRoute { virtual_host: 0 } => None,
        other => panic!("{other:?}"),
    }
}

/// The number of the route that a request gets.
pub(crate) fn chosen(router: &Router, request: &Request) -> Option<usize> {
    match router.route(&request.head()) {
        Lookup::Route { route, .. } => Some(route),
        _ => None,
    }
}
