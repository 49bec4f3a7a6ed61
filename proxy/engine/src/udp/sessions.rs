//! The sessions of one worker at one listener.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::SocketAddr,
    rc::{Rc, Weak},
    sync::Arc,
    time::Duration,
};

use postern_telemetry::{
    ResponseFlag,
    metrics::{DatagramDrop, UdpShare},
};
use postern_upstream::{Clusters, DatagramError};
use socket2::SockRef;
use tokio::{net::UdpSocket, task::AbortHandle};

use super::{
    session::{self, Beginning, Session},
    slot::UdpSlot,
};
use crate::worker::Worker;

/// No datagram is longer: its length field has 16 bits (RFC 768).
const LONGEST: usize = 65_536;

/// The socket of a listener that a worker has, and what it serves there.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) socket: UdpSocket,
    pub(super) slot: Arc<UdpSlot>,
    pub(super) counts: Arc<UdpShare>,
    /// What is received stays here until it is sent, at once. It is never borrowed over an `await`.
    pub(super) buffer: RefCell<Box<[u8]>>,
    worker: Rc<Worker>,
    open: RefCell<HashMap<SocketAddr, Open>>,
    draining: Cell<bool>,
}

/// A session that is found by its client.
#[derive(Debug)]
struct Open {
    session: Rc<Session>,
    /// Passes on what comes from the endpoint.
    task: AbortHandle,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sessions {
    pub(super) fn new(socket: UdpSocket, slot: Arc<UdpSlot>, worker: Rc<Worker>) -> Rc<Self> {
        let sessions = Rc::new(Self {
            counts: slot.metrics.share(),
            socket,
            slot,
            buffer: RefCell::new(vec![0; LONGEST].into_boxed_slice()),
            worker,
            open: RefCell::default(),
            draining: Cell::new(false),
        });
        sessions.worker.sessions.add(&sessions);
        sessions
    }

    /// Sends a datagram to the client's endpoint. The first one chooses it.
    pub(super) fn pass_on(self: &Rc<Self>, client: SocketAddr, datagram: &[u8]) {
        self.counts.received(datagram.len());
        let known = self.open.borrow().get(&client).map(|open| Rc::clone(&open.session));
        let session = match known.map_or_else(|| self.begin(client), Ok) {
            Ok(session) => session,
            Err(why) => {
                self.counts.dropped(why);
                return;
            }
        };
        match session.send(datagram) {
            Ok(()) => {}
            Err(error) if is_local(&error) => self.counts.dropped(DatagramDrop::UpstreamSend),
            // What came of a datagram before.
            Err(error) => self.refused(&session, &error),
        }
    }

    fn begin(self: &Rc<Self>, client: SocketAddr) -> Result<Rc<Session>, DatagramDrop> {
        if self.draining.get() {
            return Err(DatagramDrop::Draining);
        }
        let forward = self.slot.forward();
        let cluster = forward.choose_cluster().ok_or(DatagramDrop::NoRoute)?;
        let admitted = self.slot.admit().ok_or(DatagramDrop::SessionOverflow)?;
        let (upstream, guard) = self.worker.pool.connect_datagram(cluster).map_err(|error| {
            tracing::debug!(listener = %self.slot.name, %client, %error, "no session");
            match error {
                DatagramError::NoEndpoints => DatagramDrop::NoneHealthy,
                DatagramError::Overflow => DatagramDrop::UpstreamOverflow,
                DatagramError::Socket { error, .. } if is_unreachable(&error) => DatagramDrop::Unreachable,
                DatagramError::Socket { .. } => DatagramDrop::Local,
            }
        })?;
        let session = Rc::new(Session::new(Beginning {
            client,
            upstream,
            guard,
            cluster: Arc::clone(cluster),
            idle_timeout: forward.idle_timeout(),
            counts: Arc::clone(&self.counts),
            admitted,
        }));
        let answering = session::answer(Rc::clone(&session), Rc::clone(self));
        let task = tokio::task::spawn_local(answering).abort_handle();
        self.open.borrow_mut().insert(client, Open { session: Rc::clone(&session), task });
        Ok(session)
    }

    /// Sends a datagram of the endpoint to the client.
    pub(super) fn answer(&self, session: &Session, datagram: &[u8]) {
        match SockRef::from(&self.socket).send_to(datagram, &session.to_client) {
            Ok(_) => {
                self.counts.sent(datagram.len());
                session.answered(datagram.len());
            }
            Err(error) => {
                tracing::debug!(listener = %self.slot.name, client = %session.client, %error, "cannot answer");
                self.counts.dropped(DatagramDrop::DownstreamSend);
            }
        }
    }

    /// The endpoint did not take a datagram: the client's next one goes to another, if there is one.
    pub(super) fn refused(&self, session: &Rc<Session>, error: &io::Error) {
        let refused = error.kind() == io::ErrorKind::ConnectionRefused;
        self.counts.dropped(if refused { DatagramDrop::Refused } else { DatagramDrop::Unreachable });
        session.guard.refused();
        session.ends_because(ResponseFlag::UpstreamConnectionFailure);
        self.end(session);
    }

    /// Ends a session, unless that has happened.
    pub(super) fn end(&self, session: &Rc<Session>) {
        let is_it =
            self.open.borrow().get(&session.client).is_some_and(|it| Rc::ptr_eq(&it.session, session));
        if is_it {
            let ended = self.open.borrow_mut().remove(&session.client);
            ended.iter().for_each(|open| self.log(&open.session));
        }
    }

    /// Ends all of which this is true.
    fn end_all(&self, is_over: impl Fn(&Session) -> bool) {
        let over = self.open.borrow_mut().extract_if(|_, open| is_over(&open.session)).collect::<Vec<_>>();
        for (_, open) in over {
            open.session.ends_because(ResponseFlag::LocalReset);
            self.log(&open.session);
        }
    }

    fn log(&self, session: &Session) {
        let log = &self.worker.access_log;
        let Some(format) = log.format() else { return };
        let local = self.socket.local_addr().ok();
        log.record(
            &format,
            &postern_telemetry::access_log::Entry {
                downstream_local_address: local.map(|it| SocketAddr::new(it.ip().to_canonical(), it.port())),
                ..session.entry()
            },
        );
    }

    /// No session begins any more. Returns when the last has ended: those end that say nothing for `silence`.
    pub(super) async fn drain(&self, silence: Duration) {
        self.draining.set(true);
        loop {
            self.end_all(|session| session.is_silent_for(silence));
            if self.open.borrow().is_empty() {
                return;
            }
            tokio::time::sleep(silence / 4).await;
        }
    }

    /// Ends all of them.
    pub(super) fn close(&self) {
        self.end_all(|_| true);
    }
}

/// Is it this machine that could not send it?
fn is_local(error: &io::Error) -> bool {
    // EMSGSIZE and ENOBUFS have no kinds of their own.
    error.kind() == io::ErrorKind::WouldBlock || matches!(error.raw_os_error(), Some(90 | 105))
}

fn is_unreachable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable)
}

/// All sessions of a worker, to be told when endpoints are gone.
#[derive(Debug, Default)]
pub(crate) struct OfWorker(RefCell<Vec<Weak<Sessions>>>);

impl OfWorker {
    fn add(&self, sessions: &Rc<Sessions>) {
        let mut all = self.0.borrow_mut();
        all.retain(|sessions| sessions.strong_count() > 0);
        all.push(Rc::downgrade(sessions));
    }

    /// Ends sessions whose endpoint is none of these clusters' any more.
    pub(crate) fn retain(&self, clusters: &Clusters) {
        let all: Vec<_> = self.0.borrow().iter().filter_map(Weak::upgrade).collect();
        for sessions in all {
            sessions.end_all(|session| !clusters.have(session.guard.endpoint()));
        }
    }
}
