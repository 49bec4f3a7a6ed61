//! A proxy's HTTP data path between real sockets: backends, a listener, clients.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap, convert::Infallible, future::Future, net::SocketAddr, path::PathBuf, rc::Rc,
    sync::Arc, time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use postern_engine::{
    drain::Drain,
    http::{ChainSlot, ConnectionInfo, HttpRuntime, RateLimits, Siblings, serve},
    worker::{AccessLog, Worker},
};
use postern_snapshot::{
    ClusterName, HostMap, HostPattern, Port, RouteTableName,
    ack::Refused,
    model::{
        Cluster, Endpoint, Endpoints, Forward, HeaderOps, HttpChain, HttpFilters, HttpSettings,
        LoadBalancing, PathMatch, Route, RouteAction, RouteMatch, RouteTable, ServiceIdentity, Target,
        UpstreamProtocol, VirtualHost, WeightedTarget,
    },
};
use postern_telemetry::{
    access_log::{self, AccessLogSink, Format},
    metrics::{Identity, Metrics, Options},
};
use postern_tls::TlsInfo;
use postern_upstream::{Clusters, NoObserver, Pool, PoolConfig};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::LocalSet,
};

pub type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// Runs a test on one thread, as a worker does, for no longer than 20 s.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limited = async {
        tokio::time::timeout(Duration::from_secs(20), test).await.expect("the test takes too long");
    };
    LocalSet::new().block_on(&runtime, limited);
}

pub fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed_unsync()
}

/// An HTTP/1.1 server that answers with what the function says.
pub async fn backend<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    serve_backend(answer, false).await
}

/// An HTTP/2 server with prior knowledge.
pub async fn backend_http2<F, R>(answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    serve_backend(answer, true).await
}

async fn serve_backend<F, R>(answer: F, http2: bool) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + 'static,
    R: Future<Output = Response<Body>> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let answer = answer.clone();
            let service = service_fn(move |request| {
                let response = answer(request);
                async move { Ok::<_, Infallible>(response.await) }
            });
            let io = TokioIo::new(stream);
            tokio::task::spawn_local(async move {
                if http2 {
                    let _ =
                        hyper::server::conn::http2::Builder::new(Local).serve_connection(io, service).await;
                } else {
                    let builder = hyper::server::conn::http1::Builder::new();
                    let _ = builder.serve_connection(io, service).with_upgrades().await;
                }
            });
        }
    });
    address
}

/// A server on the level of bytes: the function gets each connection.
pub async fn raw_backend<F, R>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> R + 'static,
    R: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(serve(stream));
        }
    });
    address
}

/// An address where nobody listens.
pub async fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Answers with what came: method, path and headers, one a line, then the body.
pub async fn echo(request: Request<Incoming>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut text = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version);
    for (name, value) in &parts.headers {
        text += &format!("{name}: {}\n", value.to_str().unwrap());
    }
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    text += &format!("\n{}", String::from_utf8_lossy(&body));
    Response::new(full(text))
}

/// How the proxy under test is set up.
pub struct Setup {
    pub table: RouteTable,
    pub settings: HttpSettings,
    pub filters: HttpFilters,
    pub clusters: BTreeMap<ClusterName, Cluster>,
    pub endpoints: Endpoints,
    /// Hosts of another chain of the same listener.
    pub others: Vec<HostPattern>,
    pub tls: Option<TlsInfo>,
    pub access_log: Option<&'static str>,
    pub service_port: u16,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            table: RouteTable::default(),
            settings: HttpSettings::default(),
            filters: HttpFilters::default(),
            clusters: BTreeMap::new(),
            endpoints: Endpoints::default(),
            others: Vec::new(),
            tls: None,
            access_log: None,
            service_port: 80,
        }
    }
}

pub const CLUSTER: &str = "outbound|80||app.default.svc";

pub fn cluster(protocol: UpstreamProtocol) -> Cluster {
    Cluster {
        origin: String::new(),
        service: ServiceIdentity {
            host: "app.default.svc".into(),
            name: "app".into(),
            namespace: "default".into(),
        },
        protocol,
        load_balancing: LoadBalancing::RoundRobin,
        connect_timeout: Duration::from_secs(2),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    }
}

pub fn forward() -> Forward {
    Forward { targets: vec![target(CLUSTER)], ..Forward::default() }
}

