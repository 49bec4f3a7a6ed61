//! The mounted directory, as kubelet writes it or as a plain one.
//!
//! Kubelet writes a new version into a fresh hidden directory, then renames the symbolic link `..data` onto it; the
//! visible names are links through `..data`. To never see half of two versions, the link is followed once, and all files
//! of that look are read from where it led.

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
};

use postern_snapshot::codec::Files;

/// No file of a snapshot is larger: a guard against reading something else into memory.
const MAX_FILE_LENGTH: u64 = 64 * 1024 * 1024;

/// A directory of files, at one moment.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// What `path` holds now.
    #[must_use]
    pub fn look(path: &Path) -> Self {
        let version = fs::canonicalize(path.join("..data")).unwrap_or_else(|_| path.to_owned());
        Self { path: version }
    }
}

impl Files for Directory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match fs::File::open(self.path.join(name)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut content = Vec::new();
        file.take(MAX_FILE_LENGTH + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE_LENGTH {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "larger than 64 MiB"));
        }
        Ok(Some(content))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_look_stays_with_its_version_while_kubelet_swaps() {
        let volume = tempfile::tempdir().expect("a directory");
        let path = volume.path();
        for version in ["..one", "..two"] {
            fs::create_dir(path.join(version)).expect("created");
            fs::write(path.join(version).join("name"), version).expect("written");
        }
        symlink("..one", path.join("..data")).expect("linked");
        let look = Directory::look(path);
        symlink("..two", path.join("..data_tmp")).expect("linked");
        fs::rename(path.join("..data_tmp"), path.join("..data")).expect("swapped");
        assert_eq!(look.read("name").expect("readable"), Some(b"..one".to_vec()));
        assert_eq!(Directory::look(path).read("name").expect("readable"), Some(b"..two".to_vec()));
    }

    #[test]
    fn a_missing_file_is_none_and_a_directory_an_error() {
        let plain = tempfile::tempdir().expect("a directory");
        fs::create_dir(plain.path().join("folder")).expect("created");
        let look = Directory::look(plain.path());
        assert_eq!(look.read("absent").expect("no error"), None);
        assert!(look.read("folder").is_err());
    }
}
