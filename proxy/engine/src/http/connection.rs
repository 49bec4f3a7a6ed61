//! A client's connection: what is known about it, and how busy it is.

use std::{cell::Cell, net::SocketAddr, rc::Rc, sync::Arc};

use postern_tls::TlsInfo;
use tokio::time::Instant;

use super::{chain::SlotView, client_cert, forwarded::Peer};
use crate::{drain::DrainWatch, worker::Worker};

/// What the listener knows about a connection.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Unique within the process, for logs.
    pub id: u64,
    /// The listener's name: `0.0.0.0_443`.
    pub listener: Arc<str>,
    /// The other end, or what the PROXY protocol says.
    pub peer: SocketAddr,
    /// The other end, whatever the PROXY protocol says.
    pub direct_peer: SocketAddr,
    /// The own end, or what the PROXY protocol says.
    pub local: SocketAddr,
    /// Of the handshake; `None` for plaintext.
    pub tls: Option<TlsInfo>,
}

/// A connection that speaks HTTP, with what its requests share.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) info: Rc<ConnectionInfo>,
    pub(super) worker: Rc<Worker>,
    pub(super) view: Rc<SlotView>,
    pub(super) peer: Peer,
    pub(super) drain: DrainWatch,
    /// Requests under way.
    active: Cell<usize>,
    /// Requests that have ended.
    answered: Cell<u64>,
    /// When the last request ended; before, when the connection began.
    idle_since: Cell<Instant>,
    /// The connection ends with the next response.
    closing: Cell<bool>,
}

impl Connection {
    pub(super) fn new(
        info: Rc<ConnectionInfo>,
        worker: Rc<Worker>,
        view: Rc<SlotView>,
        drain: DrainWatch,
    ) -> Rc<Self> {
        let client_cert =
            info.tls.as_ref().and_then(|tls| tls.peer.as_deref()).and_then(client_cert::describe);
        let peer = Peer::new(info.peer, info.tls.is_some(), client_cert);
        Rc::new(Self {
            info,
            worker,
            view,
            peer,
            drain,
            active: Cell::new(0),
            answered: Cell::new(0),
            idle_since: Cell::new(Instant::now()),
            closing: Cell::new(false),
        })
    }

    pub(super) fn request_started(&self) {
        self.active.set(self.active.get() + 1);
    }

    pub(super) fn request_ended(&self, at: Instant) {
        self.active.set(self.active.get() - 1);
        self.answered.set(self.answered.get() + 1);
        self.idle_since.set(at);
    }

    pub(super) fn is_busy(&self) -> bool {
        self.active.get() > 0
    }

    pub(super) fn answered(&self) -> u64 {
        self.answered.get()
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since.get()
    }

    /// From now on, HTTP/1.1 responses say `connection: close`.
    pub(super) fn close_after_response(&self) {
        self.closing.set(true);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }
}
