//! From what the user names to the files that are read.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Which files of a directory are read.
const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];
/// Kustomize's own files are no objects.
const KUSTOMIZATIONS: [&str; 2] = ["kustomization.yaml", "kustomization.yml"];
/// No directory is deeper: a guard against links in a circle.
const MAX_DEPTH: usize = 32;
/// Clocks of file systems go in steps, of 10 ms at most; network file systems may be further off.
const CLOCK_STEP: Duration = Duration::from_millis(100);
/// What means standard input.
pub(crate) const STANDARD_INPUT: &str = "-";

/// A file to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// As it was given.
    pub(crate) path: PathBuf,
    /// Absent for standard input.
    pub(crate) stamp: Option<Stamp>,
}

/// What the file system says about a file's content without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of content or attributes; unlike `modified`, no program can set it back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Is the same stamp later the same content? Not while the file system's clock may still show the same time after
    /// another change.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        self.is_before(now - CLOCK_STEP)
    }

    /// Did nothing change it at that moment or later?
    pub(crate) fn is_before(&self, moment: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let since_epoch = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let changed =
            since_epoch.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        changed.is_some_and(|changed| changed < moment)
    }
}

/// A file or directory that cannot be read.
#[derive(Debug)]
pub(crate) struct Unreadable {
    pub(crate) path: PathBuf,
    pub(crate) error: io::Error,
}

/// The files, as their paths were given, each once.
///
/// A file that is named is read whatever it is called; of a directory, what [`EXTENSIONS`] says. Hidden names are left
/// out: editors put their copies there, and kubelet its versions.
pub(crate) fn files(roots: &[PathBuf]) -> (Vec<Found>, Vec<Unreadable>) {
    let mut walk = Walk::default();
    for root in roots {
        if root.as_os_str() == STANDARD_INPUT {
            walk.found.push(Found { path: root.clone(), stamp: None });
        } else {
            walk.visit(root, 0);
        }
    }
    (walk.found, walk.unreadable)
}

#[derive(Default)]
struct Walk {
    /// By device and inode.
    seen: BTreeSet<(u64, u64)>,
    found: Vec<Found>,
    unreadable: Vec<Unreadable>,
}

impl Walk {
    fn add(&mut self, path: &Path, metadata: &Metadata) {
        if self.seen.insert((metadata.dev(), metadata.ino())) {
            self.found.push(Found { path: path.to_owned(), stamp: Some(Stamp::of(metadata)) });
        }
    }

    fn visit(&mut self, path: &Path, depth: usize) {
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => self.directory(path, depth),
            Ok(metadata) if depth == 0 || is_wanted(path) => self.add(path, &metadata),
            Ok(_) => {}
            // In a directory it may have gone since it was listed, or be an editor's dangling link.
            Err(error) if depth > 0 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.unreadable.push(Unreadable { path: path.to_owned(), error }),
        }
    }

    fn directory(&mut self, path: &Path, depth: usize) {
        if depth >= MAX_DEPTH {
            let error = io::Error::other("too many directories in each other");
            self.unreadable.push(Unreadable { path: path.to_owned(), error });
            return;
        }
        let names: io::Result<BTreeSet<_>> =
            fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        match names {
            Ok(names) => {
                let visible = names.iter().filter(|name| !name.as_encoded_bytes().starts_with(b"."));
                visible.for_each(|name| self.visit(&path.join(name), depth + 1));
            }
            Err(error) => self.unreadable.push(Unreadable { path: path.to_owned(), error }),
        }
    }
}

fn is_wanted(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let name = path.file_name().and_then(|name| name.to_str());
    extension.is_some_and(|extension| EXTENSIONS.contains(&extension))
        && !name.is_some_and(|name| KUSTOMIZATIONS.contains(&name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(root: &Path, roots: &[PathBuf]) -> Vec<String> {
        let (files, unreadable) = files(roots);
        assert!(unreadable.is_empty(), "{unreadable:?}");
        let relative =
            |found: &Found| found.path.strip_prefix(root).unwrap_or(&found.path).display().to_string();
        files.iter().map(relative).collect()
    }

    #[test]
    fn directories_are_read_to_the_bottom_in_order() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::create_dir_all(root.join("sub/.git")).unwrap();
        let all = [
            "b.yaml",
            "a.yml",
            "c.json",
            "d.txt",
            ".e.yaml",
            "kustomization.yaml",
            "sub/f.yaml",
            "sub/.git/g.yaml",
        ];
        for name in all {
            fs::write(root.join(name), "").unwrap();
        }
        symlink("gone.yaml", root.join("z.yaml")).unwrap();
        symlink(root, root.join("sub/loop")).unwrap();
        let (found, unreadable) = files(&[root.to_owned()]);
        let found: Vec<_> =
            found.iter().filter_map(|found| found.path.strip_prefix(root).ok()?.to_str()).collect();
        assert_eq!(found, ["a.yml", "b.yaml", "c.json", "sub/f.yaml"]);
        assert_eq!(unreadable.len(), 1, "the circle is said once");
    }

    #[test]
    fn a_named_file_is_read_whatever_it_is_called_and_once() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::write(root.join("objects.txt"), "").unwrap();
        let named = root.join("objects.txt");
        assert_eq!(names(root, &[named.clone(), named, root.to_owned()]), ["objects.txt"]);
        assert_eq!(names(root, &["-".into()]), ["-"]);
    }

    #[test]
    fn a_stamp_settles_and_differs_after_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml");
        let stamp = || files(std::slice::from_ref(&path)).0[0].stamp.unwrap();
        fs::write(&path, "one").unwrap();
        let one = stamp();
        assert_eq!(stamp(), one);
        assert!(!one.is_settled(SystemTime::now()));
        assert!(one.is_settled(SystemTime::now() + CLOCK_STEP * 2));
        fs::write(&path, "three").unwrap();
        assert_ne!(stamp(), one);
    }

    #[test]
    fn what_is_missing_is_said() {
        let (found, unreadable) = files(&["/nonexistent/postern".into()]);
        assert!(found.is_empty());
        assert_eq!(unreadable.len(), 1);
    }
}
