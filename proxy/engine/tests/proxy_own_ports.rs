//! The status, metrics and admin ports.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::Arc;

use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use postern_engine::{StartError, Stop, admin::LogControl};
use postern_snapshot::{ack::Ack, manifest::Hash};
use support::*;
use tokio::net::TcpStream;

/// A request with any method.
async fn ask(proxy: &Proxy, port: u16, method: Method, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(proxy.at(port)).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder().method(method).uri(path).header("host", "h");
    let response = sender.send_request(request.body(Empty::<&[u8]>::new()).unwrap()).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn ready_is_from_the_first_snapshot_to_the_drain() {
    run(async {
        let volume = Volume::kubelet();
        let backend = Backend::start("one").await;
        let mut proxy = Proxy::start(volume.path(), Options::default()).await;
        let not_ready = proxy.status("/healthz/ready").await;
        assert_eq!(not_ready.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(not_ready.text.contains("no snapshot"), "{}", not_ready.text);
        assert_eq!(proxy.status("/healthz/live").await.status, StatusCode::OK);
        assert_eq!(ask(&proxy, 15000, Method::GET, "/config").await.0, StatusCode::NOT_FOUND);

        let mut snapshot = http_snapshot(vec![to_cluster("/", "app")]);
        snapshot.cluster("app", &[backend.address]);
        proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(proxy.ready().await, StatusCode::OK);

        let mut client = Client::plain(proxy.at(HTTP)).await;
        let held = tokio::spawn(async move { client.get("h", "/hold").await });
        backend.holds().await;
        proxy.stop(Stop::Now);
        let draining = eventually(|| async {
            let answer = proxy.status("/healthz/ready").await;
            (answer.status == StatusCode::SERVICE_UNAVAILABLE).then_some(answer.text)
        });
        assert!(draining.await.contains("draining"));
        assert_eq!(proxy.status("/healthz/live").await.status, StatusCode::OK);
        assert!(proxy.metrics().await.contains("postern_build_info"), "still scraped");
        backend.release();
        assert_eq!(held.await.unwrap().text, "one /hold");
        proxy.ended().await;
    });
}

#[test]
fn the_ack_names_what_is_applied_and_a_long_poll_ends_with_the_next() {
    run(async {
        let mut snapshot = http_snapshot(vec![answer("/", "one")]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let first = proxy.status("/snapshot").await.text;
        let ack: Ack = serde_json::from_str(&first).unwrap();
        assert_eq!((ack.proxy_version.as_str(), &ack.rejected), ("test", &None));
        let applied = ack.applied.unwrap();
        assert_eq!(applied.ingress, "istio-system/istio-ingressgateway");
        assert_eq!(applied.sources, [source("Gateway", "web-gateway", 1)]);

        let at_once = proxy.status(&format!("/snapshot?not={}", Hash::of(b"another"))).await;
        assert_eq!(at_once.text, first);
        let encoded = Hash::of(first.as_bytes()).to_string().replace(':', "%3A");
        let path = format!("/snapshot?timeout=50&not={encoded}");
        let poll = async { proxy.status(&path).await.text };
        let publish = async {
            // As soon as the poll is under way; before, it would only be answered at once.
            tokio::task::yield_now().await;
            snapshot.sources = vec![source("Gateway", "web-gateway", 2)];
            volume.publish(&snapshot)
        };
        let (second, hash) = tokio::join!(poll, publish);
        let applied = serde_json::from_str::<Ack>(&second).unwrap().applied.unwrap();
        assert_eq!((applied.hash, applied.sources[0].generation), (hash, 2));
        // Nothing new: the same again, when patience is over.
        let known = Hash::of(second.as_bytes());
        let waited = proxy.status(&format!("/snapshot?not={known}&timeout=0")).await;
        assert_eq!(waited.text, second);
    });
}

#[test]
fn metrics_tell_of_requests_with_istios_labels() {
    run(async {
        let backend = Backend::start("one").await;
        let mut snapshot = http_snapshot(vec![to_cluster("/app", "app")]);
        snapshot.cluster("app", &[backend.address]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/app").await, "one /app");
        assert_eq!(get(proxy.at(HTTP), "example.com", "/none").await.status, StatusCode::NOT_FOUND);
        let labels = [
            "source_workload=\"istio-ingressgateway\"",
            "source_workload_namespace=\"istio-system\"",
            "destination_service=\"app.default.svc.cluster.local\"",
            "destination_service_name=\"app\"",
            "destination_service_namespace=\"default\"",
            "request_protocol=\"http\"",
            "response_code=\"200\"",
            "response_flags=\"-\"",
        ];
        proxy.metric("istio_requests_total", &labels, 1.0).await;
        proxy.metric("istio_request_duration_milliseconds_count", &labels, 1.0).await;
        proxy.metric("istio_request_bytes_count", &labels[..4], 1.0).await;
        proxy.metric("istio_response_bytes_sum", &labels[..4], 8.0).await;
        proxy.metric("istio_requests_total", &["response_code=\"404\"", "response_flags=\"NR\""], 1.0).await;
        proxy.metric("postern_downstream_connections_total", &["listener=\"0.0.0.0_8080\""], 2.0).await;
        proxy.metric("postern_upstream_connections_total", &["cluster=\"app\""], 1.0).await;
        proxy.metric("postern_snapshot_reloads_total", &["result=\"applied\""], 1.0).await;
        let answer = get(proxy.at(15020), "metrics", "/metrics").await;
        assert!(answer.headers[CONTENT_TYPE].to_str().unwrap().starts_with("application/openmetrics-text"));
        assert!(answer.text.ends_with("# EOF\n"));
    });
}

#[test]
fn the_configuration_is_shown_without_private_keys() {
    run(async {
        let authority = Authority::new("ca");
        let issued = authority.issue(&["example.com"]);
        let mut snapshot = tls_snapshot(vec![https("web", &["example.com"])]);
        snapshot.certificate("web", &issued).routes("web", &["*"], vec![answer("/", "web")]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let (status, text) = ask(&proxy, 15000, Method::GET, "/config").await;
        assert_eq!(status, StatusCode::OK);
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["routes"]["listeners"][0]["name"], "0.0.0.0_8443");
        assert_eq!(config["manifest"]["hash"], proxy.ack().await.applied.unwrap().hash.to_string());
        assert!(text.contains("BEGIN CERTIFICATE") && !text.contains("PRIVATE KEY"));
        let secret: String = issued.key.lines().nth(1).unwrap().into();
        assert!(!text.contains(&secret));

        // What is served is shown, not what lies in its place.
        std::fs::remove_file(volume.path().join("..data")).unwrap();
        assert_eq!(ask(&proxy, 15000, Method::GET, "/config").await.0, StatusCode::NOT_FOUND);
    });
}

#[test]
fn the_log_level_is_shown_and_set() {
    run(async {
        let volume = Volume::kubelet();
        let log: Arc<FakeLog> = Arc::default();
        let options = Options { log: Arc::clone(&log), ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        let admin = |method, path| ask(&proxy, 15000, method, path);
        assert_eq!(admin(Method::GET, "/logging").await, (StatusCode::OK, "info\n".into()));
        for path in
            ["/logging?level=warn,postern_engine=debug", "/logging?level=warn%2Cpostern_engine%3Ddebug"]
        {
            log.set_filter("info").unwrap();
            let expected = (StatusCode::OK, "warn,postern_engine=debug\n".into());
            assert_eq!(admin(Method::POST, path).await, expected);
        }
        let (status, text) = admin(Method::POST, "/logging?level=nonsense").await;
        assert_eq!((status, text.as_str()), (StatusCode::BAD_REQUEST, "level: no such level\n"));
        assert_eq!(admin(Method::POST, "/logging").await.0, StatusCode::BAD_REQUEST);
        assert_eq!(log.filter(), "warn,postern_engine=debug");
    });
}

#[test]
fn wrong_paths_methods_and_parameters_are_explained() {
    run(async {
        let volume = Volume::kubelet();
        let proxy = Proxy::start(volume.path(), Options::default()).await;
        for (port, method, path, status, text) in [
            (15021, Method::GET, "/", StatusCode::NOT_FOUND, "/healthz/ready"),
            (15020, Method::GET, "/", StatusCode::NOT_FOUND, "/stats/prometheus"),
            (15000, Method::GET, "/", StatusCode::NOT_FOUND, "/logging"),
            (15021, Method::POST, "/healthz/ready", StatusCode::METHOD_NOT_ALLOWED, "GET"),
            (15020, Method::DELETE, "/metrics", StatusCode::METHOD_NOT_ALLOWED, "GET"),
            (15000, Method::POST, "/config", StatusCode::METHOD_NOT_ALLOWED, "GET"),
            (15000, Method::PUT, "/logging", StatusCode::METHOD_NOT_ALLOWED, "POST"),
            (15021, Method::GET, "/snapshot?not=x", StatusCode::BAD_REQUEST, "not:"),
            (15021, Method::GET, "/snapshot?not=x&timeout=soon", StatusCode::BAD_REQUEST, "timeout:"),
        ] {
            let answer = ask(&proxy, port, method, path).await;
            assert!(answer.0 == status && answer.1.contains(text), "{path}: {answer:?}");
        }
        let head = ask(&proxy, 15021, Method::HEAD, "/healthz/live").await;
        assert_eq!(head, (StatusCode::OK, String::new()));
    });
}

#[test]
fn an_own_port_that_is_taken_is_an_error_at_the_start() {
    let volume = Volume::kubelet();
    let address = Address::claim();
    let _somebody = std::net::TcpListener::bind(address.port(15020)).unwrap();
    let config = Options::default().config(&address, volume.path(), "unused".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = runtime.block_on(postern_engine::run(config, std::future::pending()));
    assert!(matches!(result, Err(StartError::Port { port: "metrics", .. })), "{result:?}");
}
