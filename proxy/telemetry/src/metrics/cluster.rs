//! Upstream connections, retries and mirrors, by cluster.

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

failures! {
    /// Why a mirror did not get its copy of a request, or did not answer it: the label `reason` of
    /// `postern_mirror_failures_total`.
    MirrorFailure {
        /// Too many copies are under way, or a circuit breaker of the cluster is open.
        Overflow = "overflow",
        /// The cluster has no endpoint.
        NoEndpoint = "no_endpoint",
        /// No connection could be made.
        Connect = "connect",
        /// The mirror could not keep up with the request's body.
        Slow = "slow",
        /// The request itself broke off.
        Incomplete = "incomplete",
        /// The mirror did not answer in time.
        Timeout = "timeout",
        /// The connection or the stream ended early.
        Reset = "reset",
    }
}

/// The counters of one cluster. Made by [`Metrics::cluster`](super::Metrics::cluster).
#[derive(Debug, Default)]
pub struct ClusterMetrics {
    pub(super) total: AtomicU64,
    pub(super) active: AtomicI64,
    pub(super) connect_failures: [AtomicU64; ConnectFailure::ALL.len()],
    pub(super) retries: AtomicU64,
    pub(super) mirrored: AtomicU64,
    pub(super) mirror_failures: [AtomicU64; MirrorFailure::ALL.len()],
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

    /// Counts a copy of a request that is sent to it.
    pub fn mirrored(&self) {
        self.mirrored.fetch_add(1, Relaxed);
    }

    /// Counts a copy that was given up, or not answered.
    pub fn mirror_failed(&self, failure: MirrorFailure) {
        if let Some(counter) = self.mirror_failures.get(failure as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Connections that are open now.
    #[must_use]
    pub fn active(&self) -> u64 {
        u64::try_from(self.active.load(Relaxed)).unwrap_or(0)
    }
}
