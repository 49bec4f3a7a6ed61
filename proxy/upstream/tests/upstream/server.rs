//! Servers to send requests to.

use std::{cell::Cell, convert::Infallible, net::SocketAddr, rc::Rc};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};

/// A server that counts, and stops when it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) connections: Rc<Cell<usize>>,
    pub(crate) requests: Rc<Cell<usize>>,
    /// Requests to `/held` are answered when they get a permit.
    pub(crate) gate: Rc<Semaphore>,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

#[derive(Clone)]
struct Answer {
    connection: usize,
    requests: Rc<Cell<usize>>,
    gate: Rc<Semaphore>,
}

impl Answer {
    /// With the number of the connection, 1 for the first.
    async fn to(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.requests.set(self.requests.get() + 1);
        if request.uri().path() == "/held" {
            self.gate.acquire().await.unwrap().forget();
        }
        Ok(Response::new(Full::from(self.connection.to_string())))
    }
}

impl Server {
    pub(crate) async fn http1() -> Self {
        Self::http1_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn http1_at(address: SocketAddr) -> Self {
        Self::start(address, |io, answer| async move {
            let service = service_fn(move |request| answer.clone().to(request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
        })
        .await
    }

    /// HTTP/2 with this limit of streams.
    pub(crate) async fn http2(max_streams: u32) -> Self {
        Self::start("127.0.0.1:0".parse().unwrap(), move |io, answer| async move {
            let service = service_fn(move |request| answer.clone().to(request));
            let _ = hyper::server::conn::http2::Builder::new(LocalExecutor)
                .max_concurrent_streams(max_streams)
                .serve_connection(io, service)
                .await;
        })
        .await
    }

    async fn start<F>(address: SocketAddr, serve: impl Fn(TokioIo<TcpStream>, Answer) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, requests) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(0)));
        let gate = Rc::new(Semaphore::new(0));
        let answer = Answer { connection: 0, requests: Rc::clone(&requests), gate: Rc::clone(&gate) };
        let counted = Rc::clone(&connections);
        let accepting = tokio::task::spawn_local(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.set(counted.get() + 1);
                let answer = Answer { connection: counted.get(), ..answer.clone() };
                tokio::task::spawn_local(serve(TokioIo::new(stream), answer));
            }
        });
        Self { address, connections, requests, gate, accepting }
    }
}

/// Runs each connection by a function of its number, 1 for the first.
pub(crate) async fn raw<F>(serve: impl Fn(usize, TcpStream) -> F + 'static) -> SocketAddr
where
    F: Future<Output = ()> + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        for number in 1.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::task::spawn_local(serve(number, stream));
        }
    });
    address
}

/// Reads a request's head.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(crate) async fn write(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[derive(Clone)]
pub(crate) struct LocalExecutor;

impl<F: Future + 'static> hyper::rt::Executor<F> for LocalExecutor {
    fn execute(&self, task: F) {
        tokio::task::spawn_local(async move {
            task.await;
        });
    }
}
