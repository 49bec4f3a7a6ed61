//! The place of a connection to an endpoint, from before it is made until it closes.

use std::{cell::Cell, rc::Rc};

use tokio::sync::Notify;

use crate::{Cluster, Permit, Resource};

/// The connections of one worker to one endpoint.
#[derive(Debug, Default)]
pub(super) struct Open {
    count: Cell<usize>,
    closed: Notify,
}

impl Open {
    /// Waits until one closes.
    pub(super) async fn closed(&self) {
        self.closed.notified().await;
    }
}

/// One connection's.
#[derive(Debug)]
pub(super) struct Slot {
    open: Rc<Open>,
    _permit: Permit,
}

impl Slot {
    /// `None` when the cluster has as many connections as it may have. An endpoint without any gets one nevertheless:
    /// its requests would wait for good (Envoy).
    pub(super) fn take(open: &Rc<Open>, cluster: &Cluster) -> Option<Self> {
        let permit = match cluster.acquire(Resource::Connections) {
            Ok(permit) => permit,
            Err(_) if open.count.get() == 0 => cluster.acquire_anyway(Resource::Connections),
            Err(_) => return None,
        };
        open.count.set(open.count.get() + 1);
        Some(Self { open: Rc::clone(open), _permit: permit })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.open.count.set(self.open.count.get() - 1);
        self.open.closed.notify_waiters();
    }
}
