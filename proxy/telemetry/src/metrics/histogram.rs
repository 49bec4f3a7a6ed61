//! Histograms of atomics: prometheus-client's takes a lock for each observation.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Upper bounds of the buckets, which are Envoy's default for every histogram (Envoy,
/// `HistogramBucketSettings`), so that Istio's dashboards show the same for both. One more bucket
/// holds what is above.
const BOUNDS: [f64; 19] = [
    0.5,
    1.0,
    5.0,
    10.0,
    25.0,
    50.0,
    100.0,
    250.0,
    500.0,
    1_000.0,
    2_500.0,
    5_000.0,
    10_000.0,
    30_000.0,
    60_000.0,
    300_000.0,
    600_000.0,
    1_800_000.0,
    3_600_000.0,
];
const BUCKETS: usize = BOUNDS.len() + 1;

/// What a histogram counts: how integers that are observed relate to the unit that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Observed in microseconds, shown in milliseconds.
    Milliseconds,
    /// Observed and shown in bytes.
    Bytes,
}

impl Unit {
    const fn per_shown(self) -> u64 {
        match self {
            Self::Milliseconds => 1000,
            Self::Bytes => 1,
        }
    }
}

const MILLISECOND_LIMITS: [u64; BOUNDS.len()] = limits(Unit::Milliseconds);
const BYTE_LIMITS: [u64; BOUNDS.len()] = limits(Unit::Bytes);

/// The bounds as the largest integers that fall below or on them.
const fn limits(unit: Unit) -> [u64; BOUNDS.len()] {
    let mut limits = [0; BOUNDS.len()];
    let mut index = 0;
    while index < BOUNDS.len() {
        limits[index] = (BOUNDS[index] * unit.per_shown() as f64) as u64;
        index += 1;
    }
    limits
}

/// A histogram that one thread writes and others read.
#[derive(Debug)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Counts one value. Only ever called by the one thread that writes this histogram.
    pub(super) fn observe(&self, unit: Unit, value: u64) {
        let limits = match unit {
            Unit::Milliseconds => &MILLISECOND_LIMITS,
            Unit::Bytes => &BYTE_LIMITS,
        };
        let index = limits.partition_point(|limit| *limit < value);
        if let Some(bucket) = self.buckets.get(index) {
            add(bucket, 1);
        }
        add(&self.sum, value);
    }

    /// How many values were counted.
    pub(super) fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }
}

/// Adds to a counter that only this thread writes: without the bus lock of a read-modify-write.
pub(super) fn add(counter: &AtomicU64, value: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(value), Relaxed);
}

/// The sum of several histograms of one series, one per worker, at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Snapshot {
    /// Upper bound and (not cumulative) count of each bucket.
    pub(super) buckets: Vec<(f64, u64)>,
    pub(super) count: u64,
    pub(super) sum: f64,
}

impl Snapshot {
    pub(super) fn of<'a>(unit: Unit, histograms: impl IntoIterator<Item = &'a Histogram>) -> Self {
        let mut buckets: Vec<(f64, u64)> =
            BOUNDS.iter().copied().chain([f64::INFINITY]).map(|bound| (bound, 0)).collect();
        let mut sum = 0_u64;
        for histogram in histograms {
            for ((_, total), bucket) in buckets.iter_mut().zip(&histogram.buckets) {
                *total += bucket.load(Relaxed);
            }
            sum = sum.wrapping_add(histogram.sum.load(Relaxed));
        }
        let count = buckets.iter().map(|(_, count)| count).sum();
        Self { buckets, count, sum: sum as f64 / unit.per_shown() as f64 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counted(unit: Unit, values: &[u64]) -> Snapshot {
        let histogram = Histogram::default();
        for value in values {
            histogram.observe(unit, *value);
        }
        Snapshot::of(unit, [&histogram])
    }

    #[test]
    fn a_value_on_a_bound_belongs_below_it() {
        let snapshot = counted(Unit::Milliseconds, &[500, 501, 1_000, 3_600_000_000, 3_600_000_001]);
        let filled: Vec<(f64, u64)> = snapshot.buckets.into_iter().filter(|(_, n)| *n > 0).collect();
        assert_eq!(filled, [(0.5, 1), (1.0, 2), (3_600_000.0, 1), (f64::INFINITY, 1)]);
    }

    #[test]
    fn durations_are_shown_in_milliseconds() {
        let snapshot = counted(Unit::Milliseconds, &[1_500, 2_250]);
        assert_eq!((snapshot.count, snapshot.sum), (2, 3.75));
    }

    #[test]
    fn workers_add_up() {
        let (one, two) = (Histogram::default(), Histogram::default());
        one.observe(Unit::Bytes, 3);
        two.observe(Unit::Bytes, 4);
        let both = Snapshot::of(Unit::Bytes, [&one, &two]);
        assert_eq!((both.count, both.sum), (2, 7.0));
    }

    proptest! {
        #[test]
        fn buckets_agree_with_a_naive_count(values in proptest::collection::vec(0_u64..5_000_000, 0..50)) {
            let snapshot = counted(Unit::Bytes, &values);
            let mut below = 0;
            for (bound, count) in &snapshot.buckets {
                below += count;
                let naive = values.iter().filter(|value| (**value as f64) <= *bound).count() as u64;
                prop_assert_eq!(below, naive);
            }
            prop_assert_eq!(snapshot.sum, values.iter().sum::<u64>() as f64);
        }
    }
}
