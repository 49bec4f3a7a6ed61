//! What a request costs this side: CPU time of the pool's thread, over loopback, 64 requests at a time, answers of
//! 1 KiB. `cargo bench -p postern-upstream --bench loopback [-- SECONDS]`
#![allow(clippy::unwrap_used, reason = "a benchmark")]

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use postern_snapshot::{
    ClusterName, Port,
    model::{self, Endpoints, LoadBalancing, UpstreamProtocol},
};
use postern_tls::CertificateStore;
use postern_upstream::{Cluster, Clusters, NoObserver, Pool, PoolConfig, Tried};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

type Body = Empty<Bytes>;

const AT_A_TIME: usize = 64;

fn main() {
    let seconds = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(5);
    let address = server();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let cluster = cluster(address);
        let pool = Pool::<Body>::new(PoolConfig { seed: Some(1), ..PoolConfig::default() }, NoObserver);
        run(&pool, &cluster, Duration::from_millis(500)).await;
        let (before, start) = (thread_cpu(), Instant::now());
        let requests = run(&pool, &cluster, Duration::from_secs(seconds)).await;
        let cpu = thread_cpu() - before;
        println!(
            "{:.2} µs of CPU a request ({requests} requests, {:.0} a second)",
            cpu.as_secs_f64() * 1e6 / f64::from(requests),
            f64::from(requests) / start.elapsed().as_secs_f64(),
        );
    });
}

async fn run(pool: &Pool<Body>, cluster: &Arc<Cluster>, time: Duration) -> u32 {
    let end = Instant::now() + time;
    let count = Rc::new(Cell::new(0));
    let tasks: Vec<_> = (0..AT_A_TIME)
        .map(|_| {
            let (pool, cluster, count) = (pool.clone(), Arc::clone(cluster), Rc::clone(&count));
            tokio::task::spawn_local(async move {
                while Instant::now() < end {
                    one(&pool, &cluster).await;
                    count.set(count.get() + 1);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    count.get()
}

async fn one(pool: &Pool<Body>, cluster: &Arc<Cluster>) {
    let request = Request::get("/app/hello")
        .header("host", "example.com")
        .header("user-agent", "bench/1.0")
        .header("accept", "*/*")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-forwarded-proto", "http")
        .header("x-request-id", "6f2d1b0c-5b1e-4b87-9a57-0a6f2e7f3c11")
        .body(Empty::new())
        .unwrap();
    let response = pool.send(cluster, request, None, &mut Tried::new()).await.unwrap();
    let mut body = response.response.into_body();
    while let Some(frame) = body.frame().await {
        frame.unwrap();
    }
}

fn cluster(address: SocketAddr) -> Arc<Cluster> {
    let name = ClusterName::new("a");
    let settings = model::Cluster {
        origin: String::new(),
        service: model::ServiceIdentity::default(),
        protocol: UpstreamProtocol::Http1,
        load_balancing: LoadBalancing::LeastRequest,
        connect_timeout: Duration::from_secs(10),
        tls: None,
        circuit_breakers: Default::default(),
        outlier_detection: None,
    };
    let port = Port::new(address.port()).unwrap();
    let endpoint = model::Endpoint { address: address.ip(), port, weight: None };
    let endpoints = Endpoints(BTreeMap::from([(name.clone(), vec![endpoint])]));
    let clusters = BTreeMap::from([(name.clone(), settings)]);
    Clusters::compile(&clusters, &endpoints, &CertificateStore::default(), None).0.get(&name).unwrap()
}

/// One thread, which answers without looking.
fn server() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: Thu, 26 Nov 2026 10:00:00 GMT\r\n";
    let response: Arc<[u8]> =
        format!("{head}content-length: 1024\r\n\r\n{}", "x".repeat(1024)).into_bytes().into();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(answer(stream, Arc::clone(&response)));
            }
        });
    });
    address
}

async fn answer(mut stream: TcpStream, response: Arc<[u8]>) {
    stream.set_nodelay(true).unwrap();
    let mut buffer = [0; 4096];
    let mut filled = 0;
    while let Ok(read @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += read;
        if buffer[..filled].ends_with(b"\r\n\r\n") {
            filled = 0;
            stream.write_all(&response).await.unwrap();
        }
    }
}

/// What the kernel counted for this thread.
fn thread_cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split(' ').next().unwrap().parse().unwrap())
}
