//! What was read of the cluster, kind by kind, as the watches tell it.

use std::collections::{BTreeMap, BTreeSet};

use postern_api::meta::ObjectKey;
use postern_api::parse::Parsed;
use postern_translate::{World, WorldObject};

/// Objects of one kind, by key.
pub(super) type Objects = BTreeMap<ObjectKey, Parsed<WorldObject>>;

/// The index of a kind in the table of kinds.
pub(super) type KindIndex = usize;

/// A change that a watch tells.
#[derive(Debug)]
pub(super) enum Change {
    /// All objects of the kind; what is not here is gone.
    All(KindIndex, Objects),
    /// This object is new or changed.
    Applied(KindIndex, ObjectKey, Box<Parsed<WorldObject>>),
    /// This object is gone.
    Deleted(KindIndex, ObjectKey),
    /// The cluster does not know the kind (yet): there are none.
    Absent(KindIndex),
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<KindIndex, Objects>,
    /// Kinds that have been read at least once, or are known to be absent.
    known: BTreeSet<KindIndex>,
}

impl Store {
    /// Takes a change in. Says whether anything differs from before.
    pub(super) fn take(&mut self, change: Change) -> bool {
        match change {
            Change::All(kind, objects) => {
                self.known.insert(kind);
                self.objects.insert(kind, objects);
                true
            }
            Change::Applied(kind, key, parsed) => {
                self.objects.entry(kind).or_default().insert(key, *parsed);
                true
            }
            Change::Deleted(kind, key) => {
                self.objects.get_mut(&kind).is_some_and(|objects| objects.remove(&key).is_some())
            }
            Change::Absent(kind) => {
                let first = self.known.insert(kind);
                let gone = self.objects.remove(&kind).is_some_and(|objects| !objects.is_empty());
                first || gone
            }
        }
    }

    /// Has everything been read once? Before, what seems to be missing may only not have been read yet.
    pub(super) fn is_complete(&self, kinds: usize) -> bool {
        self.known.len() == kinds
    }

    /// The World of now.
    pub(super) fn world(&self) -> World {
        let mut builder = World::builder();
        for (key, parsed) in self.objects.values().flatten() {
            builder.parsed(key.clone(), parsed.clone());
        }
        builder.build()
    }
}
