//! What a UDP listener does with its datagrams, as of the newest snapshot.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use arc_swap::ArcSwap;
use postern_telemetry::metrics::UdpMetrics;

use crate::{drain::Drain, l4::Forward};

/// Most sessions of a listener, over all workers. Each needs a port of its own towards its endpoint, and Linux has 28232 of
/// them to give (`net.ipv4.ip_local_port_range`).
const MOST_SESSIONS: u32 = 16_384;

/// A UDP listener. The workers hold it; a reload changes what is in it.
#[derive(Debug)]
pub(crate) struct UdpSlot {
    /// For logs and metrics.
    pub(crate) name: Arc<str>,
    /// Set off when the listener is removed or the proxy ends.
    pub(crate) drain: Drain,
    pub(crate) metrics: Arc<UdpMetrics>,
    forward: ArcSwap<Forward>,
    open: AtomicU32,
    most: u32,
}

impl UdpSlot {
    pub(crate) fn new(name: &str, drain: Drain, metrics: Arc<UdpMetrics>, forward: Arc<Forward>) -> Self {
        Self {
            name: name.into(),
            drain,
            metrics,
            forward: ArcSwap::new(forward),
            open: AtomicU32::new(0),
            most: MOST_SESSIONS,
        }
    }

    /// From the next session on.
    pub(crate) fn set(&self, forward: Arc<Forward>) {
        self.forward.store(forward);
    }

    /// Where a session that begins now goes.
    pub(super) fn forward(&self) -> Arc<Forward> {
        self.forward.load_full()
    }

    /// The right to one more session. `None`: there are as many as there may be.
    pub(super) fn admit(self: &Arc<Self>) -> Option<Admitted> {
        let next = |open: u32| (open < self.most).then_some(open + 1);
        self.open.fetch_update(Relaxed, Relaxed, next).ok()?;
        Some(Admitted(Arc::clone(self)))
    }
}

/// One of a listener's sessions, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted(Arc<UdpSlot>);

impl Drop for Admitted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use postern_snapshot::model::UdpForward;
    use postern_telemetry::metrics::{Identity, Metrics, Options};
    use postern_upstream::Clusters;

    use super::*;

    #[test]
    fn no_more_sessions_than_there_may_be() {
        let identity = Identity { workload: "w".into(), namespace: "n".into(), version: "0".into() };
        let metrics = Metrics::new(identity, Options::default());
        let forward = UdpForward { origin: String::new(), targets: vec![], idle_timeout: None };
        let forward = Forward::of_udp(&forward, &Clusters::default(), &metrics);
        let slot = UdpSlot::new("l", Drain::new(), metrics.udp("l"), Arc::new(forward));
        let slot = Arc::new(UdpSlot { most: 2, ..slot });
        let (one, two) = (slot.admit(), slot.admit());
        assert!(one.is_some() && two.is_some() && slot.admit().is_none());
        drop(one);
        assert!(slot.admit().is_some());
    }
}
