//! When to read the files again.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::files::paths::{self, Found};
use crate::files::{Reader, Reading};

/// Several files are often written together: reading waits until nothing happened for this long.
const QUIET: Duration = Duration::from_millis(20);
/// But not longer than this after the first change, nor for a file that stays open for writing.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How often to look for changes that the kernel did not report.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Wakes when the files may have changed.
#[derive(Debug)]
pub(super) struct Watch {
    roots: Vec<PathBuf>,
    changes: mpsc::UnboundedReceiver<Change>,
    known: Fingerprint,
    /// Absent when the kernel cannot watch; then only the poll is left.
    _watcher: Option<RecommendedWatcher>,
}

/// What was seen of a file.
#[derive(Debug)]
struct Change {
    at: Instant,
    paths: Vec<PathBuf>,
    /// It is being written, and its end will be seen too.
    unfinished: bool,
}

/// The files, and what cannot be read.
type Fingerprint = (Vec<Found>, Vec<PathBuf>);

impl Watch {
    /// Starts to watch. What happens from this call on will not be missed.
    pub(super) fn start(roots: &[PathBuf]) -> Self {
        let (sender, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            if let Some(change) = change(event) {
                // Nobody listens any more when everything ends.
                let _ = sender.send(change);
            }
        })
        .and_then(|watcher| watch_all(watcher, roots))
        .inspect_err(|error| tracing::warn!(%error, "cannot watch the files; looking every 2 s instead"))
        .ok();
        Self { roots: roots.to_vec(), changes, known: fingerprint(roots), _watcher: watcher }
    }

    /// Returns what the files hold after a change, with the moment of the first change. When this is dropped before
    /// it returns, the change is only seen by the next poll.
    pub(super) async fn changed(&mut self, reader: &mut Reader) -> (Instant, Reading) {
        let first = self.first_change().await;
        let since = first.at;
        let mut unfinished = BTreeSet::new();
        note(&mut unfinished, first);
        let latest = tokio::time::Instant::from_std(since + LONGEST_WAIT);
        loop {
            self.quiet(&mut unfinished, latest).await;
            self.known = fingerprint(&self.roots);
            let written = SystemTime::now() - QUIET;
            let reading = reader.read();
            // A file that somebody began to write meanwhile may have been read half.
            let whole = self.changes.is_empty()
                && self.known.0.iter().all(|file| file.stamp.is_none_or(|stamp| stamp.is_before(written)))
                && fingerprint(&self.roots) == self.known;
            if whole || tokio::time::Instant::now() >= latest {
                return (since, reading);
            }
        }
    }

    /// Waits until nothing happens any more.
    async fn quiet(&mut self, unfinished: &mut BTreeSet<PathBuf>, latest: tokio::time::Instant) {
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            let until = if unfinished.is_empty() { quiet.min(latest) } else { latest };
            match tokio::time::timeout_at(until, self.changes.recv()).await {
                Ok(Some(change)) => note(unfinished, change),
                Ok(None) => return tokio::time::sleep_until(until).await,
                Err(_) => return,
            }
        }
    }

    async fn first_change(&mut self) -> Change {
        loop {
            match tokio::time::timeout(POLL_INTERVAL, self.changes.recv()).await {
                Ok(Some(change)) => return change,
                // On a closed channel the receiver returns at once.
                Ok(None) => tokio::time::sleep(POLL_INTERVAL).await,
                Err(_) => {}
            }
            if fingerprint(&self.roots) != self.known {
                return Change { at: Instant::now(), paths: Vec::new(), unfinished: false };
            }
        }
    }
}

/// Directories with all below them. Of a file, its directory: editors put a new file in the place of the old one.
fn watch_all(mut watcher: RecommendedWatcher, roots: &[PathBuf]) -> notify::Result<RecommendedWatcher> {
    for root in roots {
        if root.is_dir() {
            watcher.watch(root, RecursiveMode::Recursive)?;
        } else {
            let directory = root.parent().filter(|parent| !parent.as_os_str().is_empty());
            watcher.watch(directory.unwrap_or(Path::new(".")), RecursiveMode::NonRecursive)?;
        }
    }
    Ok(watcher)
}

