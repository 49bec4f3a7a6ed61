//! What is remembered of each object that gets a status.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_api::meta::ObjectKey;
use postern_translate::status::claims_programmed;
use serde_json::Value;
use tokio::time::Instant;

use crate::run::state::{Reconciled, Subject};

/// A status that only says "not yet" is held back for this long: most often the proxies have it by then, and one write
/// says so.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Subjects(BTreeMap<ObjectKey, Known>);

/// One.
#[derive(Debug)]
pub(super) struct Known {
    uid: String,
    generation: i64,
    /// The round in which this generation was there first.
    pub(super) since: u64,
    /// When it was seen first, the status said already that it is served.
    pub(super) claimed: bool,
    /// That it is served was told to the metrics.
    pub(super) measured: bool,
    /// Since when there is nothing to say but "not yet".
    waiting: Option<Instant>,
    /// What was written last, and over which version: the watch may not have told of it yet.
    written: Option<Written>,
    /// A write is under way.
    pub(super) busy: bool,
    /// The last write failed: not before this moment.
    pub(super) not_before: Option<Instant>,
}

#[derive(Debug)]
struct Written {
    over: String,
    version: String,
    status: Value,
}

impl Known {
    fn new(subject: &Subject, round: u64) -> Self {
        let claimed = claims_programmed(&subject.status, subject.generation);
        Self {
            uid: subject.uid.clone(),
            generation: subject.generation,
            since: round,
            claimed,
            measured: claimed,
            waiting: None,
            written: None,
            busy: false,
            not_before: None,
        }
    }

    /// The newest status that is known, and the version of the object that has it.
    pub(super) fn current<'a>(&'a self, subject: &'a Subject) -> (&'a str, &'a Value) {
        match &self.written {
            Some(written) if written.over == subject.resource_version => (&written.version, &written.status),
            _ => (&subject.resource_version, &subject.status),
        }
    }

    /// This was written over this version.
    pub(super) fn wrote(&mut self, over: String, version: String, status: Value) {
        // What the watch told last may be older still.
        let over = match self.written.take() {
            Some(before) if before.version == over => before.over,
            _ => over,
        };
        self.written = Some(Written { over, version, status });
    }

    /// May it be written now? If not, when. `waiting`: there is nothing to say but "not yet".
    pub(super) fn may_write(&mut self, waiting: bool, now: Instant) -> Result<(), Option<Instant>> {
        if !waiting {
            self.waiting = None;
        }
        if self.busy {
            return Err(None);
        }
        let patience = waiting.then(|| *self.waiting.get_or_insert(now) + PATIENCE);
        match patience.max(self.not_before) {
            Some(at) if at > now => Err(Some(at)),
            _ => Ok(()),
        }
    }
}

impl Subjects {
    /// What there is now.
    pub(super) fn update(&mut self, reconciled: &Reconciled) {
        let mut before = std::mem::take(&mut self.0);
        for (key, subject) in &reconciled.subjects {
            let same = |known: &Known| known.uid == subject.uid && known.generation == subject.generation;
            let known = match before.remove(key) {
                Some(known) if same(&known) => known,
                // A write of the generation before may be under way still.
                Some(Known { busy, written, uid, .. }) if uid == subject.uid => {
                    Known { busy, written, ..Known::new(subject, reconciled.round) }
                }
                _ => Known::new(subject, reconciled.round),
            };
            self.0.insert(key.clone(), known);
        }
        // One that waits for its translation comes back in a moment; its write must not be forgotten.
        self.0.extend(before.into_iter().filter(|(_, known)| known.busy));
    }

    pub(super) fn get(&mut self, key: &ObjectKey) -> Option<&mut Known> {
        self.0.get_mut(key)
    }
}
