//! What HTTP filters and virtual hosts change about requests and responses.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::time::Duration;

use http_support::*;
use postern_snapshot::model::{
    HeaderOps, HttpFilters, LocalRateLimit, RouteAction, TokenBucket, UpstreamProtocol::Http1,
};

fn limit(max_tokens: Option<u32>) -> LocalRateLimit {
    let bucket =
        |max_tokens| TokenBucket { max_tokens, tokens_per_fill: 1, fill_interval: Duration::from_secs(3600) };
    LocalRateLimit {
        name: "envoy.filters.http.local_ratelimit".into(),
        origin: "EnvoyFilter/istio-system/limit".into(),
        stat_prefix: "test".into(),
        token_bucket: max_tokens.map(bucket),
        status: None,
        response_headers: HeaderOps {
            set: vec![("x-local-rate-limit".into(), "true".into())],
            ..HeaderOps::default()
        },
        x_ratelimit_headers: false,
        rate_limited_as_resource_exhausted: false,
    }
}

#[test]
fn a_virtual_host_changes_headers_after_its_routes() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        let set =
            |value: &str| HeaderOps { set: vec![("x-ingress".into(), value.into())], ..HeaderOps::default() };
        let host = &mut setup.table.virtual_hosts[0];
        host.routes[0].response_headers = set("route");
        host.request_headers = set("host-request");
        host.response_headers = set("host");
        let answer = setup.start().await.get("a.example", "/").await;
        assert_eq!((answer.status, answer.header("x-ingress")), (200, "host"));
        assert!(answer.body.contains("x-ingress: host-request"), "{}", answer.body);
    });
}

#[test]
fn a_rate_limit_refuses_requests_too_many() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        let told = LocalRateLimit { x_ratelimit_headers: true, ..limit(Some(2)) };
        setup.filters = HttpFilters { local_rate_limits: vec![told], ..HttpFilters::default() };
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
        let table = setup.table.clone();
        let proxy = setup.start().await;
        for left in ["1", "0"] {
            let answer = proxy.get("a.example", "/").await;
            assert_eq!((answer.status, answer.header("x-ratelimit-remaining")), (200, left));
            assert_eq!(answer.header("x-ratelimit-limit"), "2");
        }
        // A reload fills nothing.
        proxy.reload(&table);
        let answer = proxy.get("a.example", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (429, "local_rate_limited"));
        assert_eq!(answer.header("x-local-rate-limit"), "true");
        assert_eq!(proxy.log_lines(3).await[2], "429 RL local_rate_limited");
    });
}

#[test]
fn routes_and_virtual_hosts_have_limits_of_their_own() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.filters = HttpFilters { local_rate_limits: vec![limit(None)], ..HttpFilters::default() };
        let to = |path: &str| {
            let mut route = route(RouteAction::Forward(forward()));
            route.matches = prefix(path);
            route
        };
        let mut one = to("/one");
        one.filters.local_rate_limits = vec![limit(Some(1))];
        let mut host = virtual_host(&["b.example"], vec![one, to("/a"), to("/b")]);
        host.filters.local_rate_limits = vec![limit(Some(2))];
        setup.table.virtual_hosts.push(host);
        let proxy = setup.start().await;
        for (host, path, status) in [
            ("b.example", "/one", 200),
            ("b.example", "/one", 429),
            ("b.example", "/a", 200),
            ("b.example", "/b", 200),
            ("b.example", "/a", 429),
            ("a.example", "/", 200),
            ("a.example", "/", 200),
        ] {
            assert_eq!(proxy.get(host, path).await.status, status, "{host}{path}");
        }
    });
}
