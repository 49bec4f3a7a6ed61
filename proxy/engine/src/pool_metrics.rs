//! Upstream connections, as the metrics see them.

use std::{cell::RefCell, collections::HashMap, io::ErrorKind, sync::Arc, time::Duration};

use postern_snapshot::ClusterName;
use postern_telemetry::metrics::{ActiveConnection, ConnectFailure, Metrics};
use postern_upstream::{Cluster, ConnectError, Endpoint, PoolObserver};

/// Counts the connections of one worker's pool. Locks the registry when a connection is made, not for requests.
#[derive(Debug)]
pub(crate) struct PoolMetrics {
    metrics: Arc<Metrics>,
    /// One for each connection that is open; which of a cluster's is the same to all.
    open: RefCell<HashMap<ClusterName, Vec<ActiveConnection>>>,
}

impl PoolMetrics {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, open: RefCell::default() }
    }
}

impl PoolObserver for PoolMetrics {
    fn connected(&self, cluster: &Cluster, _endpoint: &Endpoint, _took: Duration) {
        let connection = self.metrics.cluster(cluster.name().as_str()).connection();
        self.open.borrow_mut().entry(cluster.name().clone()).or_default().push(connection);
    }

    fn connect_failed(&self, cluster: &Cluster, _endpoint: &Endpoint, error: &ConnectError) {
        self.metrics.cluster(cluster.name().as_str()).connect_failed(classify(error));
    }

    fn closed(&self, cluster: &Cluster, _endpoint: &Endpoint) {
        let mut open = self.open.borrow_mut();
        if let Some(connections) = open.get_mut(cluster.name()) {
            connections.pop();
            if connections.is_empty() {
                open.remove(cluster.name());
            }
        }
    }
}

fn classify(error: &ConnectError) -> ConnectFailure {
    match error {
        ConnectError::Timeout(_) => ConnectFailure::Timeout,
        ConnectError::Tls(_) | ConnectError::NoServerName => ConnectFailure::Tls,
        ConnectError::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => ConnectFailure::Refused,
            ErrorKind::TimedOut => ConnectFailure::Timeout,
            ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => ConnectFailure::Unreachable,
            ErrorKind::AddrNotAvailable | ErrorKind::PermissionDenied | ErrorKind::OutOfMemory => {
                ConnectFailure::Local
            }
            _ => ConnectFailure::Other,
        },
        ConnectError::Handshake(_) => ConnectFailure::Other,
    }
}
