//! Which file lies in which object of one kind.

use std::collections::{BTreeMap, BTreeSet};

use postern_snapshot::manifest::MANIFEST_FILE;

use super::{Content, PublicationError};

/// Objects of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store {
    /// The kind, in the plural, for messages.
    pub(super) what: &'static str,
    /// How many there can be.
    pub(super) objects: usize,
    /// What each holds, in bytes.
    pub(super) payload: usize,
    /// What a file takes of that.
    pub(super) cost: fn(&str, &[u8]) -> usize,
}

/// What is to be in objects of one kind.
#[derive(Debug)]
pub(super) struct Wanted<'a> {
    /// The manifest, which lies in the first object.
    pub(super) manifest: Option<&'a Vec<u8>>,
    /// All other files.
    pub(super) files: &'a Content,
    /// Those that belong into the first object too. It takes others only when no other object does.
    pub(super) first: BTreeSet<String>,
}

/// A place for each file.
pub(super) struct Packing {
    /// What each object is to hold in the end. With a manifest, the first one holds it.
    target: BTreeMap<usize, Content>,
    /// What each must still hold until the manifest is written. Not the object with the manifest: that is written once.
    kept: BTreeMap<usize, Content>,
    has_manifest: bool,
    /// Files that must be kept are not: they do not fit beside the new ones.
    pub(super) interrupts: bool,
}

/// What to write: the numbers of objects and what they are to hold. An empty content means: delete.
#[derive(Default)]
pub(super) struct Steps {
    /// Before the manifest.
    pub(super) before: Vec<(usize, Content)>,
    /// After it.
    pub(super) after: Vec<(usize, Content)>,
}

impl Packing {
    /// Finds places, where `current` is what is there and `needed` are the files that must stay until the manifest is
    /// written. If there are none, the needed files give way; and then no file need stay where it is.
    pub(super) fn new(
        store: &Store,
        wanted: &Wanted<'_>,
        current: &BTreeMap<usize, Content>,
        needed: &BTreeSet<String>,
    ) -> Result<Self, PublicationError> {
        if let Ok(packing) = Self::place(store, wanted, current, needed) {
            return Ok(packing);
        }
        let nothing = BTreeSet::new();
        let packing = Self::place(store, wanted, current, &nothing)
            .or_else(|_| Self::place(store, wanted, &BTreeMap::new(), &nothing))?;
        Ok(Self { interrupts: true, ..packing })
    }

    fn place(
        store: &Store,
        wanted: &Wanted<'_>,
        current: &BTreeMap<usize, Content>,
        needed: &BTreeSet<String>,
    ) -> Result<Self, PublicationError> {
        let Wanted { manifest, files, first } = wanted;
        let kept = kept(manifest.is_some(), files, current, needed);
        let mut packer = Packer { store, used: vec![0; store.objects], target: BTreeMap::new() };
        for (index, content) in &kept {
            if let Some(used) = packer.used.get_mut(*index) {
                *used = content.iter().map(|(name, file)| (store.cost)(name, file)).sum();
            }
        }
        let too_large = || too_large(store, *manifest, files);
        if let Some(manifest) = manifest
            && !packer.put(0, MANIFEST_FILE, manifest)
        {
            return Err(too_large());
        }
        let mut homeless = Vec::new();
        for (name, file) in *files {
            let holds = |(_, content): &(&usize, &Content)| content.get(name) == Some(file);
            let mut homes = current.iter().filter(holds).map(|(index, _)| *index);
            let stays = |index| {
                let kept = kept.get(&index).is_some_and(|content| content.contains_key(name));
                if kept { packer.leave(index, name, file) } else { packer.put(index, name, file) }
            };
            if !homes.any(stays) {
                homeless.push((
                    !first.contains(name),
                    std::cmp::Reverse((store.cost)(name, file)),
                    name,
                    file,
                ));
            }
        }
        // What belongs to the first object comes first, then the largest: so the most find a place.
        homeless.sort();
        for (not_first, _, name, file) in homeless {
            let others = 1..store.objects;
            let places =
                if not_first { others.chain(0..1).collect::<Vec<_>>() } else { (0..store.objects).collect() };
            if !places.into_iter().any(|index| packer.put(index, name, file)) {
                return Err(too_large());
            }
        }
        Ok(Self { target: packer.target, kept, has_manifest: manifest.is_some(), interrupts: false })
    }

