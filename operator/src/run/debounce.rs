//! When to translate: soon after a change, but not once for each of a burst.

use std::time::Duration;

use tokio::{sync::mpsc, time::Instant};

/// A change is waited out for this long: mostly more of the same `kubectl apply` follow.
const QUIET: Duration = Duration::from_millis(50);

/// And never longer than this, when changes do not end.
const LONGEST: Duration = Duration::from_millis(500);

/// Takes the next changes: those of a burst together. `None` when there will be no more.
pub(super) async fn next_burst<T>(changes: &mut mpsc::UnboundedReceiver<T>) -> Option<Vec<T>> {
    let first = changes.recv().await?;
    let deadline = Instant::now() + LONGEST;
    let mut burst = vec![first];
    loop {
        let quiet = (Instant::now() + QUIET).min(deadline);
        match tokio::time::timeout_at(quiet, changes.recv()).await {
            Ok(Some(change)) => burst.push(change),
            Ok(None) | Err(_) => return Some(burst),
        }
        if Instant::now() >= deadline {
            return Some(burst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_comes_together_soon_after_its_end() {
        let (sender, mut changes) = mpsc::unbounded_channel();
        let started = Instant::now();
        let send = async {
            for number in 0..3 {
                sender.send(number).expect("open");
                tokio::time::sleep(Duration::from_millis(30)).await;
            }
        };
        let (burst, ()) = tokio::join!(next_burst(&mut changes), send);
        assert_eq!(burst, Some(vec![0, 1, 2]));
        assert_eq!(started.elapsed(), Duration::from_millis(60) + QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_changes_is_cut() {
        let (sender, mut changes) = mpsc::unbounded_channel();
        let started = Instant::now();
        let send = async {
            while started.elapsed() < Duration::from_secs(2) {
                sender.send(()).expect("open");
                tokio::time::sleep(Duration::from_millis(40)).await;
            }
        };
        let receive = async {
            let burst = next_burst(&mut changes).await;
            (burst.map(|burst| burst.len()), started.elapsed())
        };
        let ((count, took), ()) = tokio::join!(receive, send);
        assert_eq!((count, took), (Some(13), LONGEST));
    }

    #[tokio::test]
    async fn the_end_is_the_end() {
        let (sender, mut changes) = mpsc::unbounded_channel::<()>();
        drop(sender);
        assert_eq!(next_burst(&mut changes).await, None);
    }
}
