//! What the pool tells about its connections.

use std::time::Duration;

use crate::{Cluster, ConnectError, Endpoint};

/// Hears of upstream connections that come and go. Called on the worker's own thread; it must not block.
pub trait PoolObserver: 'static {
    /// A connection was made on behalf of this cluster, handshakes included.
    fn connected(&self, _cluster: &Cluster, _endpoint: &Endpoint, _took: Duration) {}

    /// A connection could not be made.
    fn connect_failed(&self, _cluster: &Cluster, _endpoint: &Endpoint, _error: &ConnectError) {}

    /// A connection that was made on behalf of this cluster is gone.
    fn closed(&self, _cluster: &Cluster, _endpoint: &Endpoint) {}
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl PoolObserver for NoObserver {}
