//! Servers behind the proxy.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::Semaphore,
};

/// An HTTP/1.1 server that answers with its name and the path; what is asked under `/hold` waits to be released.
#[derive(Clone)]
pub struct Backend {
    pub address: SocketAddr,
    name: &'static str,
    state: Arc<State>,
}

struct State {
    requests: AtomicUsize,
    connections: AtomicUsize,
    holding: Semaphore,
    released: Semaphore,
}

impl Backend {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = State {
            requests: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            holding: Semaphore::new(0),
            released: Semaphore::new(0),
        };
        let backend = Self { address: listener.local_addr().unwrap(), name, state: Arc::new(state) };
        tokio::spawn(backend.clone().accept(listener));
        backend
    }

    async fn accept(self, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            self.state.connections.fetch_add(1, Ordering::Relaxed);
            let backend = self.clone();
            let service = service_fn(move |request| backend.clone().answer(request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        self.state.requests.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        if path.starts_with("/hold") {
            self.state.holding.add_permits(1);
            self.state.released.acquire().await.unwrap().forget();
        }
        let text = format!("{} {path} {}", self.name, String::from_utf8_lossy(&body));
        Ok(Response::new(Full::new(text.trim_end().to_owned().into())))
    }

    pub fn requests(&self) -> usize {
        self.state.requests.load(Ordering::Relaxed)
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Waits until one more request is held.
    pub async fn holds(&self) {
        self.state.holding.acquire().await.unwrap().forget();
    }

    /// Lets one request that is held go on.
    pub fn release(&self) {
        self.state.released.add_permits(1);
    }
}

/// A TCP server that says its name first, then says everything again; after the client's end it says `bye` and closes.
pub struct TcpBackend {
    pub address: SocketAddr,
}

impl TcpBackend {
    pub async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(echo(stream, name));
            }
        });
        Self { address }
    }
}

async fn echo(mut stream: TcpStream, name: &'static str) {
    let talk = async {
        stream.write_all(name.as_bytes()).await?;
        stream.write_all(b"\n").await?;
        let mut buffer = [0; 4096];
        loop {
            match stream.read(&mut buffer).await? {
                0 => break,
                length => stream.write_all(&buffer[..length]).await?,
            }
        }
        stream.write_all(b"bye").await?;
        stream.shutdown().await
    };
    // The proxy may have cut it off.
    let _ = talk.await;
}

/// A UDP server that answers each datagram with its name, a colon and the datagram.
pub struct UdpBackend {
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl UdpBackend {
    pub async fn start(name: &'static str) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut buffer = vec![0; 65_536];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                // One as long as may be is answered as it is.
                let prefix = if length < 60_000 { format!("{name}:") } else { String::new() };
                let answer = [prefix.as_bytes(), &buffer[..length]].concat();
                socket.send_to(&answer, client).await.unwrap();
            }
        });
        Self { address, task }
    }

    /// From now on nobody listens there.
    pub async fn stop(self) {
        self.task.abort();
        self.task.await.unwrap_err();
    }
}
