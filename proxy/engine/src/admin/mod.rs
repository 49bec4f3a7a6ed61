//! The proxy's own ports: status for kubelet and the operator, metrics for Prometheus, admin for whoever has a shell in
//! the pod. All three run on the control thread, away from the workers.

mod control;
mod metrics;
mod server;
mod status;

pub use control::{AdminPort, LogControl};
pub use metrics::MetricsPort;
pub use server::{Port, serve};
pub use status::StatusPort;
