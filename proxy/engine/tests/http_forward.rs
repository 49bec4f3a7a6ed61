//! What upstreams and clients get to see of each other.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use http::{Request, Response};
use http_support::*;
use postern_snapshot::model::{HeaderOps, HttpSettings, PathRewrite, RouteAction, UpstreamProtocol};

use UpstreamProtocol::{Http1, Http2};

#[test]
fn a_request_passes_over_http1() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let answer = proxy.get("example.com", "/app/x?q=1").await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.upstream_line(), "GET /app/x?q=1 HTTP/1.1");
        assert_eq!(answer.upstream_header("host"), ["example.com"]);
        assert_eq!(answer.upstream_header("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(answer.upstream_header("x-forwarded-proto"), ["http"]);
        assert_eq!(answer.upstream_header("x-envoy-attempt-count"), ["1"]);
        assert_eq!(answer.upstream_header("x-request-id")[0].len(), 36);
        assert_eq!(answer.header("server"), "postern");
        assert!(!answer.header("date").is_empty());
        assert_eq!(answer.header("x-envoy-upstream-service-time"), "");
    });
}

#[test]
fn all_combinations_of_protocols_pass_bodies() {
    run(async {
        for upstream in [Http1, Http2] {
            let address = match upstream {
                Http1 => backend(echo).await,
                _ => backend_http2(echo).await,
            };
            let proxy = Setup::forwarding(upstream, &[address]).start().await;
            let request = || Request::post("/p").header("host", "a.example").body(full("some body")).unwrap();
            let mut over_http2 = request();
            *over_http2.uri_mut() = "http://a.example/p".parse().unwrap();
            over_http2.headers_mut().clear();
            let one = proxy.send(request()).await;
            let two = Answer::of(proxy.http2().await.send_request(over_http2).await.unwrap()).await;
            for answer in [one, two] {
                assert_eq!(answer.status, 200);
                assert_eq!(answer.upstream_body(), "some body");
                match upstream {
                    Http1 => {
                        assert_eq!(answer.upstream_line(), "POST /p HTTP/1.1");
                        assert_eq!(answer.upstream_header("host"), ["a.example"]);
                    }
                    _ => {
                        assert_eq!(answer.upstream_line(), "POST http://a.example/p HTTP/2.0");
                        assert!(answer.upstream_header("host").is_empty());
                    }
                }
            }
        }
    });
}

#[test]
fn header_changes_apply_in_the_order_of_the_contract() {
    run(async {
        let ops = |remove: &[&str], set: &[(&str, &str)], add: &[(&str, &str)]| HeaderOps {
            remove: remove.iter().map(|name| (*name).into()).collect(),
            set: set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
            add: add.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
        };
        let mut to = forward();
        to.targets[0].request_headers = ops(&[], &[("x-both", "target")], &[("x-list", "target")]);
        to.targets[0].response_headers = ops(&["x-internal"], &[("x-out", "target")], &[]);
        let mut from = route(RouteAction::Forward(to));
        from.request_headers = ops(&["x-gone"], &[("x-both", "route")], &[("x-list", "route")]);
        from.response_headers = ops(&[], &[("x-out", "route")], &[]);
        let address = backend(|request| async {
            let mut response = echo(request).await;
            response.headers_mut().insert("x-internal", "secret".parse().unwrap());
            response.headers_mut().insert("server", "app".parse().unwrap());
            response
        })
        .await;
        let proxy = Setup::routing(Http1, &[address], from).start().await;
        let request = Request::get("/").header("host", "a").header("x-gone", "1").header("x-list", "client");
        let answer = proxy.send(request.body(full("")).unwrap()).await;
        assert!(answer.upstream_header("x-gone").is_empty());
        assert_eq!(answer.upstream_header("x-both"), ["target"]);
        assert_eq!(answer.upstream_header("x-list"), ["client", "route", "target"]);
        assert_eq!(answer.header("x-out"), "route");
        assert_eq!(answer.header("x-internal"), "");
        assert_eq!(answer.header("server"), "app");
    });
}

#[test]
fn path_and_host_are_rewritten_and_the_originals_told() {
    run(async {
        let mut to = forward();
        to.path_rewrite = Some(PathRewrite::Prefix("/v2/".into()));
        to.host_rewrite = Some("inner.example:81".into());
        let mut from = route(RouteAction::Forward(to));
        from.matches = prefix("/v1/");
        for upstream in [Http1, Http2] {
            let address = match upstream {
                Http1 => backend(echo).await,
                _ => backend_http2(echo).await,
            };
            let proxy = Setup::routing(upstream, &[address], from.clone()).start().await;
            let answer = proxy.get("outer.example", "/v1/x?q=1").await;
            match upstream {
                Http1 => {
                    assert_eq!(answer.upstream_line(), "GET /v2/x?q=1 HTTP/1.1");
                    assert_eq!(answer.upstream_header("host"), ["inner.example:81"]);
                }
                _ => {
                    assert_eq!(answer.upstream_line(), "GET http://inner.example:81/v2/x?q=1 HTTP/2.0");
                }
            }
            assert_eq!(answer.upstream_header("x-envoy-original-path"), ["/v1/x?q=1"]);
            assert_eq!(answer.upstream_header("x-forwarded-host"), ["outer.example"]);
        }
    });
}

