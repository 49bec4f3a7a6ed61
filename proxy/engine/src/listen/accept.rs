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

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use super::{
    handshake,
    slot::{ListenerSlot, Terminated},
};
use crate::{
    drain::DrainWatch,
    http::{self, ChainSlot, ConnectionInfo},
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
    let info = ConnectionInfo {
        id: NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed),
        listener: Arc::clone(&slot.name),
        peer: unmapped(peer),
        local: unmapped(local),
        tls: None,
    };
    match slot.plaintext() {
        Some(Terminated::Http(target)) => {
            let drain = target.drain.watch();
            drop(accepted);
            serve_http(stream, info, target.chain, worker, drain).await;
        }
        Some(Terminated::Tcp(target)) => {
            let drain = target.drain.watch();
            drop(accepted);
            l4::serve(stream, info, None, &target.forward, worker, drain).await;
        }
        None => handshake::serve(stream, info, slot, worker, accepted).await,
    }
}

/// Serves requests until the connection ends, gracefully or not.
pub(super) async fn serve_http<IO>(
    stream: IO,
    info: ConnectionInfo,
    chain: Arc<ChainSlot>,
    worker: Rc<Worker>,
    drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let serving = http::serve(stream, Rc::new(info), chain, worker, drain.clone());
    if drain.until_cut_off(serving).await.is_none() {
        tracing::debug!("cut off a connection whose time to drain was over");
    }
}

/// An IPv4 client of a socket that listens on both is an IPv4 client.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
