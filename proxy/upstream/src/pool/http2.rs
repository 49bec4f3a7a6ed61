//! HTTP/2 connections.

use std::{
    cell::{Cell, RefCell},
    io,
    pin::Pin,
    rc::{Rc, Weak},
    sync::Arc,
    task::{Context, Poll, Waker},
};

use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    client::conn::http2::{Builder, SendRequest},
    rt::Executor,
    upgrade::OnUpgrade,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{PoolConfig, Unanswered, host::Host, slot::Slot};
use crate::{Cause, Cluster, ConnectError, Failure, UpstreamStream};

/// What a peer may send on one stream before it is read: enough for 1 Gbit/s at 2 ms.
const STREAM_WINDOW: u32 = 256 * 1024;
/// What it may send on all streams. So large that some slow readers do not hold up the others.
const CONNECTION_WINDOW: u32 = 32 * 1024 * 1024;
/// What is buffered of a stream's request body before the client is slowed down.
const SEND_BUFFER: usize = 256 * 1024;
/// Response headers up to this size are taken (Envoy's limit for requests).
const MAX_HEADER_LIST: u32 = 60 * 1024;

/// A connection that carries several requests at once.
pub(super) struct Multiplexed<B> {
    sender: SendRequest<B>,
    signals: Rc<Signals>,
    streams: Cell<usize>,
    last_used: Cell<u32>,
}

impl<B> Multiplexed<B> {
    /// Does it take no more requests? So it is also after a GOAWAY.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// May another stream be opened, by the peer's limit and by ours?
    pub(super) fn has_room(&self, most: usize) -> bool {
        self.streams.get() < self.signals.max_streams.get().min(most)
    }

    pub(super) fn is_busy(&self) -> bool {
        self.streams.get() > 0
    }

    pub(super) fn max_streams(&self) -> usize {
        self.signals.max_streams.get()
    }

    pub(super) fn last_used(&self) -> u32 {
        self.last_used.get()
    }
}

/// A place on a connection, given back when it is dropped.
pub(super) struct Stream<B> {
    connection: Rc<Multiplexed<B>>,
    host: Rc<Host<B>>,
}

impl<B> Stream<B> {
    /// Takes a place. The caller has seen that there is room.
    pub(super) fn open(connection: &Rc<Multiplexed<B>>, host: &Rc<Host<B>>) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self { connection: Rc::clone(connection), host: Rc::clone(host) }
    }

    /// Sends the request, and waits for the head of the response; and the tunnel, if it is one.
    pub(super) async fn send(
        &self,
        request: Request<B>,
    ) -> Result<(Response<Incoming>, Option<OnUpgrade>), Unanswered<B>>
    where
        B: Body + 'static,
    {
        let mut sender = self.connection.sender.clone();
        match sender.try_send_request(request).await {
            Ok(mut response) => {
                let upgrade = response.extensions_mut().remove::<OnUpgrade>();
                Ok((response, upgrade))
            }
            Err(mut error) => {
                let request = error.take_message();
                let error = error.into_error();
                Err(Unanswered {
                    // Given back, it was not sent: the connection was closing.
                    stale: request.is_some(),
                    failure: match &request {
                        Some(_) => Failure::ResetBeforeRequest(error.into()),
                        None => Failure::of_sent(error),
                    },
                    request,
                })
            }
        }
    }
}

impl<B> Drop for Stream<B> {
    fn drop(&mut self) {
        self.connection.streams.set(self.connection.streams.get() - 1);
        self.connection.last_used.set(self.host.shared().sweeps.get());
        self.host.stream_ended();
    }
}

