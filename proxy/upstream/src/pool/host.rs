//! The connections to one endpoint, and the requests that wait for one.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    sync::Arc,
};

use hyper::body::Body;
use postern_snapshot::model::UpstreamProtocol;
use rustls_pki_types::ServerName;
use tokio::{sync::oneshot, time::Instant};

use super::{
    Shared, http1, http2,
    lease::{Connection, Lease},
    slot::{Open, Slot},
};
use crate::{Cause, Cluster, ConnectError, Endpoint, connect};

/// All connections to one endpoint.
pub(super) struct Host<B> {
    endpoint: Arc<Endpoint>,
    server_name: Option<ServerName<'static>>,
    shared: Rc<Shared>,
    /// HTTP/1.1 connections without a request; the last one that was used is at the end, and used next, so that
    /// those that are too many grow old.
    idle: RefCell<Vec<Idle>>,
    /// HTTP/2 connections.
    multiplexed: RefCell<Vec<Rc<http2::Multiplexed<B>>>>,
    /// Requests that wait for a connection or a stream, the longest first.
    waiting: RefCell<VecDeque<Waiter<B>>>,
    /// Connects under way.
    connecting: Cell<usize>,
    /// The connections that there are, those among them that are being made.
    open: Rc<Open>,
    /// How many requests a new connection is expected to carry at once.
    expected_streams: Cell<usize>,
}

struct Idle {
    connection: Box<http1::Connection>,
    since: u32,
}

type Waiter<B> = oneshot::Sender<Result<Lease<B>, ConnectError>>;

impl<B> Host<B> {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        server_name: Option<ServerName<'static>>,
        shared: Rc<Shared>,
    ) -> Self {
        let expected = match endpoint.transport().protocol() {
            UpstreamProtocol::Http1 | UpstreamProtocol::Udp => 1,
            // RFC 9113 section 6.5.2 recommends to allow no fewer.
            UpstreamProtocol::Http2 => 100,
        };
        Self {
            endpoint,
            server_name,
            shared,
            idle: RefCell::default(),
            multiplexed: RefCell::default(),
            waiting: RefCell::default(),
            connecting: Cell::new(0),
            open: Rc::default(),
            expected_streams: Cell::new(expected),
        }
    }

    /// A connection that is ready now.
    pub(super) fn ready(self: &Rc<Self>) -> Option<Lease<B>> {
        match self.endpoint.transport().protocol() {
            UpstreamProtocol::Http1 | UpstreamProtocol::Udp => self.ready_http1(),
            UpstreamProtocol::Http2 => self.ready_http2(),
        }
    }

    fn ready_http1(self: &Rc<Self>) -> Option<Lease<B>> {
        let Idle { connection, .. } = self.idle.borrow_mut().pop()?;
        Some(Lease::new(Rc::clone(self), Connection::Http1(connection), true))
    }

    fn ready_http2(self: &Rc<Self>) -> Option<Lease<B>> {
        let mut connections = self.multiplexed.borrow_mut();
        connections.retain(|connection| !connection.is_closed());
        let most = self.shared.config.max_streams_per_connection;
        // The first with room: so the last ones become idle, and are closed, when there is less to do.
        let connection = connections.iter().find(|connection| connection.has_room(most))?;
        Some(Lease::new(Rc::clone(self), Connection::Http2(http2::Stream::open(connection, self)), true))
    }

    /// A request on this connection ended in order: whoever waits gets it, or it becomes idle.
    pub(super) fn give_back(self: &Rc<Self>, connection: Box<http1::Connection>) {
        if !self.is_current() {
            return;
        }
        if self.waiting.borrow().is_empty() {
            self.keep(connection);
        } else {
            self.hand_out(Lease::new(Rc::clone(self), Connection::Http1(connection), true));
        }
    }

    fn keep(&self, connection: Box<http1::Connection>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < self.shared.config.max_idle_per_endpoint {
            idle.push(Idle { connection, since: self.shared.sweeps.get() });
        }
    }

    /// A stream ended: whoever waits may open another.
    pub(super) fn stream_ended(self: &Rc<Self>) {
        while !self.waiting.borrow().is_empty() {
            let Some(lease) = self.ready_http2() else { return };
            self.hand_out(lease);
        }
    }

    /// Gives the lease to the request that waits longest; if none waits, it is dropped, which keeps the connection.
    fn hand_out(&self, mut lease: Lease<B>) {
        loop {
            let Some(waiter) = self.waiting.borrow_mut().pop_front() else { break };
            match waiter.send(Ok(lease)) {
                Ok(()) => return,
                // That request was given up.
                Err(Ok(returned)) => lease = returned,
                Err(Err(_)) => return,
            }
        }
        if let Some(connection) = lease.into_http1() {
            self.keep(connection);
        }
    }

    /// Closes what was idle for more than this many sweeps; everything if no cluster has the endpoint any more.
    /// Returns whether nothing is left.
    pub(super) fn sweep(&self, most_sweeps: u32) -> bool {
        let now = self.shared.sweeps.get();
        let current = self.is_current();
        let stays = |since: u32| current && now.wrapping_sub(since) <= most_sweeps;
        self.idle.borrow_mut().retain_mut(|idle| stays(idle.since) && idle.connection.is_quiet());
        self.multiplexed.borrow_mut().retain(|connection| {
            !connection.is_closed() && (stays(connection.last_used()) || (current && connection.is_busy()))
        });
        self.idle.borrow().is_empty()
            && self.multiplexed.borrow().is_empty()
            && self.waiting.borrow().is_empty()
            && self.connecting.get() == 0
    }

    /// Does a cluster still have the endpoint?
    fn is_current(&self) -> bool {
        self.endpoint.is_in(self.shared.generation.get())
    }

    /// Tells the observer, when it is dropped, that a connection is gone.
    pub(super) fn closing(&self, cluster: &Arc<Cluster>, slot: Slot) -> Closing {
        Closing {
            _slot: slot,
            shared: Rc::clone(&self.shared),
            cluster: Arc::clone(cluster),
            endpoint: Arc::clone(&self.endpoint),
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }
}

