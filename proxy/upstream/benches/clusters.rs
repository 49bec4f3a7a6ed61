//! Endpoints that come and go beside 5,000 clusters, and the choice among them.
#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use std::{collections::BTreeMap, hint::black_box, time::Duration};

use criterion::{Criterion, criterion_group, criterion_main};
use fastrand::Rng;
use postern_snapshot::{
    ClusterName, Port,
    model::{self, Endpoints, LoadBalancing, ServiceIdentity, UpstreamProtocol},
};
use postern_tls::CertificateStore;
use postern_upstream::{Clusters, NoObserver, Pool, PoolConfig, WeightedChoice};

const CLUSTERS: u16 = 5_000;

fn settings() -> model::Cluster {
    model::Cluster {
        origin: String::new(),
        service: ServiceIdentity::default(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::LeastRequest,
        connect_timeout: Duration::from_secs(10),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    }
}

fn name(cluster: u16) -> ClusterName {
    ClusterName::new(format!("outbound|80||app-{cluster}.default.svc.cluster.local"))
}

/// Three endpoints for each cluster.
fn endpoints() -> Endpoints {
    let endpoint = |cluster: u16, index: u8| {
        let [high, low] = cluster.to_be_bytes();
        model::Endpoint {
            address: [10, high, low, index].into(),
            port: Port::new(8080).unwrap(),
            weight: None,
        }
    };
    let of = |cluster| (name(cluster), (1..=3).map(|index| endpoint(cluster, index)).collect());
    Endpoints((0..CLUSTERS).map(of).collect())
}

fn churn(criterion: &mut Criterion) {
    let settings: BTreeMap<_, _> = (0..CLUSTERS).map(|cluster| (name(cluster), settings())).collect();
    let (all, certificates) = (endpoints(), CertificateStore::default());
    let mut other = all.clone();
    other.0.get_mut(&name(7)).unwrap().pop();
    let (clusters, _) = Clusters::compile(&settings, &all, &certificates, None);

    criterion.bench_function("compile 5,000 clusters for the first time", |bencher| {
        bencher.iter(|| Clusters::compile(&settings, &all, &certificates, None));
    });
    criterion.bench_function("compile 5,000 clusters of which none changed", |bencher| {
        bencher.iter(|| Clusters::compile(&settings, &all, &certificates, Some(&clusters)));
    });
    let mut turn = false;
    criterion.bench_function("change the endpoints of one of 5,000 clusters", |bencher| {
        bencher.iter(|| {
            turn = !turn;
            assert_eq!(clusters.update_endpoints(if turn { &other } else { &all }), 1);
        });
    });
    let pool = Pool::<String>::new(PoolConfig::default(), NoObserver);
    criterion
        .bench_function("tell an idle pool", |bencher| bencher.iter(|| pool.retain(black_box(&clusters))));
}

fn choice(criterion: &mut Criterion) {
    let mut rng = Rng::with_seed(1);
    let choice = WeightedChoice::new([90, 9, 1]);
    criterion.bench_function("choose a weighted target", |bencher| bencher.iter(|| choice.choose(&mut rng)));
}

criterion_group!(benches, churn, choice);
criterion_main!(benches);
