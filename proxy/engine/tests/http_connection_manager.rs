//! The connection manager's settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, channel::Channel};
use http_support::*;
use postern_snapshot::{
    ack::RefusedKind,
    model::{
        AccessLog, AccessLogFormat, Buffer, EscapedSlashes, HttpSettings, RouteAction, ServerHeader,
        UpstreamProtocol::Http1,
    },
};
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

const LOG: &str = "%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%";

async fn proxy(settings: HttpSettings) -> Proxy {
    let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
    setup.settings = settings;
    setup.access_log = Some(LOG);
    setup.start().await
}

#[test]
fn what_becomes_of_an_upstreams_server_header() {
    run(async {
        let backend = backend(|request: Request<_>| async move {
            let named = request.uri().path() == "/named";
            let response = Response::builder();
            let response = if named { response.header("server", "theirs") } else { response };
            response.body(full("")).unwrap()
        })
        .await;
        for (server_header, named, unnamed) in [
            (None, "theirs", "ours"),
            (Some(ServerHeader::AppendIfAbsent), "theirs", "ours"),
            (Some(ServerHeader::Overwrite), "ours", "ours"),
            (Some(ServerHeader::PassThrough), "theirs", ""),
        ] {
            let mut setup = Setup::forwarding(Http1, &[backend]);
            setup.table.virtual_hosts[0].routes[0].matches = prefix("/named");
            let mut other = route(RouteAction::Forward(forward()));
            other.matches = prefix("/unnamed");
            setup.table.virtual_hosts[0].routes.push(other);
            setup.settings =
                HttpSettings { server_header, server_name: Some("ours".into()), ..HttpSettings::default() };
            let proxy = setup.start().await;
            assert_eq!(proxy.get("a", "/named").await.header("server"), named, "{server_header:?}");
            assert_eq!(proxy.get("a", "/unnamed").await.header("server"), unnamed, "{server_header:?}");
            assert_eq!(proxy.get("a", "/nowhere").await.header("server"), "ours", "an answer of the proxy's");
        }
    });
}

#[test]
fn a_peer_that_is_a_proxy_is_believed() {
    run(async {
        let settings = HttpSettings { use_remote_address: Some(false), ..HttpSettings::default() };
        let mut setup = Setup::forwarding(Http1, &[backend(echo).await]);
        setup.settings = settings;
        setup.access_log =
            Some("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%");
        let proxy = setup.start().await;
        let request = Request::get("/")
            .header("host", "a")
            .header("x-forwarded-for", "192.0.2.1")
            .header("x-forwarded-proto", "https")
            .header("x-request-id", "theirs");
        let answer = proxy.send(request.body(full("")).unwrap()).await;
        assert_eq!(answer.upstream_header("x-forwarded-for"), ["192.0.2.1"]);
        assert_eq!(answer.upstream_header("x-forwarded-proto"), ["https"]);
        assert_eq!(answer.upstream_header("x-request-id"), ["theirs"]);
        assert_eq!(proxy.log_line().await, "192.0.2.1 127.0.0.1");
    });
}

#[test]
fn paths_are_what_the_settings_say() {
    run(async {
        let plain = proxy(HttpSettings { normalize_path: Some(false), ..HttpSettings::default() }).await;
        assert_eq!(plain.get("a", "/a/../b//c").await.upstream_line(), "GET /a/../b//c HTTP/1.1");
        let merging = |escaped_slashes| {
            proxy(HttpSettings { merge_slashes: true, escaped_slashes, ..HttpSettings::default() })
        };
        let forward = merging(EscapedSlashes::UnescapeAndForward).await;
        assert_eq!(
            forward.get("a", "/a%2F%2fb%5c..//c?d=%2F").await.upstream_line(),
            "GET /a/c?d=%2F HTTP/1.1"
        );
        let redirect = merging(EscapedSlashes::UnescapeAndRedirect).await;
        let answer = redirect.get("a", "/a%2F/b?c=%2F").await;
        assert_eq!((answer.status, answer.header("location")), (307, "/a/b?c=%2F"));
        assert_eq!(redirect.get("a", "/a//b").await.upstream_line(), "GET /a/b HTTP/1.1");
        let reject = merging(EscapedSlashes::RejectRequest).await;
        assert_eq!(reject.get("a", "/a%5Cb").await.status, 400);
        assert_eq!(reject.log_line().await, "400 - path_normalization_failed");
        assert_eq!(reject.get("a", "/a%20b").await.status, 200);
    });
}

fn log(format: AccessLogFormat) -> HttpSettings {
    let origin = "EnvoyFilter/istio-system/log".into();
    HttpSettings { access_log: Some(AccessLog { origin, format }), ..HttpSettings::default() }
}

