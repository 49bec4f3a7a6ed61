//! What is counted and logged of each request.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use http::{Request, Response};
use http_support::*;
use postern_snapshot::model::{PathRewrite, RouteAction, UpstreamProtocol::Http1};
use postern_telemetry::access_log::ISTIO_TEXT_FORMAT;

fn counted(metrics: &str, name: &str) -> Vec<String> {
    let start = format!("{name}{{");
    metrics.lines().filter(|line| line.starts_with(&start)).map(str::to_owned).collect()
}

#[test]
fn requests_are_counted_by_destination_and_outcome() {
    run(async {
        let mut app = route(RouteAction::Forward(forward()));
        app.matches = prefix("/app");
        let proxy = Setup::routing(Http1, &[backend(echo).await], app).start().await;
        for path in ["/app", "/app/x", "/other"] {
            proxy.get("a", path).await;
        }
        let lines = counted(&proxy.metrics.render(), "istio_requests_total");
        assert_eq!(lines.len(), 2, "{lines:?}");
        let forwarded = lines.iter().find(|line| line.contains("response_code=\"200\"")).unwrap();
        for label in [
            "destination_service=\"app.default.svc\"",
            "destination_service_name=\"app\"",
            "destination_service_namespace=\"default\"",
            "request_protocol=\"http\"",
            "response_flags=\"-\"",
        ] {
            assert!(forwarded.contains(label), "{label} in {forwarded}");
        }
        assert!(forwarded.ends_with(" 2"), "{forwarded}");
        let missing = lines.iter().find(|line| line.contains("response_code=\"404\"")).unwrap();
        assert!(missing.contains("response_flags=\"NR\"") && missing.ends_with(" 1"), "{missing}");
        assert!(missing.contains("destination_service=\"unknown\""), "{missing}");
    });
}

#[test]
fn istios_format_has_what_it_asks_for() {
    run(async {
        let address = backend(|request| async {
            let _ = echo(request).await;
            Response::builder().status(201).body(full("eleven bytes")).unwrap()
        })
        .await;
        let mut to = forward();
        to.path_rewrite = Some(PathRewrite::Full("/inner".into()));
        let mut setup = Setup::routing(Http1, &[address], route(RouteAction::Forward(to)));
        setup.access_log = Some(ISTIO_TEXT_FORMAT);
        setup.tls = Some(tls_info(None, "a.example"));
        let proxy = setup.start().await;
        let request = Request::post("/outer?x=1").header("host", "a.example").header("user-agent", "test/1");
        proxy.send(request.body(full("body!")).unwrap()).await;
        let line = proxy.log_line().await;
        let upstream = address.to_string();
        for part in [
            "\"POST /outer?x=1 HTTP/1.1\" 201 - via_upstream - \"-\" 5 12 ",
            "\"127.0.0.1\" \"test/1\" \"",
            "\" \"a.example\" \"",
            &format!("\"{upstream}\" {CLUSTER} "),
            " a.example the-route",
        ] {
            assert!(line.contains(part), "{part:?} in {line}");
        }
    });
}

#[test]
fn the_format_can_change_while_requests_come() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.access_log = Some("one %REQ(x-a)%");
        let proxy = setup.start().await;
        let get = || Request::get("/").header("host", "a").header("x-a", "1").body(full("")).unwrap();
        proxy.send(get()).await;
        assert_eq!(proxy.log_line().await, "one 1");
        let two = postern_telemetry::access_log::Format::text("two %REQ(host)% %REQ(x-a)%", "test").unwrap();
        proxy.worker.access_log.set_format(Some(std::sync::Arc::new(two)));
        proxy.send(get()).await;
        assert_eq!(proxy.log_lines(2).await[1], "two a 1");
        proxy.worker.access_log.set_format(None);
        proxy.send(get()).await;
        proxy.worker.access_log.flush();
        assert_eq!(proxy.log_lines(2).await.len(), 2);
    });
}
