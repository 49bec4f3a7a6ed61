//! The data plane: a snapshot directory in, a running proxy out.
//!
//! One thread is the *control thread*: it watches the directory ([`reload`]), compiles snapshots (`runtime`) and serves
//! the proxy's own ports ([`admin`]). The others are *workers*, each with a runtime, an upstream pool and sockets of its
//! own (`workers`, `listen`, [`http`], `l4`, `udp`). Between them stand slots: immutable values behind atomic pointers, which the
//! control thread replaces and the workers read.

pub mod admin;
pub mod drain;
mod gate;
pub mod http;
mod l4;
mod listen;
mod pool_metrics;
pub mod progress;
mod proxy;
pub mod reload;
mod runtime;
mod udp;
pub mod worker;
mod workers;

pub use proxy::{Config, StartError, Stop, run};
