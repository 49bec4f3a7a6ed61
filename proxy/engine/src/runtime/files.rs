//! Files of the pod that a snapshot names (Istio's `serverCertificate`, `privateKey`, `caCertificates`, `caCrl`): whoever
//! renews them does not write a snapshot.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use postern_snapshot::model::{CertificateSource, Certificates, PemSource};

/// The files, as they were at one moment.
#[derive(Debug, Default)]
pub(super) struct NamedFiles(Vec<(PathBuf, Option<Stamp>)>);

/// What tells one version of a file from the next, also where a symbolic link was turned to another file.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl NamedFiles {
    /// Looks at all files that are named. To be called before they are read, so that no change is missed.
    pub(super) fn look(certificates: &Certificates) -> Self {
        let mut paths = Vec::new();
        for certificate in certificates.certificates.values() {
            if let CertificateSource::Files { chain, key } = &certificate.source {
                paths.extend([chain, key]);
            }
        }
        for bundle in certificates.authorities.values() {
            for source in [Some(&bundle.certificates), bundle.crl.as_ref()].into_iter().flatten() {
                if let PemSource::File(path) = source {
                    paths.push(path);
                }
            }
        }
        paths.sort_unstable();
        paths.dedup();
        Self(paths.into_iter().map(|path| (path.clone(), stamp(path))).collect())
    }

    /// Is one of them no longer what it was?
    pub(super) fn changed(&self) -> bool {
        self.0.iter().any(|(path, before)| stamp(path) != *before)
    }
}

/// `None`: it cannot be looked at, because it is not there yet, for example.
fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        length: metadata.len(),
        modified: (metadata.mtime(), metadata.mtime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use postern_snapshot::{CaName, CertificateName, model};

    use super::*;

    #[test]
    fn each_named_file_is_watched_through_links() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| directory.path().join(name);
        for name in ["chain-1", "chain-2", "key", "ca"] {
            fs::write(at(name), name).expect("written");
        }
        symlink("chain-1", at("chain")).expect("linked");
        let mut certificates = Certificates::default();
        let source = CertificateSource::Files { chain: at("chain"), key: at("key") };
        let certificate = model::Certificate { origin: String::new(), source };
        certificates.certificates.insert(CertificateName::new("a"), certificate);
        let bundle = model::CaBundle {
            origin: String::new(),
            certificates: PemSource::File(at("ca")),
            crl: Some(PemSource::File(at("crl"))),
        };
        certificates.authorities.insert(CaName::new("a"), bundle);

        let files = NamedFiles::look(&certificates);
        assert!(!files.changed());
        fs::write(at("crl"), "new").expect("written");
        assert!(files.changed(), "a file appeared");

        let files = NamedFiles::look(&certificates);
        symlink("chain-2", at("next")).expect("linked");
        fs::rename(at("next"), at("chain")).expect("renamed");
        assert!(files.changed(), "a link was turned");

        let files = NamedFiles::look(&certificates);
        fs::write(at("key"), "longer than before").expect("written");
        assert!(files.changed(), "a file was written over");
        assert!(!NamedFiles::look(&certificates).changed());
    }
}
