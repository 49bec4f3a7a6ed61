//! TLS in memory: rustls on both sides, no sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, unreachable_pub, reason = "tests")]

mod certificates;
mod client_auth;
mod client_hello;
mod handshake;
mod peer;
mod pki;
mod resumption;
mod server;
mod upstream;
