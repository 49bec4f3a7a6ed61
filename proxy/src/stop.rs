//! Signals that end the proxy.

use std::io;

use postern_engine::Stop;
use tokio::signal::unix::{SignalKind, signal};

/// Resolves at the first signal: SIGTERM, as from kubelet, ends gracefully; SIGINT, as from a terminal, drains at once.
/// Listening begins with this call, not with the first poll.
///
/// # Errors
/// When the system lets nobody listen.
pub(crate) fn on_signal() -> io::Result<impl Future<Output = Stop>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Stop::Gracefully,
            _ = interrupt.recv() => Stop::Now,
        }
    })
}
