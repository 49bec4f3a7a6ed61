//! Outlier detection: an endpoint that fails so often in a row is passed over for a while
//! (`envoy.config.cluster.v3.OutlierDetection`, without its success rates).

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use postern_snapshot::model::OutlierDetection;

use crate::{EndpointId, clock};

/// An endpoint is not ejected for longer than this, or than the base time if that is longer (Envoy).
const LONGEST: Duration = Duration::from_secs(300);

/// How a request or a connection at an endpoint went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered with this status.
    Status(u16),
    /// A connection was made that is not for HTTP.
    Connected,
    /// No connection, or it broke off before an answer.
    Failed,
    /// No answer in time.
    TimedOut,
}

/// What is known about one endpoint of one cluster, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Monitor {
    errors: AtomicU32,
    gateway_failures: AtomicU32,
    local_failures: AtomicU32,
    /// 0, or when (in [`clock`] milliseconds) it may be used again.
    until: AtomicU64,
    /// How often it was ejected, less what it has served off since.
    times: AtomicU32,
}

/// The endpoints of a cluster, as detection sees them.
#[derive(Debug, Default)]
pub(crate) struct Monitors {
    /// In the order of the cluster's endpoints.
    in_order: Box<[Arc<Monitor>]>,
    by_id: HashMap<EndpointId, Arc<Monitor>>,
}

impl Monitor {
    pub(crate) fn is_ejected(&self) -> bool {
        match self.until.load(Relaxed) {
            0 => false,
            until => clock::now_ms() < until,
        }
    }

    /// Counts how it went. Is that a failure too many?
    fn count(&self, outcome: Outcome, settings: &OutlierDetection) -> bool {
        let split = settings.consecutive_local_origin_failure;
        let status = match (outcome, split) {
            (Outcome::Failed | Outcome::TimedOut, Some(limit)) => {
                return reaches(&self.local_failures, limit);
            }
            (Outcome::Status(status), _) => status,
            (Outcome::Connected, _) => 200,
            // As Envoy counts them among the statuses.
            (Outcome::Failed, None) => 503,
            (Outcome::TimedOut, None) => 504,
        };
        clear(&self.local_failures);
        let is_error = match settings.error_codes.as_slice() {
            [] => (500..600).contains(&status),
            codes => codes.contains(&status),
        };
        if !is_error {
            clear(&self.errors);
            clear(&self.gateway_failures);
            return false;
        }
        let by_gateway = if (502..=504).contains(&status) {
            reaches(&self.gateway_failures, settings.consecutive_gateway_failure)
        } else {
            clear(&self.gateway_failures);
            false
        };
        reaches(&self.errors, settings.consecutive_5xx) || by_gateway
    }

    /// The time is longer each time; a time in use as long as the interval takes one of them back (Envoy).
    fn eject(&self, settings: &OutlierDetection) {
        let (now, until) = (clock::now_ms(), self.until.load(Relaxed));
        let interval = millis(settings.interval).max(1);
        let forgiven = u32::try_from(now.saturating_sub(until) / interval).unwrap_or(u32::MAX);
        let times = self.times.load(Relaxed).saturating_sub(forgiven).saturating_add(1);
        let longest = LONGEST.max(settings.base_ejection_time);
        let pause = settings.base_ejection_time.saturating_mul(times).min(longest);
        self.times.store(times, Relaxed);
        self.until.store(now + millis(pause).max(1), Relaxed);
        for counter in [&self.errors, &self.gateway_failures, &self.local_failures] {
            clear(counter);
        }
    }
}

/// One more; 0 is never reached.
fn reaches(counter: &AtomicU32, limit: u32) -> bool {
    limit > 0 && counter.fetch_add(1, Relaxed) + 1 >= limit
}

/// Most often there is nothing to write, which would take the line of memory from the other workers.
fn clear(counter: &AtomicU32) {
    if counter.load(Relaxed) != 0 {
        counter.store(0, Relaxed);
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Monitors {
    /// For these endpoints; what was known about them stays.
    pub(crate) fn new(endpoints: impl Iterator<Item = EndpointId>, before: &Self) -> Self {
        let known = |id| (id, before.by_id.get(&id).map(Arc::clone).unwrap_or_default());
        let all: Vec<(EndpointId, Arc<Monitor>)> = endpoints.map(known).collect();
        Self {
            in_order: all.iter().map(|(_, monitor)| Arc::clone(monitor)).collect(),
            by_id: all.into_iter().collect(),
        }
    }

    /// Is the endpoint at this place passed over?
    pub(crate) fn is_ejected(&self, index: usize) -> bool {
        self.in_order.get(index).is_some_and(|monitor| monitor.is_ejected())
    }

    /// Are so few endpoints left that all are used again (Istio's `minHealthPercent`, Envoy's panic threshold)?
    pub(crate) fn is_panic(&self, min_health_percent: u32) -> bool {
        let all = self.in_order.len();
        min_health_percent > 0 && (all - self.ejected()) * 100 < all * min_health_percent as usize
    }

    fn ejected(&self) -> usize {
        self.in_order.iter().filter(|monitor| monitor.is_ejected()).count()
    }

    /// Takes note of how it went at an endpoint, which is ejected if it failed too often and not too many are already.
    pub(crate) fn report(&self, endpoint: EndpointId, outcome: Outcome, settings: &OutlierDetection) {
        let Some(monitor) = self.by_id.get(&endpoint) else { return };
        if !monitor.count(outcome, settings) || monitor.is_ejected() {
            return;
        }
        let percent = (self.ejected() + 1) * 100;
        if percent <= self.in_order.len() * settings.max_ejection_percent as usize {
            monitor.eject(settings);
        }
    }
}

#[cfg(test)]
#[path = "outlier_tests.rs"]
mod tests;
