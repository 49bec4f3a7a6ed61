//! The HTTP data path alone, on one thread, for profiles and comparisons:
//! `http_path LISTEN UPSTREAM [CERTIFICATE KEY]`. One route for every host, to one endpoint, with Istio's default
//! retries, metrics on and no access log. `bare_hyper` is what it is compared with; `compare.sh` runs both.
#![allow(clippy::expect_used, reason = "an example")]

use std::{collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc, time::Duration};

use postern_engine::{
    drain::Drain,
    http::{ChainSlot, ConnectionInfo, HttpRuntime, RateLimits, Siblings, serve},
    worker::{AccessLog, Worker},
};
use postern_snapshot::{
    ClusterName, HostPattern, Port, RouteTableName,
    model::{
        Cluster, Endpoint, Endpoints, Forward, HeaderOps, HttpChain, RetryCondition, RetryPolicy, Route,
        RouteAction, RouteTable, Target, VirtualHost, WeightedTarget,
    },
};
use postern_telemetry::metrics::{Identity, Metrics, Options};
use postern_tls::{CertificateStore, TlsInfo};
use postern_upstream::{Clusters, NoObserver, Pool, PoolConfig};
use tokio::net::{TcpListener, TcpStream};

#[path = "support/tls.rs"]
mod tls;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, tls @ ..] = arguments.as_slice() else {
        eprintln!("usage: http_path LISTEN UPSTREAM [CERTIFICATE KEY]");
        return;
    };
    let acceptor = tls::acceptor(tls);
    let upstream: SocketAddr = upstream.parse().expect("UPSTREAM is an address");
    let identity = Identity { workload: "x".into(), namespace: "x".into(), version: "0".into() };
    let metrics = Metrics::new(identity, Options::default());
    let slot = Arc::new(ChainSlot::new(Arc::new(compile(upstream, &metrics)), Siblings::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let worker = Worker::new(Pool::new(PoolConfig::default(), NoObserver), &metrics, AccessLog::off());
        let drain = Drain::new();
        let listener = TcpListener::bind(listen).await.expect("LISTEN can be bound");
        let mut id = 0;
        while let Ok((stream, peer)) = listener.accept().await {
            id += 1;
            let acceptor = acceptor.clone();
            let (slot, worker, drain) = (Arc::clone(&slot), Rc::clone(&worker), drain.watch());
            tokio::task::spawn_local(async move {
                let _ = stream.set_nodelay(true);
                let local = stream.local_addr().unwrap_or(peer);
                let info = |tls| {
                    Rc::new(ConnectionInfo { id, listener: "x".into(), peer, direct_peer: peer, local, tls })
                };
                match acceptor {
                    None => serve::<TcpStream>(stream, info(None), slot, worker, drain).await,
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let tls = TlsInfo::of_server(stream.get_ref().1);
                        serve(stream, info(Some(tls)), slot, worker, drain).await;
                    }
                }
            });
        }
    });
}

fn compile(upstream: SocketAddr, metrics: &Metrics) -> HttpRuntime {
    let name = ClusterName::new("outbound|80||app");
    let cluster = Cluster {
        origin: String::new(),
        service: Default::default(),
        protocol: Default::default(),
        load_balancing: Default::default(),
        connect_timeout: Duration::from_secs(10),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    };
    let port = Port::new(upstream.port()).expect("a port");
    let endpoint = Endpoint { address: upstream.ip(), port, weight: None };
    let (clusters, _) = Clusters::compile(
        &BTreeMap::from([(name.clone(), cluster)]),
        &Endpoints(BTreeMap::from([(name.clone(), vec![endpoint])])),
        &CertificateStore::default(),
        None,
    );
    let target = WeightedTarget {
        target: Target::Cluster(name),
        weight: 1,
        host_rewrite: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    };
    let retry = RetryPolicy {
        attempts: 2,
        per_try_timeout: None,
        conditions: vec![
            RetryCondition::ConnectFailure,
            RetryCondition::RefusedStream,
            RetryCondition::Cancelled,
            RetryCondition::Unavailable,
        ],
        status_codes: Vec::new(),
        backoff: None,
        ignore_previous_hosts: true,
    };
    let route = Route {
        name: "app".into(),
        origin: String::new(),
        matches: Vec::new(),
        action: RouteAction::Forward(Forward {
            targets: vec![target],
            retry: Some(retry),
            ..Forward::default()
        }),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: Default::default(),
        cors: None,
    };
    let host = VirtualHost {
        name: "*".into(),
        domains: vec![HostPattern::Any],
        https_redirect: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        routes: vec![route],
    };
    let table = RouteTable { virtual_hosts: vec![host] };
    let service_port = Port::new(80).expect("a port");
    let chain = HttpChain::new(RouteTableName::new("http.80"));
    let limits = RateLimits::default();
    HttpRuntime::compile(&table, &chain, service_port, &clusters, metrics, &limits).0
}
