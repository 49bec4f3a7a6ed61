//! What a lookup costs with few and with many hosts, routes and regular expressions.
//!
//! `cargo bench -p postern-router`. The names say what there is; the request always hits the middle of it unless the
//! name says otherwise.

#![allow(clippy::unwrap_used, reason = "a benchmark of fixed tables")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use postern_router::{Lookup, RequestHead, Router};
use postern_snapshot::model::{
    Forward, HeaderMatch, HeaderOps, PathMatch, Route, RouteAction, RouteMatch, RouteTable, StringMatch,
    ValueMatch, VirtualHost,
};

fn route(route_match: RouteMatch) -> Route {
    Route {
        name: String::new(),
        origin: "VirtualService/default/bench".to_owned(),
        matches: vec![route_match],
        action: RouteAction::Forward(Forward::default()),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: Default::default(),
        cors: None,
    }
}

fn path(path: PathMatch) -> RouteMatch {
    RouteMatch { path: Some(path), ..RouteMatch::default() }
}

fn virtual_host(domain: &str, matches: impl Iterator<Item = RouteMatch>) -> VirtualHost {
    VirtualHost {
        name: format!("{domain}:80"),
        domains: vec![domain.parse().unwrap()],
        https_redirect: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        routes: matches.map(route).collect(),
    }
}

fn one_host(matches: impl Iterator<Item = RouteMatch>) -> RouteTable {
    RouteTable { virtual_hosts: vec![virtual_host("example.com", matches)] }
}

fn compile(table: &RouteTable) -> Router {
    let (router, refused) = Router::compile(table);
    assert!(refused.is_empty(), "{refused:?}");
    router
}

/// Measures one lookup, and that it finds this route (`None`: no route, or no host).
fn measure(c: &mut Criterion, name: &str, router: &Router, host: &str, path: &str, expected: Option<usize>) {
    let headers = HeaderMap::from_iter([
        (http::header::USER_AGENT, "curl/8".parse().unwrap()),
        (http::header::ACCEPT, "*/*".parse().unwrap()),
        (http::header::HOST, "example.com".parse().unwrap()),
    ]);
    let head = RequestHead {
        host,
        authority: host,
        scheme: "https",
        method: "GET",
        path,
        query: None,
        headers: &headers,
    };
    let found = match router.route(&head) {
        Lookup::Route { route, .. } => Some(route),
        _ => None,
    };
    assert_eq!(found, expected, "{name}");
    c.bench_function(name, |bencher| bencher.iter(|| router.route(black_box(&head))));
}

fn prefixes(c: &mut Criterion) {
    for count in [3, 1_000, 10_000] {
        let prefix = |number| path(PathMatch::Prefix(format!("/service-{number}/")));
        let router = compile(&one_host((0..count).map(prefix)));
        let hit = format!("/service-{}/api/v1/items?", count / 2);
        measure(c, &format!("prefixes/{count}"), &router, "example.com", &hit, Some(count / 2));
        let miss = format!("/service-{}-none/api/v1/items", count / 2);
        measure(c, &format!("prefixes/{count}/no route"), &router, "example.com", &miss, None);
    }
    let exact = |number| path(PathMatch::Exact(format!("/service-{number}/api/v1/items")));
    let router = compile(&one_host((0..10_000).map(exact)));
    measure(c, "exact paths/10000", &router, "example.com", "/service-5000/api/v1/items", Some(5_000));
    let segments = |number| path(PathMatch::PathSeparatedPrefix(format!("/service-{number}")));
    let router = compile(&one_host((0..10_000).map(segments)));
    measure(c, "path-separated prefixes/10000", &router, "example.com", "/service-5000/api", Some(5_000));
    let ignoring = |number| RouteMatch { ignore_path_case: true, ..segments(number) };
    let router = compile(&one_host((0..10_000).map(ignoring)));
    measure(c, "ignoring case/10000", &router, "example.com", "/Service-5000/api", Some(5_000));
}

