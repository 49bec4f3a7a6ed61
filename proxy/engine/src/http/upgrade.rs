//! Connections that leave HTTP: WebSocket and whatever else both sides agree on. Bytes go both ways until both ends
//! have closed, or the drain's grace period is over.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use postern_telemetry::{Reason, ResetReason};
use postern_upstream::{Upgrade, UpstreamResponse};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional_with_sizes};

use super::{
    body::{RequestBody, ResponseBody},
    deadline::Deadline,
    exchange::Exchange,
    headers::{self, Seen},
    local_reply::{self, LocalReply},
    receive::UpgradeRequest,
    respond,
};

/// An upstream must not switch protocols unasked.
pub(super) const NOT_ASKED_FOR: Reason = Reason::UpstreamResetBeforeResponse(ResetReason::ProtocolError);
/// Bytes under way in each direction.
const BUFFER: usize = 16 * 1024;

/// The upstream's answer to a request that asked for another protocol.
pub(super) fn answer(
    exchange: Box<Exchange>,
    mut answer: UpstreamResponse<RequestBody>,
    seen: Seen,
    request: Box<UpgradeRequest>,
    deadline: Option<Deadline>,
) -> Response<ResponseBody> {
    let status = answer.response.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        // To a CONNECT, success would mean that there is a tunnel.
        return if request.extended_connect && status.is_success() {
            local_reply::reply(exchange, LocalReply::new(NOT_ASKED_FOR))
        } else {
            respond::pass_on(exchange, answer.response, seen, deadline)
        };
    }
    match answer.take_upgrade() {
        Some(upstream) => switch(exchange, answer, seen, upstream, request),
        None => local_reply::reply(exchange, LocalReply::new(NOT_ASKED_FOR)),
    }
}

fn switch(
    mut exchange: Box<Exchange>,
    answer: UpstreamResponse<RequestBody>,
    seen: Seen,
    upstream: Upgrade,
    request: Box<UpgradeRequest>,
) -> Response<ResponseBody> {
    let (mut parts, body) = answer.response.into_parts();
    if request.extended_connect {
        parts.status = StatusCode::OK;
        headers::remove_hop_by_hop(&mut parts.headers, seen);
        parts.headers.remove(header::SEC_WEBSOCKET_ACCEPT);
    }
    respond::finish_head(&mut exchange, &mut parts, seen);
    exchange.responded(parts.status.as_u16(), Reason::ViaUpstream, &parts.headers);
    tokio::task::spawn_local(async move {
        // The endpoint counts as busy until its own guard in the stream does.
        let tunnel = tunnel(exchange, request, upstream);
        drop(body);
        tunnel.await;
    });
    Response::from_parts(parts, ResponseBody::local(Bytes::new(), None))
}

async fn tunnel(mut exchange: Box<Exchange>, request: Box<UpgradeRequest>, upstream: Upgrade) {
    let drain = exchange.connection.drain.clone();
    let (sent, received) = (Counter::default(), Counter::default());
    let timeout = exchange.runtime.settings.stream_idle_timeout;
    let idle = idle(timeout, [sent.clone(), received.clone()]);
    let copied = drain
        .until_cut_off(async {
            let client = request.client.await.map_err(io::Error::other)?;
            let mut upstream = upstream.stream().await.map_err(io::Error::other)?;
            let mut client =
                Counted { io: TokioIo::new(client), read: received.clone(), written: sent.clone() };
            tokio::select! {
                copied = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER) => {
                    copied.map(|_| Ended::Closed)
                }
                () = idle => Ok(Ended::Idle),
            }
        })
        .await;
    exchange.sent_bytes = sent.0.get();
    exchange.tunnel_received_bytes = received.0.get();
    exchange.complete();
    match copied {
        Some(Ok(Ended::Closed)) => {}
        Some(Ok(Ended::Idle)) => exchange.reason = Reason::StreamIdleTimeout,
        // Which side broke is not known; Envoy's flag is for the upstream.
        Some(Err(error)) => {
            tracing::debug!(%error, "a tunnel broke off");
            exchange.reason = Reason::UpstreamResetAfterResponse(ResetReason::ConnectionTermination);
        }
        None => exchange.reason = Reason::DurationTimeout,
    }
}

/// How a tunnel ended in order.
enum Ended {
    Closed,
    Idle,
}

/// Returns when nothing moved between two looks, one `timeout` apart.
async fn idle(timeout: Option<Duration>, counters: [Counter; 2]) {
    let Some(timeout) = timeout else { return std::future::pending().await };
    let moved = || counters.iter().map(|counter| counter.0.get()).fold(0, u64::wrapping_add);
    loop {
        let before = moved();
        tokio::time::sleep(timeout).await;
        if moved() == before {
            return;
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Counter(Rc<Cell<u64>>);

impl Counter {
    fn add(&self, bytes: usize) {
        self.0.set(self.0.get() + bytes as u64);
    }
}

/// Counts what passes.
struct Counted<IO> {
    io: IO,
    read: Counter,
    written: Counter,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.read.add(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.written.add(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
