//! How long the translation of a large folder takes: 10,000 VirtualServices over 5,000 Services with three endpoints
//! each, as a cluster has them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "benchmark")]

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use k8s_openapi::api::core::v1::{Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::virtual_service::VirtualService;
use postern_translate::{Options, World, WorldObject, translate};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const VIRTUAL_SERVICES: usize = 10_000;
const SERVICES: usize = 5_000;

// As the operator does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How the routes lie.
#[derive(Clone, Copy, Debug)]
enum Shape {
    /// One Gateway with a wildcard on 80 and 443, a VirtualService for each host.
    ManyHosts,
    /// One host, a VirtualService for each path.
    OneHost,
    /// One host, one VirtualService with all paths.
    OneVirtualService,
    /// A Gateway for each hundred hosts, each with a server on 443 for every host.
    ManyServers,
}

fn object<T: DeserializeOwned>(value: Value) -> WorldObject
where
    Arc<T>: Into<WorldObject>,
{
    Arc::new(serde_json::from_value::<T>(value).unwrap()).into()
}

fn service(number: usize) -> Vec<WorldObject> {
    let name = format!("service-{number}");
    let endpoint =
        |last: usize| json!({ "addresses": [format!("10.{}.{}.{last}", number / 250, number % 250)] });
    vec![
        object::<Service>(json!({
            "metadata": { "name": name, "namespace": "shop" },
            "spec": { "ports": [{ "name": "http", "port": 80 }] },
        })),
        object::<EndpointSlice>(json!({
            "metadata": {
                "name": format!("{name}-x"), "namespace": "shop", "labels": { "kubernetes.io/service-name": name },
            },
            "addressType": "IPv4",
            "ports": [{ "name": "http", "port": 8080 }],
            "endpoints": [endpoint(1), endpoint(2), endpoint(3)],
        })),
    ]
}

fn rule(number: usize) -> Value {
    json!({
        "match": [{ "uri": { "prefix": format!("/route-{number}/") } }],
        "route": [{ "destination": { "host": format!("service-{}", number % SERVICES), "port": { "number": 80 } } }],
        "timeout": "5s",
    })
}

fn virtual_service(name: &str, host: &str, gateway: &str, rules: &[Value]) -> WorldObject {
    object::<VirtualService>(json!({
        "metadata": { "name": name, "namespace": "shop", "generation": 1 },
        "spec": { "hosts": [host], "gateways": [format!("istio-system/{gateway}")], "http": rules },
    }))
}

fn gateway(name: &str, servers: &Value) -> WorldObject {
    object::<Gateway>(json!({
        "metadata": { "name": name, "namespace": "istio-system", "generation": 1 },
        "spec": { "selector": { "istio": "ingressgateway" }, "servers": servers },
    }))
}

fn https(name: &str, host: &str) -> Value {
    json!({
        "port": { "number": 443, "name": name, "protocol": "HTTPS" },
        "hosts": [host],
        "tls": { "mode": "SIMPLE", "credentialName": "tls" },
    })
}

fn world(shape: Shape) -> World {
    let mut objects: Vec<WorldObject> = (0..SERVICES).flat_map(service).collect();
    objects.push(object::<Secret>(json!({
        "metadata": { "name": "tls", "namespace": "istio-system" },
        "stringData": {
            "tls.crt": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
            "tls.key": "-----BEGIN PRIVATE KEY-----\nMA==\n-----END PRIVATE KEY-----\n",
        },
    })));
    let plain = json!({ "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": ["*"] });
    let host = |number: usize| format!("host-{number}.example.com");
    match shape {
        Shape::ManyHosts | Shape::OneHost => {
            objects.push(gateway("web", &json!([plain, https("https", "*")])));
            objects.extend((0..VIRTUAL_SERVICES).map(|number| {
                let host = if matches!(shape, Shape::OneHost) { host(0) } else { host(number) };
                virtual_service(&format!("vs-{number}"), &host, "web", &[rule(number)])
            }));
        }
        Shape::OneVirtualService => {
            objects.push(gateway("web", &json!([plain, https("https", "*")])));
            let rules: Vec<_> = (0..VIRTUAL_SERVICES).map(rule).collect();
            objects.push(virtual_service("vs", &host(0), "web", &rules));
        }
        Shape::ManyServers => {
            for group in 0..VIRTUAL_SERVICES / 100 {
                let numbers = group * 100..(group + 1) * 100;
                let servers: Vec<_> =
                    numbers.map(|number| https(&format!("https-{number}"), &host(number))).collect();
                objects.push(gateway(&format!("web-{group}"), &Value::from(servers)));
            }
            objects.extend((0..VIRTUAL_SERVICES).map(|number| {
                let gateway = format!("web-{}", number / 100);
                virtual_service(&format!("vs-{number}"), &host(number), &gateway, &[rule(number)])
            }));
        }
    }
    objects.into_iter().collect()
}

fn translation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("translate_10k_routes");
    group.sample_size(20);
    for shape in [Shape::ManyHosts, Shape::OneHost, Shape::OneVirtualService, Shape::ManyServers] {
        let world = world(shape);
        let options = Options::default();
        let outcome = translate(&world, &options);
        assert_eq!(outcome.findings.len(), 0, "{:?}", outcome.findings.values().next());
        assert_eq!(outcome.plans.len(), 1);
        group.bench_with_input(
            BenchmarkId::from_parameter(format!("{shape:?}")),
            &world,
            |bencher, world| {
                bencher.iter(|| black_box(translate(world, &options)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, translation);
criterion_main!(benches);
