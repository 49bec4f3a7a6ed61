//! The least that hyper can do as a proxy, on one thread: `bare_hyper LISTEN UPSTREAM [CERTIFICATE KEY]`. No routes, no
//! checks, no headers, no limits, no metrics, no retries: what the data path is measured against.
#![allow(clippy::expect_used, reason = "an example")]

use std::{cell::RefCell, io, net::SocketAddr, rc::Rc};

use http::{Request, Response, Uri, header};
use hyper::{body::Incoming, client::conn::http1, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::spawn_local,
};

#[path = "support/tls.rs"]
mod tls;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Idle = Rc<RefCell<Vec<http1::SendRequest<Incoming>>>>;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [listen, upstream, tls @ ..] = arguments.as_slice() else {
        eprintln!("usage: bare_hyper LISTEN UPSTREAM [CERTIFICATE KEY]");
        return;
    };
    let acceptor = tls::acceptor(tls);
    let upstream: SocketAddr = upstream.parse().expect("UPSTREAM is an address");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let idle = Idle::default();
        let listener = TcpListener::bind(listen).await.expect("LISTEN can be bound");
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let (idle, acceptor) = (Rc::clone(&idle), acceptor.clone());
            spawn_local(async move {
                match acceptor {
                    None => serve(stream, false, upstream, idle).await,
                    Some(acceptor) => {
                        let Ok(stream) = acceptor.accept(stream).await else { return };
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        serve(stream, http2, upstream, idle).await;
                    }
                }
            });
        }
    });
}

async fn serve<IO>(io: IO, http2: bool, upstream: SocketAddr, idle: Idle)
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| forward(request, upstream, Rc::clone(&idle)));
    let io = TokioIo::new(io);
    let _ = if http2 {
        server::conn::http2::Builder::new(Local).serve_connection(io, service).await
    } else {
        server::conn::http1::Builder::new().serve_connection(io, service).await
    };
}

async fn forward(
    mut request: Request<Incoming>,
    upstream: SocketAddr,
    idle: Idle,
) -> Result<Response<Incoming>, Box<dyn std::error::Error + Send + Sync>> {
    if let Some(authority) = request.uri().authority() {
        let host = authority.as_str().parse()?;
        request.headers_mut().insert(header::HOST, host);
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
        *request.version_mut() = http::Version::HTTP_11;
    }
    let ready = std::iter::from_fn(|| idle.borrow_mut().pop()).find(|sender| sender.is_ready());
    let mut sender = match ready {
        Some(sender) => sender,
        None => connect(upstream).await?,
    };
    let response = sender.send_request(request).await?;
    spawn_local(async move {
        if sender.ready().await.is_ok() {
            idle.borrow_mut().push(sender);
        }
    });
    Ok(response)
}

async fn connect(upstream: SocketAddr) -> io::Result<http1::SendRequest<Incoming>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    spawn_local(async move {
        let _ = connection.await;
    });
    Ok(sender)
}

/// Runs HTTP/2's streams on this thread.
#[derive(Clone)]
struct Local;

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        spawn_local(async move {
            future.await;
        });
    }
}
