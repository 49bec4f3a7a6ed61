//! The last good snapshot on disk, so that a proxy that restarts beside a bad one, or before its volume is complete,
//! serves what it served before.
//!
//! The state directory holds the files of one snapshot in `SHORT-HASH/`, and the link `current` to it. It belongs to one
//! proxy and holds private keys: in a pod, a memory-backed emptyDir; the files are readable by their owner only.

use std::{
    fs, io,
    os::unix::fs::{OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use postern_snapshot::{
    codec::{Files, read_manifest},
    manifest::{MANIFEST_FILE, Manifest},
};

use super::directory::Directory;

/// Where the last good snapshot is kept.
#[derive(Debug, Clone)]
pub struct LastGood {
    directory: PathBuf,
}

impl LastGood {
    /// Kept in this directory, which is made when needed.
    #[must_use]
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// What is kept; reading from it fails with "no manifest" when that is nothing.
    #[must_use]
    pub fn files(&self) -> Directory {
        Directory::look(&self.directory.join("current"))
    }

    /// Keeps these files, in the place of what was kept.
    ///
    /// # Errors
    /// When the disk is full or not writable. What was kept before stays then.
    pub fn keep(&self, manifest: &Manifest, files: &dyn Files) -> io::Result<()> {
        let version = manifest.hash.short();
        let target = self.directory.join(&version);
        let current = self.directory.join("current");
        fs::create_dir_all(&target)?;
        // What is kept already need not be read and written again: after a pod came or went that is nearly everything.
        // A start beside the snapshot that is kept writes it anew, in case it was damaged.
        let kept = read_manifest(&self.files()).ok().filter(|kept| kept.hash != manifest.hash);
        for part in &manifest.body.parts {
            let unchanged = kept.as_ref().is_some_and(|kept| kept.body.parts.contains(part));
            for name in &part.files {
                if !(unchanged && fs::hard_link(current.join(name), target.join(name)).is_ok()) {
                    write_private(&target, name, files)?;
                }
            }
        }
        write_private(&target, MANIFEST_FILE, files)?;
        replace_link(&current, &version)?;
        self.remove_others(&version)
    }

    fn remove_others(&self, version: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && entry.file_name() != version {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Never leaves half a file under `name`, which may be in use for what is kept now.
fn write_private(directory: &Path, name: &str, files: &dyn Files) -> io::Result<()> {
    let content = files.read(name)?.ok_or(io::ErrorKind::NotFound)?;
    let fresh = directory.join(".new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    io::Write::write_all(&mut file, &content)?;
    fs::rename(fresh, directory.join(name))
}

fn replace_link(link: &Path, target: &str) -> io::Result<()> {
    let fresh = link.with_extension("new");
    match fs::remove_file(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    symlink(target, &fresh)?;
    fs::rename(fresh, link)
}

#[cfg(test)]
mod tests {
    use postern_snapshot::{
        codec::{EncodeOptions, decode, encode},
        model::Snapshot,
    };

    use super::*;

    fn encoded(ingress: &str) -> (Manifest, std::collections::BTreeMap<String, Vec<u8>>) {
        let snapshot = Snapshot { ingress: ingress.to_owned(), ..Snapshot::default() };
        let mut encoded = encode(&snapshot, &EncodeOptions::default()).expect("encodable");
        encoded.files.append(&mut encoded.secret_files);
        (encoded.manifest, encoded.files)
    }

    #[test]
    fn the_newest_is_kept_and_only_that() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = LastGood::new(directory.path().to_owned());
        assert!(decode(&kept.files()).is_err());
        for ingress in ["istio-system/one", "istio-system/two"] {
            let (manifest, files) = encoded(ingress);
            kept.keep(&manifest, &files).expect("kept");
            assert_eq!(decode(&kept.files()).expect("readable").1.ingress, ingress);
        }
        assert_eq!(fs::read_dir(directory.path()).expect("readable").count(), 2, "one version and the link");
    }

    #[test]
    fn parts_that_stay_are_not_written_again() {
        use std::os::unix::fs::MetadataExt;

        let directory = tempfile::tempdir().expect("a directory");
        let kept = LastGood::new(directory.path().to_owned());
        let (manifest, files) = encoded("istio-system/one");
        let part = manifest.body.parts[0].files[0].clone();
        let inode = || fs::metadata(directory.path().join("current").join(&part)).expect("there").ino();
        kept.keep(&manifest, &files).expect("kept");
        let before = inode();
        let (manifest, mut files) = encoded("istio-system/two");
        files.retain(|name, _| name == MANIFEST_FILE);
        kept.keep(&manifest, &files).expect("kept without reading the parts");
        assert_eq!(inode(), before);
        assert_eq!(decode(&kept.files()).expect("readable").1.ingress, "istio-system/two");
    }

    #[test]
    fn what_was_damaged_on_disk_is_mended_by_the_next_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = LastGood::new(directory.path().to_owned());
        let (manifest, files) = encoded("istio-system/one");
        kept.keep(&manifest, &files).expect("kept");
        fs::write(directory.path().join("current").join(&manifest.body.parts[0].files[0]), "x")
            .expect("written");
        assert!(decode(&kept.files()).is_err());
        kept.keep(&manifest, &files).expect("kept");
        assert!(decode(&kept.files()).is_ok());
    }

    #[test]
    fn an_incomplete_one_is_not_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let kept = LastGood::new(directory.path().to_owned());
        let (manifest, files) = encoded("istio-system/one");
        kept.keep(&manifest, &files).expect("kept");
        let (manifest, mut files) = encoded("istio-system/two");
        files.remove(MANIFEST_FILE);
        assert!(kept.keep(&manifest, &files).is_err());
        assert_eq!(decode(&kept.files()).expect("readable").1.ingress, "istio-system/one");
    }
}
