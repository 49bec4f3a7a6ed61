//! When to translate: soon after a change, but not once for each of a burst.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// A change is waited out for this long: mostly more of the same `kubectl apply` follow.
const QUIET: Duration = Duration::from_millis(50);

/// And never longer than this, when changes do not end.
const LONGEST: Duration = Duration::from_millis(500);

/// Waits until a burst of changes is over.
#[derive(Debug, Default)]
pub(super) struct Debounce {
    /// Of the burst: its first change, and its last.
    burst: Option<(Instant, Instant)>,
}

impl Debounce {
    /// There is a change.
    pub(super) fn change(&mut self) {
        let now = Instant::now();
        let first = self.burst.map_or(now, |(first, _)| first);
        self.burst = Some((first, now));
    }

    /// Waits until the burst is over, and forgets it. For ever while there is none. May be cancelled.
    pub(super) async fn over(&mut self) {
        until(self.burst.map(|(first, last)| (last + QUIET).min(first + LONGEST))).await;
        self.burst = None;
    }
}

/// Waits for a moment; for ever without one.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes at these milliseconds. Says when it is over.
    async fn over_after(changes: &[u64]) -> Duration {
        let started = Instant::now();
        let mut debounce = Debounce::default();
        let mut changes = changes.iter().map(|at| started + Duration::from_millis(*at)).peekable();
        loop {
            let next = changes.peek().copied();
            let change = async {
                match next {
                    Some(at) => sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = change => {
                    changes.next();
                    debounce.change();
                }
                () = debounce.over() => return started.elapsed(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_waited_out() {
        assert_eq!(over_after(&[0]).await, QUIET);
        assert_eq!(over_after(&[0, 30, 60]).await, Duration::from_millis(60) + QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_changes_is_cut() {
        let stream: Vec<u64> = (0..100).map(|number| number * 40).collect();
        assert_eq!(over_after(&stream).await, LONGEST);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_change_there_is_nothing_to_do() {
        let mut debounce = Debounce::default();
        assert!(tokio::time::timeout(Duration::from_secs(3600), debounce.over()).await.is_err());
    }
}
