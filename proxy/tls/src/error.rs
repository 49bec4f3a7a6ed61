//! What can be wrong. No text here ever holds key material.

use std::{fmt, path::PathBuf};

use postern_snapshot::{CaName, CertificateName, KeyId, model::TlsVersion};

/// Why a listener's or a cluster's TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// None of the certificates to show is there.
    #[error("no usable certificate: {}", list(.0))]
    NoCertificate(Vec<CertificateName>),
    /// The authorities to trust are not there.
    #[error("no usable certificate authorities: {0}")]
    NoAuthorities(CaName),
    /// The image of the proxy holds no authorities (`SSL_CERT_FILE`, `SSL_CERT_DIR` or the usual places).
    #[error("the system's certificate authorities cannot be read: {0}")]
    NoSystemAuthorities(String),
    /// The lowest version is above the highest.
    #[error("no version of TLS is at least {min:?} and at most {max:?}")]
    NoVersion {
        /// The lowest.
        min: TlsVersion,
        /// The highest.
        max: TlsVersion,
    },
    /// A pin that is no SHA-256.
    #[error("{value:?} in {list} is not a SHA-256 in {encoding}")]
    InvalidPin {
        /// `spki` or `hashes`.
        list: &'static str,
        /// What is there.
        value: String,
        /// How it should be written.
        encoding: &'static str,
    },
    /// A name that a server cannot have.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    InvalidServerName(String),
    /// The TLS library refuses the settings.
    #[error("TLS settings refused: {0}")]
    Refused(String),
}

fn list(names: &[CertificateName]) -> String {
    names.iter().map(CertificateName::as_str).collect::<Vec<_>>().join(", ")
}

/// What a problem is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece {
    /// The certificates of a chain or of a bundle of authorities.
    Certificates,
    /// The private key.
    Key,
    /// The revocation lists.
    Crl,
    /// The stapled OCSP response.
    OcspStaple,
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificates => "certificate",
            Self::Key => "private key",
            Self::Crl => "certificate revocation list",
            Self::OcspStaple => "OCSP staple",
        })
    }
}

/// Why a certificate, a bundle of authorities, or a piece of either is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It is referred to, but the snapshot holds none of this name.
    #[error("it is not in the snapshot")]
    Absent,
    /// The snapshot does not hold the key.
    #[error("its private key {0} is not in the snapshot")]
    NoKey(KeyId),
    /// A file cannot be read.
    #[error("{piece}: cannot read {}: {problem}", path.display())]
    Unreadable {
        /// What the file should hold.
        piece: Piece,
        /// Where.
        path: PathBuf,
        /// What the system says.
        problem: String,
    },
    /// The text is not PEM, or what it encloses is not DER of this kind.
    #[error("{piece}: {problem}")]
    Malformed {
        /// What should be there.
        piece: Piece,
        /// What is wrong.
        problem: &'static str,
    },
    /// The key is of a kind or a size that is not supported.
    #[error(
        "private key: unsupported or damaged; RSA of 2048 to 8192 bits, ECDSA P-256, P-384 and P-521, and \
         Ed25519 are supported"
    )]
    UnsupportedKey,
    /// The key is not that of the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// Some certificates of a bundle cannot be used as authorities; the others are.
    #[error("{unusable} of {total} certificates cannot be used as authorities")]
    PartlyUnusable {
        /// How many.
        unusable: usize,
        /// Out of.
        total: usize,
    },
}