    /// What to write before the manifest and after it, given what is there.
    pub(super) fn steps(&self, current: &BTreeMap<usize, Content>) -> Steps {
        let mut steps = Steps::default();
        let indexes: BTreeSet<usize> = self.target.keys().chain(current.keys()).copied().collect();
        for index in indexes.into_iter().filter(|index| !(self.has_manifest && *index == 0)) {
            let nothing = Content::new();
            let now = current.get(&index).unwrap_or(&nothing);
            let target = self.target.get(&index).unwrap_or(&nothing);
            let complete = target.iter().all(|(name, file)| now.get(name) == Some(file));
            let mut between = if complete { now.clone() } else { target.clone() };
            if !complete {
                between.extend(self.kept.get(&index).cloned().unwrap_or_default());
                steps.before.push((index, between.clone()));
            }
            // An object that exists without files is of no use either.
            if between != *target || (target.is_empty() && current.contains_key(&index)) {
                between.clone_from(target);
                steps.after.push((index, between));
            }
        }
        steps
    }

    /// What to write into the object with the manifest, if it is not like that.
    pub(super) fn with_manifest(&self, current: &BTreeMap<usize, Content>) -> Option<Content> {
        let target = self.target.get(&0)?;
        (current.get(&0) != Some(target)).then(|| target.clone())
    }
}

/// What of the current files must stay until the manifest is written. One that has the name of a new file, and
/// another content, is damaged: its name is the hash of its content.
fn kept(
    has_manifest: bool,
    files: &Content,
    current: &BTreeMap<usize, Content>,
    needed: &BTreeSet<String>,
) -> BTreeMap<usize, Content> {
    let is_kept = |name: &String, file: &Vec<u8>| {
        needed.contains(name) && files.get(name).is_none_or(|new| new == file)
    };
    current
        .iter()
        .filter(|(index, _)| !(has_manifest && **index == 0))
        .map(|(index, content)| {
            let kept = content.iter().filter(|(name, file)| is_kept(name, file));
            (*index, kept.map(|(name, file)| (name.clone(), file.clone())).collect())
        })
        .collect()
}

/// Fills objects.
struct Packer<'a> {
    store: &'a Store,
    used: Vec<usize>,
    target: BTreeMap<usize, Content>,
}

impl Packer<'_> {
    /// Puts a file into an object, if there is room.
    fn put(&mut self, index: usize, name: &str, file: &[u8]) -> bool {
        let Some(used) = self.used.get_mut(index) else { return false };
        let with_it = *used + (self.store.cost)(name, file);
        if with_it > self.store.payload {
            return false;
        }
        *used = with_it;
        self.leave(index, name, file)
    }

    /// Leaves a file where it is, where it was counted already.
    fn leave(&mut self, index: usize, name: &str, file: &[u8]) -> bool {
        if index >= self.used.len() {
            return false;
        }
        self.target.entry(index).or_default().insert(name.to_owned(), file.to_vec());
        true
    }
}

fn too_large(store: &Store, manifest: Option<&Vec<u8>>, files: &Content) -> PublicationError {
    let manifest = manifest.map(|bytes| (MANIFEST_FILE, (store.cost)(MANIFEST_FILE, bytes)));
    let others = files.iter().map(|(name, file)| (name.as_str(), (store.cost)(name, file)));
    let costs: Vec<(&str, usize)> = manifest.into_iter().chain(others).collect();
    match costs.iter().find(|(_, cost)| *cost > store.payload) {
        Some((name, bytes)) => PublicationError::File {
            name: (*name).to_owned(),
            bytes: *bytes,
            room: store.payload,
            what: store.what,
        },
        None => PublicationError::Snapshot {
            files: costs.iter().map(|(_, cost)| cost).sum(),
            room: store.objects * store.payload,
            objects: store.objects,
            what: store.what,
        },
    }
}