/// Starts HTTP/2 on a stream. It is there when the peer's SETTINGS are: so a peer that speaks something else is found
/// out, and its limit of streams is known, before a request is sent (gRPC does the same).
pub(super) async fn handshake<B>(
    stream: UpstreamStream,
    host: &Rc<Host<B>>,
    cluster: &Arc<Cluster>,
    slot: Slot,
) -> Result<Multiplexed<B>, ConnectError>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    let not_http2 = |error: Cause| ConnectError::Handshake(error.into());
    let signals = Rc::new(Signals::default());
    let io = TokioIo::new(Watched { stream, signals: Rc::clone(&signals) });
    let (sender, connection) = builder(&host.shared().config, Observed(Rc::clone(&signals)))
        .handshake(io)
        .await
        .map_err(|error| not_http2(error.into()))?;

    let connection = Rc::new(RefCell::new(connection));
    let weak: Weak<RefCell<_>> = Rc::downgrade(&connection);
    *signals.probe.borrow_mut() = Some(Box::new(move || {
        let connection = weak.upgrade()?;
        let connection = connection.try_borrow().ok()?;
        Some(connection.current_max_send_streams())
    }));
    let closing = host.closing(cluster, slot);
    let ended = Rc::clone(&signals);
    tokio::task::spawn_local(async move {
        let result = std::future::poll_fn(|cx| Pin::new(&mut *connection.borrow_mut()).poll(cx)).await;
        if let Err(error) = result {
            tracing::debug!(%error, "an upstream connection failed");
        }
        ended.end();
        drop(closing);
    });
    std::future::poll_fn(|cx| signals.poll_settled(cx))
        .await
        .map_err(|()| not_http2("the connection closed before the peer's SETTINGS".into()))?;
    let last_used = Cell::new(host.shared().sweeps.get());
    Ok(Multiplexed { sender, signals, streams: Cell::new(0), last_used })
}

fn builder(config: &PoolConfig, executor: Observed) -> Builder<Observed> {
    let mut builder = Builder::new(executor);
    builder
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_LIST)
        .keep_alive_interval(config.http2_ping_interval);
    builder
}

/// What is seen of a connection from outside of hyper.
#[derive(Default)]
struct Signals {
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
    /// The peer's SETTINGS_MAX_CONCURRENT_STREAMS.
    max_streams: Cell<usize>,
    #[allow(
        clippy::type_complexity,
        reason = "the connection's type holds this very struct, so it is hidden here"
    )]
    probe: RefCell<Option<Box<dyn Fn() -> Option<usize>>>>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Silent,
    /// The peer sent something. Its first frame is SETTINGS (RFC 9113 section 3.4), else the connection fails.
    Heard,
    /// That was worked off.
    Settled,
    Ended,
}

impl Signals {
    /// hyper worked on the connection: its limit may have changed.
    fn worked(&self) {
        if self.state.get() == State::Silent {
            return;
        }
        if let Some(streams) = self.probe.borrow().as_ref().and_then(|probe| probe()) {
            self.max_streams.set(streams);
            if self.state.get() == State::Heard {
                self.move_to(State::Settled);
            }
        }
    }

    fn end(&self) {
        self.move_to(State::Ended);
        // It holds the connection's task alive no longer.
        self.probe.borrow_mut().take();
    }

    fn move_to(&self, state: State) {
        self.state.set(state);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }

    fn poll_settled(&self, cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        match self.state.get() {
            State::Settled => Poll::Ready(Ok(())),
            State::Ended => Poll::Ready(Err(())),
            State::Silent | State::Heard => {
                *self.waker.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// Runs hyper's tasks, and looks at the connection after each step of one.
#[derive(Clone)]
struct Observed(Rc<Signals>);

impl<F: Future + 'static> Executor<F> for Observed {
    fn execute(&self, task: F) {
        let signals = Rc::clone(&self.0);
        let mut task = Box::pin(task);
        tokio::task::spawn_local(async move {
            std::future::poll_fn(|cx| {
                let polled = task.as_mut().poll(cx);
                // A task that ends may be the connection's, with an error.
                if polled.is_pending() {
                    signals.worked();
                }
                polled
            })
            .await;
        });
    }
}

/// Notices the first bytes.
struct Watched {
    stream: UpstreamStream,
    signals: Rc<Signals>,
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.signals.state.get() == State::Silent && buf.filled().len() > before {
            self.signals.state.set(State::Heard);
        }
        polled
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