pub fn target(cluster: &str) -> WeightedTarget {
    WeightedTarget {
        target: Target::Cluster(ClusterName::new(cluster)),
        weight: 1,
        host_rewrite: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}

pub fn route(action: RouteAction) -> Route {
    Route {
        name: "the-route".into(),
        origin: "VirtualService/default/app".into(),
        matches: Vec::new(),
        action,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: Default::default(),
        cors: None,
    }
}

pub fn prefix(path: &str) -> Vec<RouteMatch> {
    vec![RouteMatch { path: Some(PathMatch::Prefix(path.into())), ..RouteMatch::default() }]
}

pub fn hosts(domains: &[&str], routes: Vec<Route>) -> RouteTable {
    RouteTable { virtual_hosts: vec![virtual_host(domains, routes)] }
}

pub fn virtual_host(domains: &[&str], routes: Vec<Route>) -> VirtualHost {
    VirtualHost {
        name: domains[0].into(),
        domains: domains.iter().map(|domain| domain.parse().unwrap()).collect(),
        https_redirect: None,
        request_headers: Default::default(),
        response_headers: Default::default(),
        filters: Default::default(),
        routes,
    }
}

impl Setup {
    /// Everything goes to one cluster with these endpoints.
    pub fn forwarding(protocol: UpstreamProtocol, addresses: &[SocketAddr]) -> Self {
        Self::routing(protocol, addresses, route(RouteAction::Forward(forward())))
    }

    /// One route for every host.
    pub fn routing(protocol: UpstreamProtocol, addresses: &[SocketAddr], route: Route) -> Self {
        let mut setup = Self { table: hosts(&["*"], vec![route]), ..Self::default() };
        setup.add_cluster(CLUSTER, cluster(protocol), addresses);
        setup
    }

    pub fn add_cluster(&mut self, name: &str, cluster: Cluster, addresses: &[SocketAddr]) {
        let endpoint = |address: &SocketAddr| Endpoint {
            address: address.ip(),
            port: Port::new(address.port()).unwrap(),
            weight: None,
        };
        self.clusters.insert(ClusterName::new(name), cluster);
        self.endpoints.0.insert(ClusterName::new(name), addresses.iter().map(endpoint).collect());
    }

    pub async fn start(self) -> Proxy {
        Proxy::start(self).await
    }
}

/// A proxy under test.
pub struct Proxy {
    pub address: SocketAddr,
    pub slot: Arc<ChainSlot>,
    siblings: Siblings,
    pub drain: Drain,
    pub refused: Vec<Refused>,
    pub metrics: Arc<Metrics>,
    pub worker: Rc<Worker>,
    clusters: Clusters,
    chain: HttpChain,
    limits: RateLimits,
    service_port: Port,
    log: Option<(AccessLogSink, PathBuf, tempfile::TempDir)>,
}

impl Proxy {
    async fn start(setup: Setup) -> Self {
        let identity = Identity { workload: "ingress".into(), namespace: "test".into(), version: "0".into() };
        let metrics = Arc::new(Metrics::new(identity, Options::default()));
        let (clusters, refused_clusters) = Clusters::compile(
            &setup.clusters,
            &setup.endpoints,
            &postern_tls::CertificateStore::default(),
            None,
        );
        assert!(refused_clusters.is_empty());
        let service_port = Port::new(setup.service_port).unwrap();
        let chain = HttpChain {
            route_table: RouteTableName::new("http.80"),
            settings: setup.settings,
            filters: setup.filters,
        };
        let limits = RateLimits::default();
        let (runtime, refused) =
            HttpRuntime::compile(&setup.table, &chain, service_port, &clusters, &metrics, &limits);
        let mut chain_of = HostMap::new();
        for pattern in &setup.others {
            chain_of.insert(pattern, 1);
        }
        let siblings = Siblings::new(Arc::new(chain_of), 0);
        let slot = Arc::new(ChainSlot::new(Arc::new(runtime), siblings.clone()));
        let log = setup.access_log.map(|format| {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("access.log");
            let target = access_log::Target::File(path.clone());
            let sink = AccessLogSink::start(target, metrics.access_log_dropped()).unwrap();
            let format = Arc::new(Format::text(format, "test").unwrap());
            (AccessLog::new(sink.worker(), Some(format)), (sink, path, directory))
        });
        let (worker_log, log) = log.map_or((AccessLog::off(), None), |(log, file)| (log, Some(file)));
        let pool = Pool::new(PoolConfig::default(), NoObserver);
        let worker = Worker::new(pool, &metrics, worker_log);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            slot,
            siblings,
            drain: Drain::new(),
            refused,
            metrics,
            worker,
            clusters,
            chain,
            limits,
            service_port,
            log,
        };
        proxy.accept(listener, setup.tls);
        proxy
    }

    fn accept(&self, listener: TcpListener, tls: Option<TlsInfo>) {
        let (slot, worker, drain) = (Arc::clone(&self.slot), Rc::clone(&self.worker), self.drain.clone());
        tokio::task::spawn_local(async move {
            let mut id = 0;
            loop {
                let (stream, peer) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                id += 1;
                let info = Rc::new(ConnectionInfo {
                    id,
                    listener: "0.0.0.0_80".into(),
                    peer,
                    direct_peer: peer,
                    local: stream.local_addr().unwrap(),
                    tls: tls.clone(),
                });
                let (slot, worker) = (Arc::clone(&slot), Rc::clone(&worker));
                tokio::task::spawn_local(serve(stream, info, slot, worker, drain.watch()));
            }
        });
    }

    /// Serves another route table from now on.
    pub fn reload(&self, table: &RouteTable) {
        let (runtime, _) = HttpRuntime::compile(
            table,
            &self.chain,
            self.service_port,
            &self.clusters,
            &self.metrics,
            &self.limits,
        );
        self.slot.store(Arc::new(runtime), self.siblings.clone());
    }

    pub async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends these bytes and gives back what comes until the proxy closes.
    pub async fn raw(&self, request: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        read_to_close(&mut stream).await
    }

    pub async fn http1(&self) -> hyper::client::conn::http1::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
        tokio::task::spawn_local(async move {
            let _ = connection.with_upgrades().await;
        });
        sender
    }

    pub async fn http2(&self) -> hyper::client::conn::http2::SendRequest<Body> {
        let io = TokioIo::new(self.connect().await);
        let (sender, connection) = hyper::client::conn::http2::handshake(Local, io).await.unwrap();
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        sender
    }

    /// One request over a connection of its own.
    pub async fn get(&self, host: &str, path: &str) -> Answer {
        self.send(Request::get(path).header("host", host).body(full("")).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.http1().await.send_request(request).await.unwrap()).await
    }

    /// The lines of the access log, once there are as many as this.
    pub async fn log_lines(&self, count: usize) -> Vec<String> {
        let (_, path, _) = self.log.as_ref().expect("an access log is set up");
        loop {
            self.worker.access_log.flush();
            let text = std::fs::read_to_string(path).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The only line of the access log.
    pub async fn log_line(&self) -> String {
        self.log_lines(1).await.remove(0)
    }
}

pub async fn read_to_close(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer counts as a close.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until this text came.
pub async fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut bytes = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        bytes.extend_from_slice(&piece[..read]);
        let all = String::from_utf8_lossy(&bytes).into_owned();
        if all.contains(text) {
            return all;
        }
        assert_ne!(read, 0, "closed after {all:?}");
    }
}

