//! The metrics as a scraper sees them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use postern_telemetry::metrics::{
    ConnectFailure, DatagramDrop, Destination, DestinationLabels, HandshakeFailure, Identity, Metrics,
    MirrorFailure, Options, ReloadResult, RequestEnd, RequestProtocol,
};
use postern_telemetry::{GrpcStatus, Reason, ResponseFlag, ResponseFlags};
use similar_asserts::assert_eq;

fn metrics(options: Options) -> Metrics {
    let identity = Identity {
        workload: "istio-ingressgateway".to_owned(),
        namespace: "istio-system".to_owned(),
        version: "1.2.3".to_owned(),
    };
    Metrics::new(identity, options)
}

fn app(metrics: &Metrics, name: &str) -> Arc<Destination> {
    metrics.destination(&DestinationLabels {
        service: format!("{name}.default.svc.cluster.local"),
        name: name.to_owned(),
        namespace: "default".to_owned(),
    })
}

fn request(destination: &Destination) -> RequestEnd<'_> {
    RequestEnd {
        destination,
        protocol: RequestProtocol::Http,
        response_code: 200,
        response_flags: ResponseFlags::NONE,
        grpc_status: None,
        duration: Duration::from_micros(1_500),
        request_bytes: 0,
        response_bytes: 1_024,
    }
}

/// The exposition without the figures of this process, which differ from run to run.
fn stable(metrics: &Metrics) -> String {
    let text = metrics.render();
    text.lines().filter(|line| !line.contains("process_")).map(|line| format!("{line}\n")).collect()
}

/// The sum of the samples whose line begins with `name` and holds all of `labels`.
fn sample(text: &str, name: &str, labels: &[&str]) -> f64 {
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .filter(|line| labels.iter().all(|label| line.contains(label)))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

#[test]
fn the_exposition_is_as_in_the_golden_file() {
    let metrics = metrics(Options::default());
    let app = app(&metrics, "app-service");
    let worker = metrics.worker();
    worker.request(&request(&app));
    worker.request(&RequestEnd {
        protocol: RequestProtocol::Grpc,
        grpc_status: Some(GrpcStatus::UNAVAILABLE),
        response_flags: Reason::NoHealthyUpstream.flags(),
        ..request(&app)
    });
    worker.request(&RequestEnd {
        response_code: 404,
        response_flags: Reason::RouteNotFound.flags(),
        response_bytes: 0,
        ..request(metrics.unknown_destination())
    });
    worker.tcp_opened(&app);
    worker.tcp_bytes(&app, 100, 7);
    worker.tcp_closed(&app, ResponseFlag::UpstreamConnectionTermination.into());

    let listener = metrics.listener("0.0.0.0_8443");
    let open = listener.connection();
    drop(listener.connection());
    listener.handshake_failed(HandshakeFailure::UnknownServerName);
    let udp = metrics.udp("udp_0.0.0.0_53");
    let datagrams = udp.share();
    datagrams.session_begun();
    datagrams.session_begun();
    datagrams.session_ended();
    datagrams.idle_timeout();
    datagrams.received(30);
    datagrams.sent(120);
    datagrams.dropped(DatagramDrop::NoneHealthy);
    let cluster = metrics.cluster("outbound|80||app-service.default.svc.cluster.local");
    let pooled = cluster.connection();
    cluster.connect_failed(ConnectFailure::Refused);
    cluster.retried();
    cluster.mirrored();
    cluster.mirror_failed(MirrorFailure::Slow);
    metrics.reloaded(
        ReloadResult::Applied,
        "sha256:aa",
        UNIX_EPOCH + Duration::from_millis(1_700_000_000_250),
    );
    metrics.reloaded(ReloadResult::Refused, "sha256:bb", UNIX_EPOCH + Duration::from_secs(1_700_000_060));
    metrics.access_log_dropped().inc_by(2);

    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/metrics.golden.txt");
    let rendered = stable(&metrics);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(golden, &rendered).unwrap();
    }
    assert_eq!(rendered, std::fs::read_to_string(golden).unwrap());
    drop((open, pooled));
}

