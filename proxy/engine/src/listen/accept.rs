//! The accept loop of one worker on one listener.

use std::{
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use postern_snapshot::model::ProxyProtocol;
use tokio::net::{TcpListener, TcpStream};

use super::{
    handshake,
    prefixed::Prefixed,
    proxy_protocol::{self, Beginning},
    slot::{ListenerSlot, Terminated},
};
use crate::{
    drain::DrainWatch,
    http::{self, ConnectionInfo},
    l4,
    worker::Worker,
};

/// A pause when the process has no file descriptors left: some may be free again soon.
const PAUSE_ON_ERROR: Duration = Duration::from_millis(20);

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Accepts connections until the listener drains. What the kernel completed by then is still served: closing the
/// socket would reset it.
pub(crate) async fn accept(listener: TcpListener, slot: Arc<ListenerSlot>, worker: Rc<Worker>) {
    let watch = slot.drain.watch();
    {
        let mut draining = std::pin::pin!(watch.draining());
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => take(stream, peer, &slot, &worker),
                    Err(error) => failed(&error, &slot).await,
                },
                () = &mut draining => break,
            }
        }
    }
    match listener.into_std() {
        Ok(listener) => accept_rest(&listener, &slot, &worker),
        Err(error) => tracing::warn!(listener = %slot.name, %error, "connections that waited are reset"),
    }
}

/// Asks the kernel itself: tokio would say that there is nothing when it has only not yet heard of it.
fn accept_rest(listener: &std::net::TcpListener, slot: &Arc<ListenerSlot>, worker: &Rc<Worker>) {
    loop {
        let accepted = listener.accept().and_then(|(stream, peer)| {
            stream.set_nonblocking(true)?;
            Ok((TcpStream::from_std(stream)?, peer))
        });
        match accepted {
            Ok((stream, peer)) => take(stream, peer, slot, worker),
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => {
                tracing::warn!(listener = %slot.name, %error, "connections that waited are reset");
                return;
            }
        }
    }
}

async fn failed(error: &io::Error, slot: &ListenerSlot) {
    // The client went away before it was accepted.
    if error.kind() != io::ErrorKind::ConnectionAborted {
        tracing::warn!(listener = %slot.name, %error, "cannot accept");
        tokio::time::sleep(PAUSE_ON_ERROR).await;
    }
}

fn take(stream: TcpStream, peer: SocketAddr, slot: &Arc<ListenerSlot>, worker: &Rc<Worker>) {
    // From here on a drain waits for it, whatever it becomes.
    let accepted = slot.drain.watch();
    tokio::task::spawn_local(serve(stream, peer, Arc::clone(slot), Rc::clone(worker), accepted));
}

async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    slot: Arc<ListenerSlot>,
    worker: Rc<Worker>,
    accepted: DrainWatch,
) {
    let _active = slot.metrics.connection();
    // Both fail only on a connection that is gone already; reading will say so.
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let mut info = ConnectionInfo {
        id: NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed),
        listener: Arc::clone(&slot.name),
        peer: unmapped(peer),
        direct_peer: unmapped(peer),
        local: unmapped(local),
        tls: None,
    };
    let mut stream = stream;
    let mut early = Bytes::new();
    if let Some(expected) = slot.proxy_protocol() {
        match Box::pin(read_proxy_header(&mut stream, &mut info, expected, &slot, &accepted)).await {
            Some(rest) => early = rest,
            None => return,
        }
    }
    match slot.plaintext() {
        Some(Terminated::Http(target)) => {
            let drain = target.drain.watch();
            drop(accepted);
            http::serve(Prefixed::new(early, stream), Rc::new(info), target.chain, worker, drain).await;
        }
        Some(Terminated::Tcp(target)) => {
            let drain = target.drain.watch();
            drop(accepted);
            l4::serve(Prefixed::new(early, stream), info, None, &target.forward, worker, drain).await;
        }
        None => handshake::serve(Prefixed::new(early, stream), info, slot, worker, accepted).await,
    }
}

/// Reads the PROXY header, in no more time than a handshake has. Returns what was read of what follows; `None`: the
/// connection is to be closed.
async fn read_proxy_header(
    stream: &mut TcpStream,
    info: &mut ConnectionInfo,
    expected: ProxyProtocol,
    slot: &ListenerSlot,
    accepted: &DrainWatch,
) -> Option<Bytes> {
    let reading = proxy_protocol::read(stream, expected);
    let patience = std::pin::pin!(handshake::patience(accepted.clone()));
    match handshake::in_time(patience, reading).await {
        Some(Ok(Beginning { addresses, rest })) => {
            if let Some(addresses) = addresses {
                info.peer = addresses.source;
                info.local = addresses.destination;
            }
            Some(rest)
        }
        Some(Err(refused)) => {
            tracing::debug!(listener = %slot.name, peer = %info.peer, %refused, "a connection is closed");
            None
        }
        None => {
            tracing::debug!(listener = %slot.name, peer = %info.peer, "no PROXY header in time");
            None
        }
    }
}

/// An IPv4 client of a socket that listens on both is an IPv4 client.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use postern_telemetry::metrics::{Identity, Metrics, Options};
    use postern_tls::{PLAIN_HTTP_RESPONSE, ServerNames};
    use postern_upstream::{NoObserver, Pool, PoolConfig};

    use super::*;
    use crate::{
        drain::Drain,
        listen::{Handling, TlsChains},
        worker::AccessLog,
    };

    #[tokio::test]
    async fn what_waits_when_the_drain_begins_is_served() {
        let identity = Identity { workload: "w".into(), namespace: "n".into(), version: "0".into() };
        let metrics = Metrics::new(identity, Options::default());
        let worker = Worker::new(Pool::new(PoolConfig::default(), NoObserver), &metrics, AccessLog::off());
        let drain = Drain::new();
        // A listener that answers to plain HTTP with an explanation.
        let handling = Handling::Tls(TlsChains { by_name: ServerNames::new(), only_pass_on: false });
        let slot = Arc::new(ListenerSlot::new("l", drain.child(), metrics.listener("l"), handling.into()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let clients: Vec<_> = std::iter::repeat_with(|| {
            let mut client = std::net::TcpStream::connect(address).expect("completed by the kernel");
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
            client.shutdown(std::net::Shutdown::Write).expect("sent");
            client
        })
        .take(100)
        .collect();

        drain.start();
        let local = tokio::task::LocalSet::new();
        local.run_until(accept(listener, slot, worker)).await;
        local.run_until(drain.run(std::time::Duration::from_secs(10))).await;
        for mut client in clients {
            let mut answer = String::new();
            client.read_to_string(&mut answer).expect("an answer, no reset");
            assert_eq!(answer, PLAIN_HTTP_RESPONSE);
        }
    }
}
