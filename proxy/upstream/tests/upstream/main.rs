//! The pool against real servers on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod clusters;
mod datagram;
mod http1;
mod http2;
mod reload;
mod server;
mod streaming;
mod support;
mod tcp;
mod tls;
