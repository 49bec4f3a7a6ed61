//! From the mounted directory to what is served: look, verify, read what changed, apply, keep.

mod directory;
mod last_good;
mod watch;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use postern_snapshot::{
    ack::{Applied, Refused, Rejected},
    codec::{Files, read_manifest, read_part},
    manifest::{Hash, Manifest, PartKind, SnapshotError},
    model::{Certificates, Endpoints, Keys, Routes},
};
use postern_telemetry::metrics::ReloadResult;
use tokio::time::Instant;

pub use directory::Directory;
pub use last_good::LastGood;
use watch::Watch;

use crate::progress::Progress;

/// A volume of several ConfigMaps does not change all at once. Files that are missing for longer than this are not on
/// their way: the snapshot is refused.
const PATIENCE_FOR_FILES: Duration = Duration::from_secs(10);

/// What changed from one snapshot to the next.
#[derive(Debug)]
pub enum Update {
    /// Pods came or went, nothing else: cheap.
    Endpoints(Endpoints),
    /// All else. Routes refer to clusters, and these to certificates, so routes come with every change of those.
    Everything {
        /// Listeners, routes and clusters.
        routes: Routes,
        /// Endpoints.
        endpoints: Endpoints,
        /// Certificates and keys, if they changed.
        certificates: Option<(Certificates, Keys)>,
    },
}

/// What takes updates: the proxy, or a test.
pub trait Apply {
    /// Serves this from now on. What cannot be served is returned; the rest is served.
    fn apply(&mut self, update: Update) -> Vec<Refused>;

    /// Has something changed that was read beside the snapshot: a file that it names? Then the snapshot is applied anew.
    fn is_stale(&self) -> bool;

    /// Tries again what failed for a reason outside of the snapshot. Returns what is refused now, if that changed.
    fn retry(&mut self) -> Option<Vec<Refused>>;

    /// Told how each look at a new snapshot ended; the hash is missing where it could not be read.
    fn looked(&mut self, result: ReloadResult, hash: Option<Hash>);
}

/// Watches the mounted directory.
#[derive(Debug)]
pub struct Reloader<A> {
    mounted: PathBuf,
    last_good: Option<LastGood>,
    progress: Arc<Progress>,
    applier: A,
    current: Option<Manifest>,
    waiting_since: Option<Instant>,
}

impl<A: Apply> Reloader<A> {
    /// Reads from `mounted`, and keeps the last good snapshot in `last_good` when that is given.
    pub const fn new(
        mounted: PathBuf,
        last_good: Option<LastGood>,
        progress: Arc<Progress>,
        applier: A,
    ) -> Self {
        Self { mounted, last_good, progress, applier, current: None, waiting_since: None }
    }

    /// Looks at once and after each change, for ever.
    pub async fn run(mut self) {
        // First watch, then look: a change in between is not missed.
        let mut watch = Watch::start(&self.mounted);
        loop {
            self.look();
            watch.changed().await;
        }
    }

    /// Looks at the directory, and applies what is new there.
    pub fn look(&mut self) {
        let mounted = Directory::look(&self.mounted);
        let loaded = self.load(&mounted);
        if self.current.is_none() {
            self.fall_back();
        }
        match loaded {
            Ok(Some(manifest)) => self.keep(&manifest, &mounted),
            Ok(None) => self.refresh(),
            Err(error) => {
                self.refuse(&error);
                self.refresh();
            }
        }
    }

    /// Applies what is in these files, unless it is what is served already.
    fn load(&mut self, files: &dyn Files) -> Result<Option<Manifest>, SnapshotError> {
        let manifest = read_manifest(files)?;
        if self.current.as_ref().is_some_and(|current| current.hash == manifest.hash) {
            self.waiting_since = None;
            self.progress.no_longer_rejected();
            return Ok(None);
        }
        let update = read_changes(self.current.as_ref(), &manifest, files)?;
        self.waiting_since = None;
        let refused = self.apply(&manifest, update);
        self.progress.applied(Applied {
            hash: manifest.hash,
            ingress: manifest.body.ingress.clone(),
            sources: manifest.body.sources.clone(),
            refused,
        });
        self.current = Some(manifest.clone());
        Ok(Some(manifest))
    }

