//! What ends the proxy.

use std::{io, os::fd::AsFd};

use anyhow::Context;
use postern_engine::Stop;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{SignalKind, signal},
};

/// Resolves when the proxy is to end. Listening begins with this call, not with the first poll.
///
/// # Errors
/// When the system lets nobody listen to signals; when `until_stdin_closes` is set and standard input is no pipe.
pub(crate) fn stop(until_stdin_closes: bool) -> anyhow::Result<impl Future<Output = Stop>> {
    let signal = on_signal().context("cannot listen to signals")?;
    let pipe = until_stdin_closes.then(stdin_pipe).transpose();
    let pipe = pipe.context("--until-stdin-closes: standard input is no pipe")?;
    Ok(async move {
        tokio::select! {
            how = signal => how,
            how = closed(pipe) => how,
        }
    })
}

/// The first signal: SIGTERM, as from kubelet, ends gracefully; SIGINT, as from a terminal, drains at once.
fn on_signal() -> io::Result<impl Future<Output = Stop>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => Stop::Gracefully,
            _ = interrupt.recv() => Stop::Now,
        }
    })
}

fn stdin_pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// The end of the pipe: whoever started this proxy is gone, or wants it to end. Without a pipe, never.
async fn closed(pipe: Option<pipe::Receiver>) -> Stop {
    let Some(mut pipe) = pipe else { return std::future::pending().await };
    let mut ignored = [0; 64];
    // An error is as good as the end.
    while pipe.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
    Stop::Now
}