fn change(event: notify::Result<Event>) -> Option<Change> {
    let at = Instant::now();
    let Ok(event) = event else {
        // Events were lost, perhaps: better look.
        return Some(Change { at, paths: Vec::new(), unfinished: false });
    };
    let unfinished = match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
        // Reading changes nothing.
        EventKind::Access(_) => return None,
        EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => true,
        _ => false,
    };
    Some(Change { at, paths: event.paths, unfinished })
}

fn note(unfinished: &mut BTreeSet<PathBuf>, change: Change) {
    for path in change.paths {
        if change.unfinished {
            unfinished.insert(path);
        } else {
            unfinished.remove(&path);
        }
    }
}

fn fingerprint(roots: &[PathBuf]) -> Fingerprint {
    let (files, unreadable) = paths::files(roots);
    (files, unreadable.into_iter().map(|unreadable| unreadable.path).collect())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use super::*;

    const NAMESPACE: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: shop}}";

    async fn changed(watch: &mut Watch) -> Instant {
        let mut reader = Reader::new(watch.roots.clone());
        watch.changed(&mut reader).await.0
    }

    #[tokio::test]
    async fn what_is_being_written_while_it_is_read_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, NAMESPACE).unwrap();
        let mut watch = Watch::start(&[directory.path().to_owned()]);
        let mut reader = Reader::new(watch.roots.clone());
        fs::write(directory.path().join("other.yaml"), "").unwrap();
        // The kernel says nothing of this one: as if its event came late.
        watch._watcher = None;
        let writer = std::thread::spawn(move || {
            let started = Instant::now();
            while started.elapsed() < LONGEST_WAIT / 2 {
                let mut file = fs::File::create(&path).unwrap();
                std::thread::sleep(Duration::from_millis(1));
                file.write_all(NAMESPACE.as_bytes()).unwrap();
                drop(file);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        let (since, reading) = watch.changed(&mut reader).await;
        let in_time = since.elapsed() < LONGEST_WAIT;
        writer.join().unwrap();
        assert!(!in_time || reading.objects.len() == 1, "the file was never meant to be empty");
    }

    #[tokio::test]
    async fn changes_that_belong_together_are_seen_together() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let mut watch = Watch::start(&[directory.path().to_owned()]);
        let started = Instant::now();
        for name in ["a.yaml", "b.yaml", "sub/c.yaml"] {
            fs::write(directory.path().join(name), name).unwrap();
        }
        let since = changed(&mut watch).await;
        assert!(since >= started);
        assert!(started.elapsed() < POLL_INTERVAL / 2, "{:?}", started.elapsed());
        let again = tokio::time::timeout(QUIET * 5, changed(&mut watch)).await;
        assert!(again.is_err(), "nothing happened since");
    }

    #[tokio::test]
    async fn a_file_that_is_half_written_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut watch = Watch::start(&[directory.path().to_owned()]);
        let mut file = fs::File::create(directory.path().join("a.yaml")).unwrap();
        file.write_all(b"half").unwrap();
        let since = changed(&mut watch).await;
        assert!(since.elapsed() >= LONGEST_WAIT, "it may never be finished, but is given time");
        file.write_all(b"whole").unwrap();
        drop(file);
        let since = changed(&mut watch).await;
        assert!(since.elapsed() < LONGEST_WAIT, "{:?}", since.elapsed());
    }

    #[tokio::test]
    async fn a_single_file_is_watched_through_its_replacement() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        fs::write(&path, "one").unwrap();
        let mut watch = Watch::start(std::slice::from_ref(&path));
        for text in ["two", "three"] {
            fs::write(directory.path().join("new"), text).unwrap();
            fs::rename(directory.path().join("new"), &path).unwrap();
            let seen = tokio::time::timeout(POLL_INTERVAL / 2, changed(&mut watch)).await;
            assert!(seen.is_ok(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_kernel_does_not_report_is_polled() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        let mut watch = Watch::start(std::slice::from_ref(&path));
        watch._watcher = None;
        watch.changes.close();
        fs::write(&path, "one").unwrap();
        changed(&mut watch).await;
    }
}