#[test]
fn hop_by_hop_headers_end_in_both_directions() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            use tokio::io::AsyncWriteExt as _;
            let request = read_until(&mut stream, "\r\n\r\n").await.to_lowercase();
            for gone in
                ["keep-alive:", "proxy-connection:", "x-mine:", "upgrade:", "connection:", "http2-settings:"]
            {
                assert!(!request.contains(gone), "{gone} in {request}");
            }
            assert!(request.contains("te: trailers\r\n"), "{request}");
            let response = "HTTP/1.1 200 OK\r\nconnection: x-inner\r\nx-inner: 1\r\nkeep-alive: timeout=5\r\n\
                            proxy-connection: close\r\ncontent-length: 2\r\nx-kept: 1\r\n\r\nok";
            stream.write_all(response.as_bytes()).await.unwrap();
        })
        .await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let response = proxy
            .raw(
                "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, x-mine, te, upgrade, http2-settings\r\nx-mine: 1\r\n\
                 keep-alive: timeout=1\r\nproxy-connection: keep-alive\r\nte: trailers, deflate\r\nupgrade: h2c\r\n\
                 http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n",
            )
            .await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("x-kept: 1\r\n"));
        for gone in ["x-inner", "keep-alive", "proxy-connection"] {
            assert!(!response.contains(gone), "{gone} in {response}");
        }
        assert!(response.ends_with("\r\n\r\nok"));
    });
}

#[test]
fn an_http10_answer_becomes_one_of_the_clients_version() {
    run(async {
        let address = raw_backend(|mut stream| async move {
            use tokio::io::AsyncWriteExt as _;
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(b"HTTP/1.0 200 OK\r\n\r\nuntil closed").await.unwrap();
        })
        .await;
        let proxy = Setup::forwarding(Http1, &[address]).start().await;
        let response = proxy.raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await;
        assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
        assert!(response.contains("until closed"));
    });
}

#[test]
fn cookie_crumbs_of_http2_are_joined_for_http1() {
    run(async {
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        let request = Request::get("http://a/").header("cookie", "a=1").header("cookie", "b=2");
        let response = proxy.http2().await.send_request(request.body(full("")).unwrap()).await.unwrap();
        assert_eq!(Answer::of(response).await.upstream_header("cookie"), ["a=1; b=2"]);
    });
}

#[test]
fn trusted_hops_are_believed() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings = HttpSettings { xff_trusted_hops: Some(1), ..HttpSettings::default() };
        setup.access_log = Some("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%");
        let proxy = setup.start().await;
        let request = Request::get("/")
            .header("host", "a")
            .header("x-forwarded-for", "9.9.9.9,8.8.8.8")
            .header("x-forwarded-proto", "https")
            .header("x-forwarded-host", "outer");
        let answer = proxy.send(request.body(full("")).unwrap()).await;
        assert_eq!(answer.upstream_header("x-forwarded-for"), ["9.9.9.9,8.8.8.8,127.0.0.1"]);
        assert_eq!(answer.upstream_header("x-forwarded-proto"), ["https"]);
        assert_eq!(answer.upstream_header("x-forwarded-host"), ["outer"]);
        assert_eq!(proxy.log_line().await, "8.8.8.8");
    });
}

#[test]
fn paths_are_normal_before_routes_see_them() {
    run(async {
        let mut admin = route(RouteAction::Forward(forward()));
        admin.matches = prefix("/admin");
        let proxy = Setup::routing(Http1, &[backend(echo).await], admin).start().await;
        let proxy = &proxy;
        let line = |path: &'static str| async move {
            let answer =
                proxy.raw(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
            answer.lines().find(|line| line.starts_with("GET ")).unwrap_or("").to_owned()
        };
        assert_eq!(line("/public/%2e%2e/admin?x=/../y").await, "GET /admin?x=/../y HTTP/1.1");
        assert_eq!(line("/public\\..\\admin").await, "GET /admin HTTP/1.1");
        assert_eq!(line("/admin/../public").await, "");
        assert_eq!(line("/admin//x").await, "GET /admin//x HTTP/1.1");
        let nul = proxy.raw("GET /admin%00 HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(nul.starts_with("HTTP/1.1 400 "), "{nul}");
    });
}

#[test]
fn weights_share_the_traffic() {
    run(async {
        let mut setup = Setup::default();
        let mut to = forward();
        to.targets.clear();
        for (name, weight) in [("a", 3), ("b", 1)] {
            let address = backend(move |_| async move { Response::new(full(name)) }).await;
            setup.add_cluster(name, cluster(Http1), &[address]);
            to.targets.push(postern_snapshot::model::WeightedTarget { weight, ..target(name) });
        }
        setup.table = hosts(&["*"], vec![route(RouteAction::Forward(to))]);
        let proxy = setup.start().await;
        let mut client = proxy.http1().await;
        let mut a = 0;
        for _ in 0..400 {
            client.ready().await.unwrap();
            let request = Request::get("/").header("host", "x").body(full("")).unwrap();
            a += usize::from(Answer::of(client.send_request(request).await.unwrap()).await.body == "a");
        }
        assert!((240..=360).contains(&a), "{a} of 400 went to a");
    });
}
