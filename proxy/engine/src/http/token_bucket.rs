//! A token bucket that all workers take from, without a lock (`envoy.type.v3.TokenBucket`).

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use postern_snapshot::model;
use tokio::time::Instant;

/// Full at first. Every interval brings some more tokens, up to the maximum.
#[derive(Debug)]
pub(super) struct TokenBucket {
    settings: model::TokenBucket,
    started: Instant,
    /// The number of intervals that have been counted (upper half), and the tokens (lower half). 2^32 intervals, of 50 ms
    /// at least, are more than six years.
    state: AtomicU64,
}

/// What came of taking a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// There was one.
    pub(super) allowed: bool,
    /// What the bucket holds at most.
    pub(super) limit: u32,
    /// What is left in it.
    pub(super) remaining: u32,
    /// Until the next tokens come.
    pub(super) reset: Duration,
}

impl TokenBucket {
    pub(super) fn new(settings: model::TokenBucket) -> Self {
        let state = AtomicU64::new(pack(0, settings.max_tokens));
        Self { settings, started: Instant::now(), state }
    }

    /// Takes a token, if there is one.
    pub(super) fn take(&self, now: Instant) -> Taken {
        let model::TokenBucket { max_tokens, tokens_per_fill, fill_interval } = self.settings;
        let elapsed = now.saturating_duration_since(self.started).as_nanos();
        let interval = fill_interval.as_nanos().max(1);
        let fills = u32::try_from(elapsed / interval).unwrap_or(u32::MAX);
        let reset = interval - elapsed % interval;
        let mut state = self.state.load(Ordering::Relaxed);
        let (allowed, remaining) = loop {
            let (counted, tokens) = unpack(state);
            // Another worker's clock may be a little ahead.
            let new = u64::from(fills.saturating_sub(counted)) * u64::from(tokens_per_fill);
            let filled = u64::from(tokens).saturating_add(new).min(u64::from(max_tokens));
            let filled = u32::try_from(filled).unwrap_or(max_tokens);
            let left = filled.saturating_sub(1);
            let next = pack(fills.max(counted), left);
            if next == state {
                break (false, 0);
            }
            match self.state.compare_exchange_weak(state, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break (filled > 0, left),
                Err(now) => state = now,
            }
        };
        let reset = Duration::from_nanos(u64::try_from(reset).unwrap_or(u64::MAX));
        Taken { allowed, limit: max_tokens, remaining, reset }
    }
}

const fn pack(fills: u32, tokens: u32) -> u64 {
    (fills as u64) << 32 | tokens as u64
}

const fn unpack(state: u64) -> (u32, u32) {
    ((state >> 32) as u32, (state & 0xffff_ffff) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(max_tokens: u32, tokens_per_fill: u32, millis: u64) -> TokenBucket {
        let fill_interval = Duration::from_millis(millis);
        TokenBucket::new(model::TokenBucket { max_tokens, tokens_per_fill, fill_interval })
    }

    /// How many of so many tries succeed at this time.
    fn taken(bucket: &TokenBucket, tries: usize, millis: u64) -> usize {
        let now = bucket.started + Duration::from_millis(millis);
        (0..tries).filter(|_| bucket.take(now).allowed).count()
    }

    #[test]
    fn is_full_at_first_and_filled_each_interval() {
        let bucket = bucket(4, 2, 100);
        assert_eq!(taken(&bucket, 10, 0), 4);
        assert_eq!(taken(&bucket, 10, 99), 0);
        assert_eq!(taken(&bucket, 10, 100), 2);
        assert_eq!(taken(&bucket, 10, 199), 0);
        assert_eq!(taken(&bucket, 1, 400), 1, "six have come, of which four fit");
        assert_eq!(taken(&bucket, 10, 400), 3);
        assert_eq!(taken(&bucket, 10, 100_000_000), 4, "never more than fit");
        assert_eq!(taken(&bucket, 10, 100), 0, "a clock that is behind fills nothing");
    }

    #[test]
    fn tells_what_is_left_and_when_more_comes() {
        let bucket = bucket(2, 1, 1000);
        let now = bucket.started + Duration::from_millis(250);
        let first = bucket.take(now);
        let expected = Taken { allowed: true, limit: 2, remaining: 1, reset: Duration::from_millis(750) };
        assert_eq!(first, expected);
        assert_eq!(bucket.take(now), Taken { remaining: 0, ..expected });
        assert_eq!(bucket.take(now), Taken { allowed: false, remaining: 0, ..expected });
    }

    #[test]
    fn workers_never_take_more_than_there_is() {
        let bucket = bucket(1000, 1, 3_600_000);
        let total: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| taken(&bucket, 1000, 0))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(total, 1000);
    }
}
