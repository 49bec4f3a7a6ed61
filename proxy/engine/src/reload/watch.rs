//! When to look at the directory again: on each change that the kernel reports, and now and then in case it reported
//! none (a mount over the directory, a file system without inotify).

use std::{path::Path, time::Duration};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::sync::mpsc;

/// How often to look without having been told.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Wakes when a directory may have changed.
#[derive(Debug)]
pub(super) struct Watch {
    changes: mpsc::Receiver<()>,
    /// Absent when the kernel cannot watch; then only the poll is left.
    _watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Starts to watch.
    #[must_use]
    pub(super) fn start(path: &Path) -> Self {
        // One slot is enough: a change that comes while one is waiting to be seen will be seen with it.
        let (sender, changes) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let reading = matches!(
                event.as_ref().map(|event| event.kind),
                Ok(EventKind::Access(AccessKind::Open(_) | AccessKind::Read | AccessKind::Close(_)))
            );
            if !reading {
                // Full means that a wake-up is already on its way.
                let _ = sender.try_send(());
            }
        })
        .and_then(|mut watcher| watcher.watch(path, RecursiveMode::NonRecursive).map(|()| watcher))
        .inspect_err(|error| tracing::warn!(path = %path.display(), %error, "cannot watch, polling instead"))
        .ok();
        Self { changes, _watcher: watcher }
    }

    /// Returns when it is time to look again.
    pub(super) async fn changed(&mut self) {
        // On a closed channel the receiver would return at once, for ever.
        let told = async {
            if self.changes.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
        };
        let _ = tokio::time::timeout(POLL_INTERVAL, told).await;
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Instant};

    use super::*;

    #[tokio::test]
    async fn a_write_is_seen_long_before_the_poll() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut watch = Watch::start(directory.path());
        let started = Instant::now();
        fs::write(directory.path().join("file"), "x").expect("written");
        watch.changed().await;
        assert!(started.elapsed() < POLL_INTERVAL / 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_directory_that_cannot_be_watched_is_polled() {
        let mut watch = Watch::start(Path::new("/nonexistent/postern"));
        let started = tokio::time::Instant::now();
        watch.changed().await;
        assert_eq!(started.elapsed(), POLL_INTERVAL);
    }
}
