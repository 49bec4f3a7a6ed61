//! The whole system on files: the real programs on the example folders, each test on loopback addresses of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod client;
mod end;
mod examples;
mod filters;
mod reload;
mod system;
mod trouble;
mod udp;