/// A response, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: String,
    pub trailers: Option<http::HeaderMap>,
}

impl Answer {
    pub async fn of(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned();
        Self {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            trailers,
        }
    }

    /// A response header; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// What [`echo`] says the upstream got.
    pub fn upstream_header(&self, name: &str) -> Vec<&str> {
        let head = self.body.split("\n\n").next().unwrap_or_default();
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| *found == name)
            .map(|(_, value)| value)
            .collect()
    }

    /// The request line that [`echo`] says the upstream got.
    pub fn upstream_line(&self) -> &str {
        self.body.lines().next().unwrap_or_default()
    }

    /// The request body that [`echo`] says the upstream got.
    pub fn upstream_body(&self) -> &str {
        self.body.split_once("\n\n").map_or("", |(_, body)| body)
    }
}

pub fn tls_info(alpn: Option<&[u8]>, server_name: &str) -> TlsInfo {
    TlsInfo {
        version: "TLSv1.3",
        cipher: "TLS_AES_128_GCM_SHA256",
        server_name: Some(server_name.into()),
        alpn: alpn.map(<[u8]>::to_vec),
        resumed: false,
        peer: None,
    }
}

/// Runs HTTP/2's tasks on the test's thread.
#[derive(Debug, Clone, Copy)]
pub struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}