impl<B> Host<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    /// A connection as soon as there is one: a new one, or one that becomes free before.
    pub(super) async fn wait(self: &Rc<Self>, cluster: &Arc<Cluster>) -> Result<Lease<B>, ConnectError> {
        let (waiter, lease) = oneshot::channel();
        self.waiting.borrow_mut().push_back(waiter);
        self.connect_if_needed(cluster);
        let lease = match cluster.is_limited() {
            false => lease.await,
            // Boxed, since it is rare and larger.
            true => Box::pin(self.wait_for_turn(lease, cluster)).await,
        };
        match lease {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(cluster.settings().connect_timeout)),
        }
    }

    /// As long as there are connections enough, none is made for this request. When one of them closes, it is time for
    /// another.
    async fn wait_for_turn<T>(
        self: &Rc<Self>,
        mut lease: oneshot::Receiver<T>,
        cluster: &Arc<Cluster>,
    ) -> Result<T, oneshot::error::RecvError> {
        loop {
            tokio::select! {
                biased;
                lease = &mut lease => return lease,
                () = self.open.closed() => self.connect_if_needed(cluster),
            }
        }
    }

    fn connect_if_needed(self: &Rc<Self>, cluster: &Arc<Cluster>) {
        let waiting = self.waiting.borrow().iter().filter(|waiter| !waiter.is_closed()).count();
        let wanted = waiting.div_ceil(self.expected_streams.get().max(1));
        for _ in self.connecting.get()..wanted {
            let Some(slot) = Slot::take(&self.open, cluster) else { return };
            self.connecting.set(self.connecting.get() + 1);
            tokio::task::spawn_local(Rc::clone(self).connect(Arc::clone(cluster), slot));
        }
    }

    /// Makes a connection for whoever waits. A task of its own: a request that is given up, or gets another
    /// connection, does not throw away a handshake.
    async fn connect(self: Rc<Self>, cluster: Arc<Cluster>, slot: Slot) {
        let start = Instant::now();
        let made = self.handshake(&cluster, slot).await;
        self.connecting.set(self.connecting.get() - 1);
        let observer = &self.shared.observer;
        match made {
            Ok(connection) => {
                self.endpoint.reinstate();
                observer.connected(&cluster, &self.endpoint, start.elapsed());
                self.take_in(connection, &cluster);
            }
            Err(error) => {
                tracing::debug!(cluster = %cluster.name(), endpoint = %self.endpoint.address(), %error, "cannot connect");
                self.endpoint.set_aside();
                observer.connect_failed(&cluster, &self.endpoint, &error);
                self.fail(&error);
            }
        }
    }

    async fn handshake(self: &Rc<Self>, cluster: &Arc<Cluster>, slot: Slot) -> Result<Made<B>, ConnectError> {
        let start = Instant::now();
        let within = cluster.settings().connect_timeout;
        let endpoint = &self.endpoint;
        let name = self.server_name.clone();
        let stream = connect::connect(endpoint.address(), endpoint.transport(), name, within).await?;
        match endpoint.transport().protocol() {
            UpstreamProtocol::Http1 | UpstreamProtocol::Udp => {
                let arena = Rc::clone(&self.shared.arena);
                Ok(Made::Http1(Box::new(http1::Connection::new(stream, arena, self.closing(cluster, slot)))))
            }
            UpstreamProtocol::Http2 => {
                let left = within.saturating_sub(start.elapsed());
                let shaking = http2::handshake(stream, self, cluster, slot);
                match tokio::time::timeout(left, shaking).await {
                    Ok(made) => Ok(Made::Http2(Rc::new(made?))),
                    Err(_) => Err(ConnectError::Timeout(within)),
                }
            }
        }
    }

    fn take_in(self: &Rc<Self>, connection: Made<B>, cluster: &Arc<Cluster>) {
        match connection {
            Made::Http1(connection) => {
                self.hand_out(Lease::new(Rc::clone(self), Connection::Http1(connection), false));
            }
            Made::Http2(connection) => {
                let most = self.shared.config.max_streams_per_connection;
                self.expected_streams.set(connection.max_streams().clamp(1, most));
                self.multiplexed.borrow_mut().push(connection);
                self.stream_ended();
                // The peer may allow fewer streams than was expected.
                self.connect_if_needed(cluster);
            }
        }
    }

    /// A connect failed: those fail that no other connect under way will serve.
    fn fail(&self, error: &ConnectError) {
        let served = self.connecting.get().saturating_mul(self.expected_streams.get());
        loop {
            let waiter = {
                let mut waiting = self.waiting.borrow_mut();
                waiting.retain(|waiter| !waiter.is_closed());
                if waiting.len() <= served {
                    return;
                }
                waiting.pop_front()
            };
            if let Some(waiter) = waiter {
                // It may have been given up just now.
                let _ = waiter.send(Err(error.clone()));
            }
        }
    }
}

/// A connection's end.
pub(super) struct Closing {
    _slot: Slot,
    shared: Rc<Shared>,
    cluster: Arc<Cluster>,
    endpoint: Arc<Endpoint>,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.shared.observer.closed(&self.cluster, &self.endpoint);
    }
}

enum Made<B> {
    Http1(Box<http1::Connection>),
    Http2(Rc<http2::Multiplexed<B>>),
}
