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

use tokio::net::{TcpListener, TcpStream};

use super::{
    handshake,
    slot::{Handling, ListenerSlot},
};
use crate::{
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
                accepted = listener.accept() => take(accepted, &slot, &worker).await,
                () = &mut draining => break,
            }
        }
    }
    while let Some(accepted) = now_or_never(listener.accept()) {
        if accepted.is_err() {
            break;
        }
        take(accepted, &slot, &worker).await;
    }
}

/// The result if it is there at the first look.
fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => Some(output),
        std::task::Poll::Pending => None,
    }
}

async fn take(accepted: io::Result<(TcpStream, SocketAddr)>, slot: &Arc<ListenerSlot>, worker: &Rc<Worker>) {
    match accepted {
        Ok((stream, peer)) => {
            tokio::task::spawn_local(serve(stream, peer, Arc::clone(slot), Rc::clone(worker)));
        }
        // The client went away before it was accepted.
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
        Err(error) => {
            tracing::warn!(listener = %slot.name, %error, "cannot accept");
            tokio::time::sleep(PAUSE_ON_ERROR).await;
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, slot: Arc<ListenerSlot>, worker: Rc<Worker>) {
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
    match &*slot.handling() {
        Handling::Http(target) => {
            let (chain, drain) = (Arc::clone(&target.chain), target.drain.watch());
            http::serve(stream, Rc::new(info), chain, worker, drain).await;
        }
        Handling::Tcp(target) => l4::serve(stream, info, None, target.clone(), worker).await,
        Handling::Tls(_) => handshake::serve(stream, info, slot, worker).await,
    }
}

/// An IPv4 client of a socket that listens on both is an IPv4 client.
fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