#[test]
fn the_process_tells_its_figures() {
    let text = metrics(Options::default()).render();
    for name in [
        "process_cpu_seconds_total",
        "process_start_time_seconds",
        "process_resident_memory_bytes",
        "process_virtual_memory_bytes",
        "process_threads",
        "process_open_fds",
        "process_max_fds",
    ] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is missing");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn workers_count_side_by_side_while_scrapes_and_reloads_go_on() {
    const WORKERS: u64 = 4;
    const REQUESTS: u64 = 20_000;
    let metrics = metrics(Options { retention: Duration::ZERO, ..Options::default() });
    let destinations = [app(&metrics, "a"), app(&metrics, "b")];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|_| {
                scope.spawn(|| {
                    let worker = metrics.worker();
                    for number in 0..REQUESTS {
                        let destination = &destinations[(number % 2) as usize];
                        let response_code = if number % 10 == 0 { 503 } else { 200 };
                        worker.request(&RequestEnd { response_code, ..request(destination) });
                        worker.tcp_bytes(destination, 2, 1);
                        // Comes and goes, so that series are removed all the time.
                        worker.request(&request(&app(&metrics, &format!("gone-{}", number % 7))));
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut last = 0.0;
            while !done.load(Ordering::Relaxed) {
                let text = metrics.render();
                let now = sample(&text, "istio_requests_total", &["destination_service_name=\"a\""]);
                assert!(now >= last, "a counter went back from {last} to {now}");
                last = now;
            }
        });
        for worker in workers {
            worker.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    let text = metrics.render();
    let (total, name) = ((WORKERS * REQUESTS) as f64, "istio_requests_total");
    assert_eq!(sample(&text, name, &["_name=\"a\""]) + sample(&text, name, &["_name=\"b\""]), total);
    assert_eq!(sample(&text, name, &["_name=\"a\"", "response_code=\"503\""]), total / 10.0);
    let duration = sample(&text, "istio_request_duration_milliseconds_sum", &["_name=\"b\""]);
    assert_eq!(duration, total / 2.0 * 1.5);
    let infinite = sample(&text, "istio_response_bytes_bucket", &["le=\"+Inf\"", "_name=\"b\""]);
    assert_eq!(infinite, total / 2.0);
    assert_eq!(sample(&text, "istio_tcp_sent_bytes_total", &[]), total * 2.0);
    assert!(!text.contains("gone-"), "what nobody holds is removed");
}

#[test]
fn series_outlive_a_reload_and_end_after_the_retention() {
    let metrics = metrics(Options { retention: Duration::from_secs(600), ..Options::default() });
    let worker = metrics.worker();
    worker.request(&request(&app(&metrics, "app")));
    let start = Instant::now();
    metrics.sweep(start);
    metrics.sweep(start + Duration::from_secs(599));
    // The destination is in the next snapshot again, and counts on.
    let again = app(&metrics, "app");
    worker.request(&request(&again));
    metrics.sweep(start + Duration::from_secs(10_000));
    let count = |metrics: &Metrics| {
        sample(&metrics.render(), "istio_requests_total", &["destination_service_name=\"app\""])
    };
    assert_eq!(count(&metrics), 2.0);
    drop(again);
    metrics.sweep(start + Duration::from_secs(20_000));
    metrics.sweep(start + Duration::from_secs(20_600));
    assert_eq!(count(&metrics), 0.0);
    worker.request(&request(&app(&metrics, "app")));
    assert_eq!(count(&metrics), 1.0);
}

#[test]
fn listeners_and_clusters_go_when_nobody_holds_them() {
    let metrics = metrics(Options { retention: Duration::ZERO, ..Options::default() });
    let connection = metrics.listener("old").connection();
    metrics.cluster("old").retried();
    let text = metrics.render();
    assert!(text.contains("listener=\"old\""), "a connection is still open");
    assert!(!text.contains("cluster=\"old\""));
    drop(connection);
    assert!(!metrics.render().contains("listener=\"old\""));
}

#[test]
fn an_upstream_cannot_make_series_without_end() {
    let metrics = metrics(Options { max_series: 100, ..Options::default() });
    let app = app(&metrics, "app");
    let worker = metrics.worker();
    for response_code in 100..1_000 {
        worker.request(&RequestEnd { response_code, ..request(&app) });
    }
    let text = metrics.render();
    assert_eq!(sample(&text, "istio_requests_total", &[]), 100.0);
    assert_eq!(sample(&text, "postern_metrics_overflow_total", &[]), 800.0);
}

#[test]
fn labels_are_escaped() {
    let metrics = metrics(Options::default());
    let _held = metrics.listener("a\"b\\c\nd").connection();
    assert!(metrics.render().contains(r#"{listener="a\"b\\c\nd"}"#));
}
