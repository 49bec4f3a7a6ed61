//! What all tests need.

use std::{
    cell::RefCell, collections::BTreeMap, convert::Infallible, net::SocketAddr, rc::Rc, sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use postern_snapshot::{
    ClusterName, Port,
    model::{self, Endpoints, LoadBalancing, UpstreamProtocol},
};
use postern_tls::CertificateStore;
use postern_upstream::{
    Cluster, Clusters, ConnectError, Endpoint, Pool, PoolConfig, PoolObserver, SendError, Tried,
    UpstreamResponse,
};
use tokio::{sync::Notify, task::LocalSet};

pub(crate) type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;
pub(crate) type Sent = Result<UpstreamResponse<Body>, SendError<Body>>;

/// Runs a test that may spawn tasks that are not `Send`, and ends it if it hangs.
pub(crate) async fn local<F: Future>(test: F) -> F::Output {
    let test =
        LocalSet::new().run_until(async { tokio::time::timeout(Duration::from_secs(60), test).await }).await;
    test.expect("the test hangs")
}

pub(crate) fn name(name: &str) -> ClusterName {
    ClusterName::new(name)
}

pub(crate) fn settings(protocol: UpstreamProtocol) -> model::Cluster {
    model::Cluster {
        origin: String::new(),
        service: model::ServiceIdentity::default(),
        protocol,
        load_balancing: LoadBalancing::RoundRobin,
        connect_timeout: Duration::from_secs(10),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    }
}

pub(crate) fn endpoint(address: SocketAddr) -> model::Endpoint {
    model::Endpoint { address: address.ip(), port: Port::new(address.port()).unwrap(), weight: None }
}

pub(crate) fn endpoints(of: &[(&str, &[SocketAddr])]) -> Endpoints {
    let each = |addresses: &[SocketAddr]| addresses.iter().copied().map(endpoint).collect();
    Endpoints(of.iter().map(|(cluster, addresses)| (name(cluster), each(addresses))).collect())
}

pub(crate) fn compile(
    clusters: &[(&str, model::Cluster)],
    endpoints: &Endpoints,
    previous: Option<&Clusters>,
) -> Clusters {
    let clusters: BTreeMap<_, _> = clusters.iter().map(|(n, settings)| (name(n), settings.clone())).collect();
    let (clusters, refused) = Clusters::compile(&clusters, endpoints, &CertificateStore::default(), previous);
    assert!(refused.is_empty(), "{refused:?}");
    clusters
}

/// One cluster with these endpoints.
pub(crate) fn cluster(settings: model::Cluster, addresses: &[SocketAddr]) -> Arc<Cluster> {
    compile(&[("a", settings)], &endpoints(&[("a", addresses)]), None).get(&name("a")).unwrap()
}

pub(crate) fn http1(addresses: &[SocketAddr]) -> Arc<Cluster> {
    cluster(settings(UpstreamProtocol::Http1), addresses)
}

pub(crate) fn http2(addresses: &[SocketAddr]) -> Arc<Cluster> {
    cluster(settings(UpstreamProtocol::Http2), addresses)
}

/// A pool, and what its observer saw.
pub(crate) fn pool() -> (Pool<Body>, Seen) {
    pool_with(PoolConfig::default())
}

pub(crate) fn pool_with(mut config: PoolConfig) -> (Pool<Body>, Seen) {
    let seen = Seen::default();
    config.seed = Some(3);
    (Pool::new(config, seen.clone()), seen)
}

/// Connections as the observer saw them.
#[derive(Clone, Default)]
pub(crate) struct Seen(Rc<SeenInner>);

#[derive(Default)]
struct SeenInner {
    counts: RefCell<Counts>,
    changed: Notify,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) connected: usize,
    pub(crate) failed: usize,
    pub(crate) closed: usize,
}

impl Seen {
    pub(crate) fn counts(&self) -> Counts {
        *self.0.counts.borrow()
    }

    pub(crate) async fn until(&self, condition: impl Fn(Counts) -> bool) {
        while !condition(self.counts()) {
            self.0.changed.notified().await;
        }
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.counts.borrow_mut());
        self.0.changed.notify_one();
    }
}

impl PoolObserver for Seen {
    fn connected(&self, _: &Cluster, _: &Endpoint, _: Duration) {
        self.change(|counts| counts.connected += 1);
    }

    fn connect_failed(&self, _: &Cluster, _: &Endpoint, _: &ConnectError) {
        self.change(|counts| counts.failed += 1);
    }

    fn closed(&self, _: &Cluster, _: &Endpoint) {
        self.change(|counts| counts.closed += 1);
    }
}

pub(crate) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never: Infallible| match never {}).boxed_unsync()
}

pub(crate) fn get(path: &str) -> Request<Body> {
    request("GET", path, "")
}

/// In the form that both protocols take.
pub(crate) fn request(method: &str, path: &str, content: &'static str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(format!("http://example.com{path}"))
        .header("host", "example.com")
        .body(body(content))
        .unwrap()
}

pub(crate) async fn send(pool: &Pool<Body>, cluster: &Arc<Cluster>, request: Request<Body>) -> Sent {
    pool.send(cluster, request, None, &mut Tried::new()).await
}

/// Reads the response to its end.
pub(crate) async fn text(response: UpstreamResponse<Body>) -> String {
    let bytes = response.response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Sends it, and reads the response to its end.
pub(crate) async fn ask(pool: &Pool<Body>, cluster: &Arc<Cluster>, path: &str) -> String {
    text(send(pool, cluster, get(path)).await.unwrap()).await
}

/// An address that nobody listens at.
pub(crate) fn refusing() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
