//! What the proxy tells about its traffic: metrics and the access log.
//!
//! Nothing here waits on the request path. A worker counts into atomics that only it writes
//! ([`metrics::WorkerMetrics`]) and renders log lines into a buffer of its own
//! ([`access_log::WorkerLog`]); reading the numbers and writing the lines happens on other threads.
//!
//! Why a request ended as it did is one closed type, [`Reason`], which gives the status code, the
//! response flags and the response code details, so that the answer, the log and the metrics agree.
#![deny(missing_docs)]

pub mod access_log;
mod flags;
pub mod grpc;
pub mod metrics;
mod reason;

pub use flags::{ResponseFlag, ResponseFlags};
pub use grpc::GrpcStatus;
pub use reason::{Reason, ResetReason};
