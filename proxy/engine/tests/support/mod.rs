//! A whole proxy between real sockets: snapshot directories, `run` on a thread of its own, backends, clients.
#![allow(dead_code, unreachable_pub, unused_imports, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod address;
mod backend;
mod client;
mod pki;
mod proxy;
mod snapshot;
mod volume;

use std::{future::Future, time::Duration};

pub use address::Address;
pub use backend::{Backend, TcpBackend, UdpBackend};
pub use client::{Answer, Client, ClientTls, get, get_text, handshake, request_text};
pub use pki::{Authority, Issued};
pub use proxy::{FakeLog, Options, Proxy};
pub use snapshot::*;
pub use volume::Volume;

/// No test takes longer than this.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs a test.
pub fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(LIMIT, test).await.expect("the test takes too long") });
}

/// Asks until the answer is there, for what nothing announces.
pub async fn eventually<T, F, R>(mut ask: F) -> T
where
    F: FnMut() -> R,
    R: Future<Output = Option<T>>,
{
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
