//! Which snapshot is applied, and how reloads went.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::metrics::encode::{Families, Family};

/// How a reload ended: the label `result` of `postern_snapshot_reloads_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReloadResult {
    /// The snapshot is in use as a whole.
    Applied,
    /// The snapshot is in use without the parts that were refused.
    Partial,
    /// The snapshot was refused; the one before stays.
    Refused,
}

impl ReloadResult {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Applied, "applied"), (Self::Partial, "partial"), (Self::Refused, "refused")];
}

/// What is told about reloads. A lock will do: reloads are rare.
#[derive(Debug, Default)]
pub(super) struct Reloads(Mutex<State>);

#[derive(Debug, Default, Clone)]
struct State {
    applied: Option<(String, SystemTime)>,
    last: Option<SystemTime>,
    counts: [u64; ReloadResult::ALL.len()],
}

impl Reloads {
    /// Counts a reload that ended at `at`; `hash` is that of the snapshot.
    pub(super) fn record(&self, result: ReloadResult, hash: &str, at: SystemTime) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = state.counts.get_mut(result as usize) {
            *count += 1;
        }
        state.last = Some(at);
        if result != ReloadResult::Refused {
            state.applied = Some((hash.to_owned(), at));
        }
    }

    fn state(&self) -> State {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Collector for Reloads {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let state = self.state();
        let mut families = Families(&mut encoder);
        let (hash, applied_at) = state.applied.unzip();
        families.write(
            Family { name: "postern_snapshot_applied", help: "The snapshot in use", kind: MetricType::Info },
            hash.iter(),
            |metric, hash| metric.encode_info(&[("hash", hash.as_str())]),
        )?;
        families.write(
            Family {
                name: "postern_snapshot_reloads",
                help: "Snapshots that were read, by what became of them",
                kind: MetricType::Counter,
            },
            ReloadResult::ALL.iter(),
            |metric, (result, label)| {
                let count = state.counts.get(*result as usize).copied().unwrap_or_default();
                Families::counter(metric, &[("result", *label)], count)
            },
        )?;
        for (name, help, at) in [
            ("postern_snapshot_last_reload_timestamp_seconds", "When a snapshot was last read", state.last),
            (
                "postern_snapshot_last_applied_timestamp_seconds",
                "When a snapshot was last put to use",
                applied_at,
            ),
        ] {
            families.write(Family { name, help, kind: MetricType::Gauge }, at.iter(), |metric, at| {
                metric.encode_gauge(&unix_seconds(*at))
            })?;
        }
        Ok(())
    }
}

fn unix_seconds(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH).map(|since| since.as_millis() as f64 / 1000.0).unwrap_or_default()
}
