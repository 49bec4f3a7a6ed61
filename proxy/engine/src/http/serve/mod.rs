//! One connection: HTTP/1.1 or HTTP/2, its limits, and its end.

mod cork;
mod io;
mod watch;

use std::{
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hyper::{
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    chain::ChainSlot,
    connection::{Connection, ConnectionInfo},
    handle::handle,
    settings::Settings,
};
use crate::{drain::DrainWatch, worker::Worker};
use cork::Corked;
use io::ClientIo;
use watch::{Verdict, Watch};

/// What a client may send on one HTTP/2 stream before the upstream takes it.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What it may send on all streams of a connection; bounds what one client makes the proxy hold.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What is held of a response for a client that reads slowly, on each HTTP/2 stream.
const SEND_BUFFER: usize = 64 * 1024;
/// A silent HTTP/2 client is pinged after this long, and is gone after as long again less a third.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// The least that hyper reads into for HTTP/1.1. Also bounds what is read ahead of a slow upstream.
const READ_BUFFER: usize = 64 * 1024;

/// Serves HTTP on a connection until it ends: the client closes it, it is idle for too long, or it drains.
///
/// TLS connections speak what ALPN says. Without ALPN, the first bytes tell HTTP/2 with prior knowledge from HTTP/1.1.
/// Runs on the worker's thread, within its [`tokio::task::LocalSet`]; connections that leave HTTP (WebSocket) go on in
/// a task of their own after it returns.
pub async fn serve<IO>(
    io: IO,
    info: Rc<ConnectionInfo>,
    chain: Arc<ChainSlot>,
    worker: Rc<Worker>,
    drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let alpn = info.tls.as_ref().and_then(|tls| tls.alpn.as_deref()).map(|alpn| alpn == b"h2");
    let view = worker.view(chain);
    let connection = Connection::new(info, worker, view, drain.clone());
    let mut io = ClientIo::new(io);
    let multiplexed = match alpn {
        Some(http2) => http2,
        None => match find_protocol(&mut io, &connection, &drain).await {
            Some(http2) => http2,
            None => return,
        },
    };
    let watch = Watch::new(Rc::clone(&connection), io.arrivals(), multiplexed, drain);
    let result = if multiplexed {
        serve_http2(io, connection, watch).await
    } else {
        serve_http1(io, connection, watch).await
    };
    if let Err(error) = result {
        tracing::debug!(%error, "a client's connection failed");
    }
}

/// HTTP/2? `None` when the client sends nothing in time, or the connection drains before.
async fn find_protocol<IO: AsyncRead + Unpin>(
    io: &mut ClientIo<IO>,
    connection: &Rc<Connection>,
    drain: &DrainWatch,
) -> Option<bool> {
    let mut watch = Watch::new(Rc::clone(connection), io.arrivals(), false, drain.clone());
    let mut found = pin!(io.begins_with_http2());
    std::future::poll_fn(|cx| match found.as_mut().poll(cx) {
        Poll::Ready(found) => Poll::Ready(found.ok().flatten()),
        Poll::Pending => watch.poll(cx).map(|_| None),
    })
    .await
}

async fn serve_http1<IO>(io: ClientIo<IO>, connection: Rc<Connection>, watch: Watch) -> hyper::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let largest_head = connection.view.load().settings.max_request_headers as usize;
    let service = service_fn(move |request| handle(&connection, request));
    let served = http1::Builder::new()
        .max_header_size(largest_head)
        .max_buf_size(READ_BUFFER.max(largest_head + 1024))
        .serve_connection(TokioIo::new(io), service)
        .with_upgrades();
    drive(served, watch, |served| served.graceful_shutdown(), |_| Poll::Ready(Ok(()))).await
}

async fn serve_http2<IO>(io: ClientIo<IO>, connection: Rc<Connection>, watch: Watch) -> hyper::Result<()>
where
    IO: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let builder = http2_builder(&connection.view.load().settings);
    let service = service_fn(move |request| handle(&connection, request));
    let (io, cork) = Corked::new(io);
    let served = builder.serve_connection(TokioIo::new(io), service);
    drive(served, watch, |served| served.graceful_shutdown(), |cx| cork.poll_flush(cx)).await
}

fn http2_builder(settings: &Settings) -> http2::Builder<LocalExecutor> {
    let mut builder = http2::Builder::new(LocalExecutor);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .max_header_list_size(settings.max_request_headers)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .enable_connect_protocol();
    builder
}

/// Runs a connection beside its watch. `flush` is called after each poll.
async fn drive<C>(
    served: C,
    mut watch: Watch,
    shutdown: impl Fn(Pin<&mut C>),
    flush: impl Fn(&mut Context<'_>) -> Poll<std::io::Result<()>>,
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    let mut served = pin!(served);
    std::future::poll_fn(|cx: &mut Context<'_>| {
        loop {
            if let Poll::Ready(result) = served.as_mut().poll(cx) {
                return Poll::Ready(result);
            }
            if let Poll::Ready(Err(error)) = flush(cx) {
                tracing::debug!(%error, "a client's connection broke");
                return Poll::Ready(Ok(()));
            }
            match watch.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Verdict::Shutdown) => shutdown(served.as_mut()),
                Poll::Ready(Verdict::Abort) => return Poll::Ready(Ok(())),
            }
        }
    })
    .await
}

/// Runs HTTP/2's streams on the worker's own thread.
#[derive(Debug, Clone, Copy)]
struct LocalExecutor;

impl<F> hyper::rt::Executor<F> for LocalExecutor
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        drop(tokio::task::spawn_local(future));
    }
}
