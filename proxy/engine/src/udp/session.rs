//! One client's datagrams.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use postern_telemetry::{ResponseFlag, ResponseFlags, access_log::Entry, metrics::UdpShare};
use postern_upstream::{Cluster, EndpointGuard};
use socket2::{SockAddr, SockRef};
use tokio::{
    io::{Interest, Ready},
    net::UdpSocket,
    time::Instant,
};

use super::{sessions::Sessions, slot::Admitted};

/// So many datagrams are passed on before somebody else has a turn.
pub(super) const AT_A_TIME: usize = 64;

/// A client and its endpoint.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) client: SocketAddr,
    /// The same, as the system takes it.
    pub(super) to_client: SockAddr,
    upstream: UdpSocket,
    pub(super) guard: EndpointGuard,
    cluster: Arc<Cluster>,
    idle_timeout: Duration,
    /// When a datagram last passed, in either direction.
    last: Cell<Instant>,
    received: Cell<u64>,
    sent: Cell<u64>,
    flags: Cell<ResponseFlags>,
    start_time: SystemTime,
    start: Instant,
    counts: Arc<UdpShare>,
    _admitted: Admitted,
}

/// What a session begins with.
pub(super) struct Beginning {
    pub(super) client: SocketAddr,
    pub(super) upstream: UdpSocket,
    pub(super) guard: EndpointGuard,
    pub(super) cluster: Arc<Cluster>,
    pub(super) idle_timeout: Duration,
    pub(super) counts: Arc<UdpShare>,
    pub(super) admitted: Admitted,
}

impl Session {
    pub(super) fn new(beginning: Beginning) -> Self {
        let Beginning { client, upstream, guard, cluster, idle_timeout, counts, admitted } = beginning;
        counts.session_begun();
        Self {
            client,
            to_client: client.into(),
            upstream,
            guard,
            cluster,
            idle_timeout,
            last: Cell::new(Instant::now()),
            received: Cell::new(0),
            sent: Cell::new(0),
            flags: Cell::new(ResponseFlags::NONE),
            start_time: SystemTime::now(),
            start: Instant::now(),
            counts,
            _admitted: admitted,
        }
    }

    /// Sends a datagram of the client to the endpoint. Asks the system itself: tokio would say that a new socket cannot be
    /// written to when it has only not yet heard that it can.
    pub(super) fn send(&self, datagram: &[u8]) -> io::Result<()> {
        SockRef::from(&self.upstream).send(datagram)?;
        self.passed(&self.received, datagram.len());
        Ok(())
    }

    /// The error that the system has for the socket: what came of a datagram that was sent.
    fn check(&self, ready: Ready) -> io::Result<()> {
        if !ready.is_error() {
            return Ok(());
        }
        // Else tokio would go on saying that there is one.
        let _ = self.upstream.try_io(Interest::ERROR, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
        self.upstream.take_error()?.map_or(Ok(()), Err)
    }

    /// A datagram of the endpoint was sent to the client.
    pub(super) fn answered(&self, length: usize) {
        self.passed(&self.sent, length);
    }

    fn passed(&self, bytes: &Cell<u64>, length: usize) {
        bytes.set(bytes.get().wrapping_add(length as u64));
        self.last.set(Instant::now());
    }

    /// Has nothing passed for this long?
    pub(super) fn is_silent_for(&self, time: Duration) -> bool {
        self.last.get().elapsed() >= time
    }

    /// Why it ends, for the access log.
    pub(super) fn ends_because(&self, flag: ResponseFlag) {
        self.flags.set(flag.into());
    }

    /// What the access log says of it.
    pub(super) fn entry(&self) -> Entry<'_> {
        let client = SocketAddr::new(self.client.ip().to_canonical(), self.client.port());
        Entry {
            duration: Some(self.start.elapsed()),
            response_flags: self.flags.get(),
            bytes_received: self.received.get(),
            bytes_sent: self.sent.get(),
            upstream_host: Some(self.guard.endpoint().address()),
            upstream_cluster: Some(self.cluster.name().as_str()),
            upstream_local_address: self.upstream.local_addr().ok(),
            downstream_remote_address: Some(client),
            downstream_direct_remote_address: Some(client),
            ..Entry::new(self.start_time)
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.counts.session_ended();
    }
}

/// Passes the endpoint's datagrams on, until the session is over.
pub(super) async fn answer(session: Rc<Session>, sessions: Rc<Sessions>) {
    let mut silence = std::pin::pin!(tokio::time::sleep(session.idle_timeout));
    loop {
        tokio::select! {
            ready = session.upstream.ready(Interest::READABLE | Interest::ERROR) => {
                let checked = ready.and_then(|ready| session.check(ready));
                match checked.and_then(|()| pass_on(&session, &sessions)) {
                    Ok(false) => {}
                    Ok(true) => tokio::task::yield_now().await,
                    Err(error) => {
                        sessions.refused(&session, &error);
                        return;
                    }
                }
            }
            // It was set when the last datagram but some had passed.
            () = &mut silence => {
                let until = session.last.get() + session.idle_timeout;
                if until <= Instant::now() {
                    session.counts.idle_timeout();
                    session.ends_because(ResponseFlag::StreamIdleTimeout);
                    sessions.end(&session);
                    return;
                }
                silence.as_mut().reset(until);
            }
        }
    }
}

/// Passes on what has come from the endpoint. Says whether there may be more.
fn pass_on(session: &Session, sessions: &Sessions) -> io::Result<bool> {
    for _ in 0..AT_A_TIME {
        let mut buffer = sessions.buffer.borrow_mut();
        match session.upstream.try_recv(&mut buffer) {
            Ok(length) => {
                session.guard.answered();
                sessions.answer(session, buffer.get(..length).unwrap_or_default());
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}
