//! The directory with the snapshot.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use postern_snapshot::{
    codec::{EncodeOptions, Encoded, encode},
    manifest::{Hash, MANIFEST_FILE},
    model::Snapshot,
};

pub struct Volume {
    directory: tempfile::TempDir,
    kubelet: bool,
    version: AtomicU64,
}

impl Volume {
    /// Files are written one by one, the manifest last.
    pub fn plain() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), kubelet: false, version: AtomicU64::new(0) }
    }

    /// As kubelet does it: links through `..data`, which is turned to a new directory.
    pub fn kubelet() -> Self {
        Self { kubelet: true, ..Self::plain() }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn encode(snapshot: &Snapshot) -> Encoded {
        encode(snapshot, &EncodeOptions::default()).unwrap()
    }

    /// Makes this the newest snapshot.
    pub fn publish(&self, snapshot: &Snapshot) -> Hash {
        let mut encoded = Self::encode(snapshot);
        encoded.files.append(&mut encoded.secret_files);
        self.write(&encoded.files);
        encoded.manifest.hash
    }

    /// Makes these the files.
    pub fn write(&self, files: &BTreeMap<String, Vec<u8>>) {
        if self.kubelet {
            return self.swap(files);
        }
        let manifest_last = files.iter().filter(|(name, _)| *name != MANIFEST_FILE);
        for (name, content) in manifest_last.chain(files.get_key_value(MANIFEST_FILE)) {
            let fresh = self.path().join(format!(".{name}.new"));
            fs::write(&fresh, content).unwrap();
            fs::rename(fresh, self.path().join(name)).unwrap();
        }
    }

    fn swap(&self, files: &BTreeMap<String, Vec<u8>>) {
        let version = format!("..version-{}", self.version.fetch_add(1, Ordering::Relaxed));
        let target = self.path().join(&version);
        fs::create_dir(&target).unwrap();
        for (name, content) in files {
            fs::write(target.join(name), content).unwrap();
        }
        let before = fs::read_link(self.path().join("..data")).ok();
        symlink(&version, self.path().join("..data_tmp")).unwrap();
        fs::rename(self.path().join("..data_tmp"), self.path().join("..data")).unwrap();
        for name in files.keys() {
            // There already when the part did not change.
            let _ = symlink(PathBuf::from("..data").join(name), self.path().join(name));
        }
        if let Some(before) = before {
            fs::remove_dir_all(self.path().join(before)).unwrap();
        }
    }
}