#[test]
fn a_chain_has_an_access_log_of_its_own() {
    run(async {
        let text = proxy(log(AccessLogFormat::Text("own %REQ(x-a)% %RESPONSE_CODE%\n".into()))).await;
        let request = || Request::get("/").header("host", "a").header("x-a", "1").body(full("")).unwrap();
        text.send(request()).await;
        assert_eq!(text.log_line().await, "own 1 200");
        let fields = json!({ "code": "%RESPONSE_CODE%", "request": { "a": "%REQ(x-a)%" } });
        let json = proxy(log(AccessLogFormat::Json(fields.as_object().unwrap().clone()))).await;
        json.send(request()).await;
        assert_eq!(json.log_line().await, r#"{"code":200,"request":{"a":"1"}}"#);
        // One that nobody knows is told, and the proxy's own is used.
        let unknown = proxy(log(AccessLogFormat::Text("%NOBODY_KNOWS%".into()))).await;
        let [refused] = unknown.refused.as_slice() else { panic!("{:?}", unknown.refused) };
        assert_eq!(
            (refused.kind, refused.origin.as_str()),
            (RefusedKind::Setting, "EnvoyFilter/istio-system/log")
        );
        assert!(refused.problem.contains("%NOBODY_KNOWS%"), "{}", refused.problem);
        unknown.send(request()).await;
        assert_eq!(unknown.log_line().await, "200 - via_upstream");
    });
}

#[test]
fn the_contracts_operators_are_those_that_the_log_knows() {
    for name in postern_snapshot::model::OPERATORS {
        let argument =
            if ["REQ", "REQ_WITHOUT_QUERY", "RESP", "TRAILER"].contains(&name) { "(x)" } else { "" };
        let format = format!("%{name}{argument}%");
        postern_telemetry::access_log::Format::text(&format, "host").expect(&format);
    }
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_request_that_comes_too_slowly_gets_408() {
    run(async {
        let proxy = proxy(HttpSettings { request_timeout: Some(SHORT), ..HttpSettings::default() }).await;
        let answer = proxy.raw("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.ends_with("request timeout"), "{answer}");
        assert_eq!(proxy.log_line().await, "408 - request_overall_timeout");
    });
}

#[test]
fn a_slow_answer_to_a_request_that_is_here_is_no_slow_request() {
    run(async {
        let backend = backend(|_| async {
            tokio::time::sleep(SHORT * 3).await;
            Response::new(full("late"))
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.settings = HttpSettings { request_timeout: Some(SHORT), ..HttpSettings::default() };
        assert_eq!(setup.start().await.get("a", "/").await.body, "late");
    });
}

fn idle() -> HttpSettings {
    HttpSettings { stream_idle_timeout: Some(SHORT), ..HttpSettings::default() }
}

#[test]
fn a_stream_on_which_nothing_moves_ends() {
    run(async {
        let backend = backend(|_| async { std::future::pending().await }).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.settings = idle();
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        let answer = proxy.get("a", "/").await;
        assert_eq!((answer.status, answer.body.as_str()), (408, "stream timeout"));
        assert_eq!(proxy.log_line().await, "408 SI stream_idle_timeout");
    });
}

#[test]
fn a_response_that_stops_breaks_off() {
    run(async {
        let backend = backend(|_| async {
            let (mut sender, body) = Channel::<Bytes, hyper::Error>::new(1);
            tokio::task::spawn_local(async move {
                sender.send_data(Bytes::from("begin")).await.unwrap();
                std::future::pending::<()>().await;
            });
            Response::new(body.boxed_unsync())
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.settings = idle();
        setup.access_log = Some(LOG);
        let proxy = setup.start().await;
        let answer = proxy.raw("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("begin"), "{answer}");
        assert_eq!(proxy.log_line().await, "200 SI stream_idle_timeout");
    });
}

#[test]
fn what_moves_now_and_then_is_not_idle() {
    run(async {
        let proxy = proxy(idle()).await;
        let mut stream = proxy.connect().await;
        stream
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 8\r\n\r\n")
            .await
            .unwrap();
        for byte in *b"abcdefgh" {
            tokio::time::sleep(SHORT / 2).await;
            stream.write_all(&[byte]).await.unwrap();
        }
        let answer = read_to_close(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("abcdefgh"), "{answer}");
    });
}

#[test]
fn a_buffered_request_that_stops_ends_too() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[nobody().await]);
        setup.settings = idle();
        setup.filters.buffer = Some(Buffer { max_request_bytes: 100 });
        let proxy = setup.start().await;
        let answer = proxy.raw("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab").await;
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.ends_with("stream timeout"), "{answer}");
    });
}

#[test]
fn a_tunnel_in_which_nothing_moves_ends() {
    run(async {
        let backend = raw_backend(|mut stream| async move {
            read_until(&mut stream, "\r\n\r\n").await;
            let switch = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: any\r\n\r\n";
            stream.write_all(switch).await.unwrap();
            // Until the proxy closes.
            read_to_close(&mut stream).await;
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.settings = idle();
        setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS%");
        let proxy = setup.start().await;
        let answer =
            proxy.raw("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: any\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        assert_eq!(proxy.log_line().await, "101 SI");
    });
}