fn hosts(c: &mut Criterion) {
    for count in [3, 10_000] {
        let catch_all = || std::iter::once(path(PathMatch::Prefix("/".to_owned())));
        let hosts = (0..count).flat_map(|number| {
            [format!("app-{number}.example.com"), format!("*.wild-{number}.example.com")]
                .map(|domain| virtual_host(&domain, catch_all()))
        });
        let router = compile(&RouteTable { virtual_hosts: hosts.collect() });
        let middle = count / 2;
        let exact = format!("app-{middle}.example.com");
        measure(c, &format!("hosts/{count}"), &router, &exact, "/api/v1/items", Some(0));
        let wildcard = format!("a.wild-{middle}.example.com");
        measure(c, &format!("hosts/{count}/wildcard"), &router, &wildcard, "/api/v1/items", Some(0));
        let many_labels = format!("{}example.org", "a.".repeat(60));
        measure(c, &format!("hosts/{count}/60 labels, no host"), &router, &many_labels, "/", None);
    }
}

fn regexes(c: &mut Criterion) {
    let thousand = |pattern: &dyn Fn(usize) -> String| {
        compile(&one_host((0..1_000).map(|number| path(PathMatch::Regex(pattern(number))))))
    };
    let router = thousand(&|number| format!("/service-{number}/v[0-9]+/.*"));
    let hit = "/service-500/v1/items";
    measure(c, "regexes/1000/own beginnings", &router, "example.com", hit, Some(500));
    let router = thousand(&|number| format!("/[^/]+/v[0-9]+/item-{number}"));
    let hit = "/app/v1/item-500";
    measure(c, "regexes/1000/own ends", &router, "example.com", hit, Some(500));
    let router = thousand(&|number| format!("/[^/]+/item-{number}(/.*)?"));
    let hit = "/app/item-500/a";
    measure(c, "regexes/1000/own middles", &router, "example.com", hit, Some(500));
    let router = thousand(&|number| format!("/[a-z]+/[0-9]{{{}}}", number + 1));
    let hit = format!("/app/{}", "7".repeat(100));
    measure(c, "regexes/1000/nothing literal, the 100th", &router, "example.com", &hit, Some(99));
    measure(c, "regexes/1000/nothing literal, no route", &router, "example.com", "/app/x", None);
    let router = compile(&one_host(std::iter::once(path(PathMatch::Regex("/api/v[0-9]+/.*".to_owned())))));
    measure(c, "regexes/1", &router, "example.com", "/api/v1/items", Some(0));
}

fn headers(c: &mut Criterion) {
    for count in [10, 1_000] {
        let tenant = |number: usize| RouteMatch {
            headers: vec![HeaderMatch {
                name: "user-agent".to_owned(),
                value: ValueMatch::String(StringMatch::Exact(format!("agent-{number}"))),
                invert: false,
            }],
            ..path(PathMatch::Prefix("/".to_owned()))
        };
        let last = std::iter::once(path(PathMatch::Prefix("/".to_owned())));
        let router = compile(&one_host((0..count).map(tenant).chain(last)));
        measure(c, &format!("one path, other headers/{count}"), &router, "example.com", "/x", Some(count));
    }
}

fn compiling(c: &mut Criterion) {
    let prefix = |number| path(PathMatch::Prefix(format!("/service-{number}/")));
    let table = one_host((0..10_000).map(prefix));
    c.bench_function("compile/10000 prefixes", |bencher| bencher.iter(|| Router::compile(black_box(&table))));
    let regex = |number| path(PathMatch::Regex(format!("/service-{number}/v[0-9]+/.*")));
    let table = one_host((0..1_000).map(regex));
    c.bench_function("compile/1000 regexes", |bencher| bencher.iter(|| Router::compile(black_box(&table))));
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = prefixes, hosts, regexes, headers, compiling
}
criterion_main!(benches);