    fn apply(&mut self, manifest: &Manifest, update: Update) -> Vec<Refused> {
        let started = std::time::Instant::now();
        let refused = self.applier.apply(update);
        tracing::info!(
            hash = %manifest.hash.short(),
            ingress = manifest.body.ingress,
            objects = manifest.body.sources.len(),
            refused = refused.len(),
            took_ms = started.elapsed().as_secs_f64() * 1000.0,
            "applied a snapshot"
        );
        for part in &refused {
            tracing::warn!(kind = ?part.kind, name = part.name, origin = part.origin, problem = part.problem, "not served");
        }
        let result = if refused.is_empty() { ReloadResult::Applied } else { ReloadResult::Partial };
        self.applier.looked(result, Some(manifest.hash));
        refused
    }

    /// The snapshot is the same; what it refers to may have changed.
    fn refresh(&mut self) {
        let Some(current) = self.current.take() else { return };
        if !self.applier.is_stale() {
            if let Some(refused) = self.applier.retry() {
                self.progress.refused(refused);
            }
        } else if let Some(files) = find_snapshot(current.hash, &self.mounted, self.last_good.as_ref()) {
            match read_changes(None, &current, &files) {
                Ok(update) => {
                    let refused = self.apply(&current, update);
                    self.progress.refused(refused);
                }
                Err(error) => tracing::error!(%error, "files changed, and the snapshot cannot be read again"),
            }
        }
        self.current = Some(current);
    }

    /// Says why the newest snapshot is not served; what is served stays.
    fn refuse(&mut self, error: &SnapshotError) {
        if error.may_pass() {
            let since = *self.waiting_since.get_or_insert_with(Instant::now);
            if since.elapsed() < PATIENCE_FOR_FILES {
                tracing::debug!(%error, "waiting for the rest of a snapshot");
                return;
            }
        }
        let hash = match read_manifest(&Directory::look(&self.mounted)) {
            Ok(manifest) => Some(manifest.hash),
            Err(_) => None,
        };
        if self.progress.rejected(Rejected { hash, problem: error.to_string() }) {
            tracing::error!(%error, "refused a snapshot; what was served before stays");
            self.applier.looked(ReloadResult::Refused, hash);
        }
    }

    fn keep(&self, manifest: &Manifest, directory: &Directory) {
        if let Some(last_good) = &self.last_good
            && let Err(error) = last_good.keep(manifest, directory)
        {
            tracing::warn!(%error, "cannot keep the last good snapshot; a restart depends on the mounted one");
        }
    }

    /// Nothing is served yet and the mounted snapshot is of no use: serves what was served before the restart.
    fn fall_back(&mut self) {
        let Some(files) = self.last_good.as_ref().map(LastGood::files) else { return };
        match self.load(&files) {
            Ok(Some(manifest)) => {
                tracing::warn!(hash = %manifest.hash.short(), "serving the last good snapshot of before the restart");
            }
            Ok(None) | Err(SnapshotError::NoManifest) => {}
            Err(error) => tracing::error!(%error, "the last good snapshot is of no use either"),
        }
    }
}

/// Where the snapshot with this hash lies, of the places where it may.
pub(crate) fn find_snapshot(hash: Hash, mounted: &Path, last_good: Option<&LastGood>) -> Option<Directory> {
    let places = std::iter::once_with(|| Directory::look(mounted)).chain(last_good.map(LastGood::files));
    places.into_iter().find(|place| read_manifest(place).is_ok_and(|manifest| manifest.hash == hash))
}

/// Reads what changed since `before`.
fn read_changes(
    before: Option<&Manifest>,
    manifest: &Manifest,
    files: &dyn Files,
) -> Result<Update, SnapshotError> {
    let changed = |kind| before.is_none_or(|before| hash_of(before, kind) != hash_of(manifest, kind));
    let certificates_changed = changed(PartKind::Certificates) || changed(PartKind::Keys);
    let endpoints = || read_part(manifest, PartKind::Endpoints, files);
    if !certificates_changed && !changed(PartKind::Routes) {
        return endpoints().map(Update::Endpoints);
    }
    let certificates = if certificates_changed {
        let certificates = read_part(manifest, PartKind::Certificates, files)?;
        Some((certificates, read_part(manifest, PartKind::Keys, files)?))
    } else {
        None
    };
    let routes = read_part(manifest, PartKind::Routes, files)?;
    Ok(Update::Everything { routes, endpoints: endpoints()?, certificates })
}

fn hash_of(manifest: &Manifest, kind: PartKind) -> Option<Hash> {
    manifest.body.parts.iter().find(|part| part.kind == kind).map(|part| part.hash)
}

#[cfg(test)]
mod tests;
