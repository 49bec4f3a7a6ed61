//! What telemetry costs a worker per request. `cargo bench -p postern-telemetry`.

#![allow(missing_docs, clippy::expect_used, reason = "a benchmark")]

use std::hint::black_box;
use std::time::{Duration, UNIX_EPOCH};

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, HeaderValue, Version};
use postern_telemetry::access_log::{ENVOY_TEXT_FORMAT, Entry, Format, ISTIO_JSON_FORMAT, ISTIO_TEXT_FORMAT};
use postern_telemetry::metrics::{
    DestinationLabels, Identity, Metrics, Options, RequestEnd, RequestProtocol,
};
use postern_telemetry::{Reason, ResponseFlags};

fn request_headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("user-agent", HeaderValue::from_static("Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"));
    headers.insert("x-forwarded-for", HeaderValue::from_static("203.0.113.7"));
    headers.insert("x-request-id", HeaderValue::from_static("cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"));
    headers.insert("accept", HeaderValue::from_static("*/*"));
    headers
}

fn entry(headers: &HeaderMap) -> Entry<'_> {
    Entry {
        duration: Some(Duration::from_micros(3_217)),
        response_duration: Some(Duration::from_micros(3_100)),
        upstream_service_time: Some(Duration::from_micros(2_900)),
        protocol: Some(Version::HTTP_11),
        method: Some("GET"),
        path: Some("/app/hello?name=world"),
        authority: Some("example.com"),
        scheme: Some("https"),
        request_headers: headers.into(),
        response_code: 200,
        reason: Some(Reason::ViaUpstream),
        bytes_sent: 1024,
        upstream_host: Some(([10, 0, 2, 1], 8080).into()),
        upstream_cluster: Some("outbound|80||app-service.default.svc.cluster.local"),
        upstream_local_address: Some(([10, 0, 2, 9], 40_312).into()),
        downstream_local_address: Some(([10, 0, 2, 9], 8443).into()),
        downstream_remote_address: Some(([203, 0, 113, 7], 51_724).into()),
        requested_server_name: Some("example.com"),
        route_name: Some("web-routing"),
        upstream_request_attempt_count: 1,
        ..Entry::new(UNIX_EPOCH + Duration::from_millis(1_764_000_000_310))
    }
}

fn render(criterion: &mut Criterion) {
    let headers = request_headers();
    let entry = entry(&headers);
    let mut group = criterion.benchmark_group("access log line");
    let formats = [
        ("envoy text", Format::text(ENVOY_TEXT_FORMAT, "host").expect("compiles")),
        ("istio text", Format::text(ISTIO_TEXT_FORMAT, "host").expect("compiles")),
        ("istio json", Format::json(ISTIO_JSON_FORMAT, "host").expect("compiles")),
    ];
    for (name, format) in formats {
        let mut line = Vec::with_capacity(4096);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                line.clear();
                format.render(black_box(&entry), &mut line);
                line.len()
            });
        });
    }
    group.finish();
}

fn record(criterion: &mut Criterion) {
    let identity =
        Identity { workload: "ingress".into(), namespace: "istio-system".into(), version: "0".into() };
    let metrics = Metrics::new(identity, Options::default());
    let worker = metrics.worker();
    let destinations: Vec<_> = (0..1000)
        .map(|index| {
            metrics.destination(&DestinationLabels {
                service: format!("app-{index}.default.svc.cluster.local"),
                name: format!("app-{index}"),
                namespace: "default".to_owned(),
            })
        })
        .collect();
    let mut group = criterion.benchmark_group("record a request");
    for (name, used) in [("one destination", 1), ("1000 destinations", 1000)] {
        let mut turn = 0_usize;
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                turn = turn.wrapping_add(1);
                worker.request(black_box(&RequestEnd {
                    destination: &destinations[turn % used],
                    protocol: RequestProtocol::Http,
                    response_code: 200,
                    response_flags: ResponseFlags::NONE,
                    grpc_status: None,
                    duration: Duration::from_micros(500 + turn as u64 % 5_000),
                    request_bytes: 0,
                    response_bytes: 1024,
                }));
            });
        });
    }
    group.finish();
    criterion.bench_function("render 1000 series", |bencher| bencher.iter(|| metrics.render().len()));
}

criterion_group!(benches, render, record);
criterion_main!(benches);
