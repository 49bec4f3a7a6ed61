//! Upstream connections and retries, by cluster.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use crate::metrics::listener::{ActiveConnection, failures};

failures! {
    /// Why no connection to an endpoint could be made: the label `reason` of
    /// `postern_upstream_connect_failures_total`.
    ConnectFailure {
        /// Nobody listens there.
        Refused = "refused",
        /// The connection was not made in time.
        Timeout = "timeout",
        /// No way to the address.
        Unreachable = "unreachable",
        /// The TLS handshake with the upstream failed.
        Tls = "tls",
        /// The name could not be resolved.
        Dns = "dns",
        /// The proxy lacks a socket, a port or a file descriptor.
        Local = "local",
        /// Anything else.
        Other = "other",
    }
}

/// The counters of one cluster. Made by [`Metrics::cluster`](super::Metrics::cluster).
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    pub(super) total: AtomicU64,
    pub(super) active: AtomicI64,
    pub(super) connect_failures: [AtomicU64; ConnectFailure::ALL.len()],
    pub(super) retries: AtomicU64,
}

impl ClusterMetrics {
    /// Counts a connection, which is active for as long as the returned guard lives.
    pub fn connection(self: &Arc<Self>) -> ActiveConnection {
        self.total.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        ActiveConnection::of_cluster(Arc::clone(self))
    }

    /// Counts a failed attempt to connect.
    pub fn connect_failed(&self, failure: ConnectFailure) {
        if let Some(counter) = self.connect_failures.get(failure as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Counts a request that is sent once more.
    pub fn retried(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    /// Connections that are open now.
    #[must_use]
    pub fn active(&self) -> u64 {
        u64::try_from(self.active.load(Relaxed)).unwrap_or(0)
    }
}
