//! When to look at the directory again: on each change that the kernel reports, and now and then in case it reported
//! none (a mount over the directory, a file system without inotify).

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::sync::mpsc;

/// How often to look without having been told.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Wakes when a directory may have changed.
#[derive(Debug)]
pub(super) struct Watch {
    path: PathBuf,
    changes: mpsc::Receiver<()>,
    sender: mpsc::Sender<()>,
    /// Absent when the kernel cannot watch, or there is no such directory yet; then only the poll is left.
    watcher: Option<RecommendedWatcher>,
    /// Device and inode of what is watched: the kernel watches a directory, not a path.
    watched: Option<(u64, u64)>,
}

impl Watch {
    /// Starts to watch.
    #[must_use]
    pub(super) fn start(path: &Path) -> Self {
        // One slot is enough: a change that comes while one is waiting to be seen will be seen with it.
        let (sender, changes) = mpsc::channel(1);
        let mut watch = Self { path: path.to_owned(), changes, sender, watcher: None, watched: None };
        if let Err(error) = watch.begin() {
            tracing::warn!(path = %path.display(), %error, "cannot watch, polling instead");
        }
        watch
    }

    fn begin(&mut self) -> notify::Result<()> {
        self.watcher = None;
        self.watched = identity(&self.path);
        let sender = self.sender.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let reading = matches!(
                event.as_ref().map(|event| event.kind),
                Ok(EventKind::Access(AccessKind::Open(_) | AccessKind::Read | AccessKind::Close(_)))
            );
            if !reading {
                // Full means that a wake-up is already on its way.
                let _ = sender.try_send(());
            }
        })?;
        watcher.watch(&self.path, RecursiveMode::NonRecursive)?;
        self.watcher = Some(watcher);
        Ok(())
    }

    /// Returns when it is time to look again.
    pub(super) async fn changed(&mut self) {
        if tokio::time::timeout(POLL_INTERVAL, self.changes.recv()).await.is_err() {
            self.follow();
        }
    }

    /// Another directory may be at the path now.
    fn follow(&mut self) {
        let now = identity(&self.path);
        if now.is_some()
            && now != self.watched
            && let Err(error) = self.begin()
        {
            tracing::debug!(path = %self.path.display(), %error, "still cannot watch");
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

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

    #[tokio::test]
    async fn a_directory_that_appears_or_is_replaced_is_watched_from_then_on() {
        let parent = tempfile::tempdir().expect("a directory");
        let path = parent.path().join("snapshot");
        let mut watch = Watch::start(&path);
        for version in ["one", "two"] {
            fs::create_dir(&path).expect("made");
            watch.follow();
            fs::write(path.join("file"), "x").expect("written");
            let told = tokio::time::timeout(POLL_INTERVAL / 2, watch.changes.recv()).await;
            assert!(told.is_ok(), "told by the kernel, not by the poll");
            // The old one stays, so that the new one cannot have its inode.
            fs::rename(&path, parent.path().join(version)).expect("renamed");
            while watch.changes.try_recv().is_ok() {}
        }
    }
}
