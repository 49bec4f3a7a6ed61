//! A snapshot in a directory, from which a proxy loads it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use postern_snapshot::codec::Encoded;
use postern_snapshot::manifest::{MANIFEST_FILE, Manifest, PartKind};

/// A directory for the snapshots of one ingress, one after the other.
#[derive(Debug)]
pub(crate) struct SnapshotDirectory {
    path: PathBuf,
}

impl SnapshotDirectory {
    /// This one. It is made when something is written.
    pub(crate) const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a snapshot in the place of the one before: the parts first, then the manifest, at once. The files of the one
    /// before stay until the next: a proxy may just be reading them. Only the owner can read what is secret.
    ///
    /// # Errors
    /// When something cannot be written. A proxy then still finds the snapshot before.
    pub(crate) fn write(&self, encoded: &Encoded) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        let mut wanted = self.current_files();
        for (name, content) in &encoded.secret_files {
            self.write_part(name, content, 0o600)?;
        }
        for (name, content) in encoded.files.iter().filter(|(name, _)| *name != MANIFEST_FILE) {
            self.write_part(name, content, 0o644)?;
        }
        let manifest = encoded.files.get(MANIFEST_FILE).ok_or(io::ErrorKind::NotFound)?;
        self.replace(MANIFEST_FILE, manifest, 0o644)?;
        wanted.extend(encoded.files.keys().chain(encoded.secret_files.keys()).cloned());
        self.remove_others(&wanted)
    }

    /// The names of parts hold the hash of their content; what is there need not be written again.
    fn write_part(&self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        match fs::read(self.path.join(name)) {
            Ok(existing) if existing == content => Ok(()),
            _ => self.replace(name, content, mode),
        }
    }

    fn replace(&self, name: &str, content: &[u8], mode: u32) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(fs::Permissions::from_mode(mode))
            .tempfile_in(&self.path)?;
        file.write_all(content)?;
        file.persist(self.path.join(name))?;
        Ok(())
    }

    /// The files of the snapshot that is there.
    fn current_files(&self) -> BTreeSet<String> {
        let manifest = fs::read(self.path.join(MANIFEST_FILE)).ok();
        let manifest: Option<Manifest> = manifest.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        manifest.into_iter().flat_map(|manifest| manifest.body.parts).flat_map(|part| part.files).collect()
    }

    fn remove_others(&self, wanted: &BTreeSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_str().filter(|name| is_part(name));
            if name.is_some_and(|name| !wanted.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Is this the name of a file of a part?
fn is_part(name: &str) -> bool {
    let kind = name.split_once('.').map(|(kind, _)| kind);
    PartKind::ALL.iter().any(|part| kind == Some(part.as_str()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use postern_snapshot::KeyId;
    use postern_snapshot::codec::{EncodeOptions, Files, decode, encode};
    use postern_snapshot::model::Snapshot;

    use super::*;

    fn snapshot(key: &str) -> Snapshot {
        let mut snapshot = Snapshot { ingress: "istio-system/a".to_owned(), ..Snapshot::default() };
        snapshot.keys.0.insert(KeyId::new("key"), key.to_owned());
        snapshot
    }

    fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
        let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
        entries
            .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
            .collect()
    }

    #[test]
    fn what_is_written_can_be_read_and_only_the_last_two_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let target = SnapshotDirectory::new(directory.path().join("istio-system/a"));
        let mut before = BTreeMap::new();
        for key in ["one", "two", "three"] {
            target.write(&encode(&snapshot(key), &EncodeOptions::default()).unwrap()).unwrap();
            let now = files(target.path());
            assert_eq!(decode(&now).unwrap().1, snapshot(key));
            let keys = |name: &&String| name.starts_with("keys.");
            if let Some(old) = before.keys().find(keys) {
                assert!(now.read(old).unwrap().is_some(), "a proxy may be reading it");
            }
            assert!(now.keys().filter(keys).count() <= 2, "{:?}", now.keys());
            before = now.into_iter().filter(|(name, _)| !before.contains_key(name)).collect();
        }
    }

    #[test]
    fn keys_are_for_the_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let target = SnapshotDirectory::new(directory.path().join("a"));
        target.write(&encode(&snapshot("one"), &EncodeOptions::default()).unwrap()).unwrap();
        for entry in fs::read_dir(target.path()).unwrap().map(Result::unwrap) {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            let secret = entry.file_name().to_str().unwrap().starts_with("keys.");
            assert_eq!(mode, if secret { 0o600 } else { 0o644 }, "{:?}", entry.file_name());
        }
        assert_eq!(fs::metadata(target.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn files_of_others_stay() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("README.md"), "x").unwrap();
        let target = SnapshotDirectory::new(directory.path().to_owned());
        target.write(&encode(&snapshot("one"), &EncodeOptions::default()).unwrap()).unwrap();
        assert!(directory.path().join("README.md").exists());
    }
}
