//! What ends the proxy.

use std::{io, os::fd::AsFd};

use anyhow::Context;
use postern_engine::Stop;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe,
    signal::unix::{Signal, SignalKind, signal},
};

/// Who may end the proxy: SIGTERM, as from kubelet; SIGINT, as from a terminal; whoever started it.
#[derive(Debug)]
pub(crate) struct Stops {
    terminate: Signal,
    interrupt: Signal,
    stdin: Option<pipe::Receiver>,
}

impl Stops {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the system lets nobody listen to signals; when `until_stdin_closes` is set and standard input is no pipe.
    pub(crate) fn listen(until_stdin_closes: bool) -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen to signals");
        let stdin = until_stdin_closes.then(stdin_pipe).transpose();
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            stdin: stdin.context("--until-stdin-closes: standard input is no pipe")?,
        })
    }

    /// Resolves when the proxy is to end: gracefully at a SIGTERM, at once at a SIGINT or when the pipe is closed.
    pub(crate) async fn stop(&mut self) -> Stop {
        tokio::select! {
            _ = self.terminate.recv() => Stop::Gracefully,
            _ = self.interrupt.recv() => Stop::Now,
            () = closed(self.stdin.as_mut()) => Stop::Now,
        }
    }

    /// Resolves at the next SIGINT: somebody does not want to wait for the drain. Another SIGTERM says nothing new.
    pub(crate) async fn impatience(&mut self) {
        self.interrupt.recv().await;
    }
}

fn stdin_pipe() -> io::Result<pipe::Receiver> {
    pipe::Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)
}

/// The end of the pipe: whoever started this proxy is gone, or wants it to end. Without a pipe, never.
async fn closed(pipe: Option<&mut pipe::Receiver>) {
    let Some(pipe) = pipe else { return std::future::pending().await };
    let mut ignored = [0; 64];
    // An error is as good as the end.
    while pipe.read(&mut ignored).await.is_ok_and(|length| length > 0) {}
}
