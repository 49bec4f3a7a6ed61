//! What the proxy answers itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use http::Request;
use http_support::*;
use postern_snapshot::{
    Port,
    model::{
        DirectResponse, Forward, HeaderOps, HttpSettings, HttpsRedirect, PathRewrite, Redirect, RedirectPath,
        RedirectPort, ResponseBody, RouteAction, RouteTable, Target, UpstreamProtocol::Http1,
    },
};

const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %ROUTE_NAME%";

fn unavailable(status: u16) -> Forward {
    let mut forward = forward();
    forward.targets[0].target = Target::Unavailable { status };
    forward
}

#[test]
fn what_cannot_be_routed() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[]);
        let mut app = route(RouteAction::Forward(forward()));
        app.matches = prefix("/app");
        let mut gone = route(RouteAction::Forward(unavailable(503)));
        gone.matches = prefix("/gone");
        let mut missing = route(RouteAction::Forward(unavailable(500)));
        missing.matches = prefix("/missing");
        let mut unknown = route(RouteAction::Forward(forward()));
        unknown.matches = prefix("/unknown");
        let RouteAction::Forward(to) = &mut unknown.action else { panic!() };
        to.targets = vec![target("no such cluster")];
        setup.table = hosts(&["a.example"], vec![app, gone, missing, unknown]);
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        for (number, (host, path, status, body, log)) in [
            ("b.example", "/app", 404, "", "404 NR route_not_found -"),
            ("a.example", "/other", 404, "", "404 NR route_not_found -"),
            ("a.example", "/app", 503, "no healthy upstream", "503 UH no_healthy_upstream the-route"),
            ("a.example", "/gone", 503, "", "503 NC cluster_not_found the-route"),
            ("a.example", "/missing", 500, "", "500 NC cluster_not_found the-route"),
            ("a.example", "/unknown", 503, "", "503 NC cluster_not_found the-route"),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = proxy.get(host, path).await;
            assert_eq!((answer.status, answer.body.as_str()), (status, body), "{host}{path}");
            assert_eq!(answer.header("server"), "postern");
            assert_eq!(proxy.log_lines(number + 1).await[number], log, "{host}{path}");
        }
    });
}

#[test]
fn redirects() {
    run(async {
        let mut to_https = route(RouteAction::Redirect(Redirect {
            status: 308,
            scheme: Some("https".into()),
            host: Some("new.example".into()),
            port: RedirectPort::RequestPort,
            path: Some(RedirectPath::Prefix("/new".into())),
        }));
        to_https.matches = prefix("/old");
        to_https.response_headers =
            HeaderOps { set: vec![("x-why".into(), "moved".into())], ..HeaderOps::default() };
        let mut host = virtual_host(&["plain.example"], vec![]);
        host.https_redirect = Some(HttpsRedirect { port: Port::new(8443) });
        let mut setup = Setup { service_port: 8080, ..Setup::default() };
        setup.table =
            RouteTable { virtual_hosts: vec![virtual_host(&["old.example"], vec![to_https]), host] };
        let proxy = setup.start().await;
        let answer = proxy.get("old.example:80", "/old/x?q=1").await;
        assert_eq!((answer.status, answer.header("location")), (308, "https://new.example:8080/new/x?q=1"));
        assert_eq!((answer.header("x-why"), answer.body.as_str()), ("moved", ""));
        let answer = proxy.get("plain.example:8080", "/x?q=1").await;
        assert_eq!((answer.status, answer.header("location")), (301, "https://plain.example:8443/x?q=1"));
    });
}

/// Behind a trusted load balancer that speaks TLS, a redirect to HTTPS would go on forever.
#[test]
fn no_redirect_to_https_when_the_trusted_proxy_in_front_speaks_it() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.table.virtual_hosts[0].https_redirect = Some(HttpsRedirect::default());
        setup.settings = HttpSettings { xff_trusted_hops: Some(1), ..HttpSettings::default() };
        let proxy = setup.start().await;
        for (proto, status) in [("http", 301), ("https", 200)] {
            let request = Request::get("/").header("host", "a").header("x-forwarded-proto", proto);
            assert_eq!(proxy.send(request.body(full("")).unwrap()).await.status, status, "{proto}");
        }
    });
}

#[test]
fn direct_responses() {
    run(async {
        let direct = DirectResponse { status: 418, body: Some(ResponseBody::Text("short and stout".into())) };
        let setup = Setup {
            table: hosts(&["*"], vec![route(RouteAction::DirectResponse(direct))]),
            access_log: Some("%BYTES_SENT% %RESPONSE_CODE_DETAILS%"),
            ..Setup::default()
        };
        let proxy = setup.start().await;
        let answer = proxy.get("a", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (418, "short and stout"));
        assert_eq!(answer.header("content-type"), "text/plain");
        assert_eq!(proxy.log_line().await, "15 direct_response");
        let head = Request::head("/").header("host", "a").body(full("")).unwrap();
        let answer = proxy.send(head).await;
        assert_eq!((answer.status, answer.body.as_str(), answer.header("content-length")), (418, "", "15"));
    });
}

#[test]
fn a_route_that_cannot_be_carried_out_costs_only_itself() {
    run(async {
        let mut bad = forward();
        bad.path_rewrite = Some(PathRewrite::Regex { pattern: "(".into(), substitution: String::new() });
        let mut bad = route(RouteAction::Forward(bad));
        bad.matches = prefix("/bad");
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.table.virtual_hosts[0].routes.insert(0, bad);
        let proxy = setup.start().await;
        assert_eq!(proxy.refused.len(), 1);
        assert_eq!(proxy.refused[0].origin, "VirtualService/default/app");
        assert!(proxy.refused[0].problem.starts_with("path rewrite: "), "{}", proxy.refused[0].problem);
        assert_eq!(proxy.get("a", "/bad").await.status, 500);
        assert_eq!(proxy.get("a", "/good").await.status, 200);
    });
}

#[test]
fn misdirected_requests_get_421() {
    run(async {
        for (alpn, tls) in [(Some(&b"h2"[..]), true), (None, false)] {
            let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
            setup.table.virtual_hosts[0].domains = vec!["a.example".parse().unwrap()];
            setup.others = vec!["b.example".parse().unwrap(), "*.c.example".parse().unwrap()];
            setup.tls = tls.then(|| tls_info(alpn, "a.example"));
            setup.access_log =
                Some("%PROTOCOL% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %REQUESTED_SERVER_NAME%");
            let proxy = setup.start().await;
            let mut client = proxy.http2().await;
            for (host, over_tls) in
                [("a.example", 200), ("b.example", 421), ("x.c.example:443", 421), ("d.example", 404)]
            {
                let expected = if tls || over_tls == 200 { over_tls } else { 404 };
                let request = Request::get(format!("https://{host}/")).body(full("")).unwrap();
                let answer = client.send_request(request).await.unwrap();
                assert_eq!(answer.status(), expected, "{host}, tls: {tls}");
            }
            if tls {
                let lines = proxy.log_lines(4).await;
                assert_eq!(lines[1], "HTTP/2 421 misdirected_request a.example");
            }
        }
    });
}

#[test]
fn the_server_header_can_be_named() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings = HttpSettings { server_name: Some("edge".into()), ..HttpSettings::default() };
        let proxy = setup.start().await;
        assert_eq!(proxy.get("a", "/").await.header("server"), "edge");
    });
}
