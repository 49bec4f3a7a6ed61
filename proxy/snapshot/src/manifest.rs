//! The manifest: what a snapshot consists of, and whether this reader may use it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::InvalidName;
pub use crate::feature::Feature;

/// The format that this crate writes, and the newest that it reads. It goes up when an older reader would
/// misunderstand a snapshot; additions that an older reader may not ignore are a [`Feature`] instead.
pub const FORMAT: u32 = 1;

/// The name of the manifest's file.
pub const MANIFEST_FILE: &str = "manifest.json";

/// The manifest, in the file [`MANIFEST_FILE`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The hash of all that follows: the snapshot's name, and a guard against a damaged manifest.
    pub hash: Hash,
    /// What follows.
    #[serde(flatten)]
    pub body: ManifestBody,
}

/// What a manifest's hash is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestBody {
    /// The ingress that this is for, as `namespace/name`.
    pub ingress: String,
    /// What a reader must understand to serve this as it is meant: names of [`Feature`]s, sorted. Kept as text, so
    /// that one this reader does not know can be named.
    pub requires: BTreeSet<String>,
    /// One of each kind, in the order of [`PartKind`].
    pub parts: Vec<Part>,
    /// The objects that it was made from, sorted.
    pub sources: Vec<Source>,
}

/// A part of a snapshot: a JSON value in one or more files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    /// What is in it.
    pub kind: PartKind,
    /// Of its canonical JSON, whatever the encoding.
    pub hash: Hash,
    /// The length of its JSON in bytes.
    pub length: u64,
    /// How the JSON lies in the files.
    pub encoding: Encoding,
    /// The files that make it up, in order. Their names hold the hash, so files of two versions never mix.
    pub files: Vec<String>,
}

/// The parts, by how often they change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PartKind {
    /// [`crate::model::Routes`]
    Routes,
    /// [`crate::model::Endpoints`]
    Endpoints,
    /// [`crate::model::Certificates`]
    Certificates,
    /// [`crate::model::Keys`]; its files belong into a Secret.
    Keys,
}

impl PartKind {
    /// All, in order.
    pub const ALL: [Self; 4] = [Self::Routes, Self::Endpoints, Self::Certificates, Self::Keys];

    /// Its name in the manifest and in file names.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Routes => "routes",
            Self::Endpoints => "endpoints",
            Self::Certificates => "certificates",
            Self::Keys => "keys",
        }
    }
}

impl fmt::Display for PartKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How a part's JSON lies in its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Encoding {
    /// As it is: `kubectl get configmap -o yaml` shows it.
    Json,
    /// One zstd frame, cut over the files.
    Zstd,
}

/// An object that a snapshot was made from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `Gateway`, `VirtualService`, ...
    pub kind: String,
    /// The object's.
    pub namespace: String,
    /// The object's.
    pub name: String,
    /// `metadata.generation` of what was read; 0 where the object has none.
    pub generation: i64,
}

/// A SHA-256, written as `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hash([u8; 32]);

impl Hash {
    /// Stands in the manifest while that is hashed.
    pub(crate) const ZERO: Self = Self([0; 32]);

    /// The hash of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first 16 hexadecimal digits: enough for a file name or a log line.
    #[must_use]
    pub fn short(&self) -> String {
        self.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Hash {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName {
            what: "hash",
            value: value.to_owned(),
            why: "sha256: and 64 lower-case hexadecimal digits",
        };
        let digits = value.strip_prefix("sha256:").ok_or_else(invalid)?.as_bytes();
        if digits.len() != 64 {
            return Err(invalid());
        }
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(invalid()),
        };
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            if let [high, low] = *pair {
                *byte = nibble(high)? << 4 | nibble(low)?;
            }
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Hash {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<Hash> for String {
    fn from(value: Hash) -> Self {
        value.to_string()
    }
}

/// Why a snapshot cannot be used. None of these changes what a proxy serves.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// There is no manifest: nothing was published yet.
    #[error("there is no {MANIFEST_FILE}")]
    NoManifest,
    /// The manifest is not one.
    #[error("{MANIFEST_FILE} cannot be read: {0}")]
    InvalidManifest(#[source] serde_json::Error),
    /// The manifest was changed after it was written, or cut short.
    #[error("{MANIFEST_FILE} is damaged: its content has hash {actual}, it says {expected}")]
    DamagedManifest {
        /// What it says.
        expected: Hash,
        /// What it has.
        actual: Hash,
    },
    /// Written by a newer operator.
    #[error("the snapshot has format {found}, this proxy reads up to {FORMAT}: it needs a newer proxy")]
    NewerFormat {
        /// Its format.
        found: u32,
    },
    /// It uses something that this proxy cannot do.
    #[error("the snapshot requires {}, which this proxy does not know: it needs a newer proxy", .0.join(", "))]
    UnknownFeatures(Vec<String>),
    /// A part is not listed.
    #[error("{MANIFEST_FILE} lists no part {0}")]
    UnlistedPart(PartKind),
    /// A file is not there (yet): a volume made of several ConfigMaps does not change all at once.
    #[error("part {kind}: file {file} is missing")]
    MissingFile {
        /// Which part.
        kind: PartKind,
        /// Which file.
        file: String,
    },
    /// The bytes are not what the manifest says.
    #[error("part {kind} is damaged: {problem}")]
    DamagedPart {
        /// Which part.
        kind: PartKind,
        /// What is wrong.
        problem: String,
    },
    /// The JSON is what was written, but not of this reader's types.
    #[error("part {kind} cannot be read: {source}")]
    InvalidPart {
        /// Which part.
        kind: PartKind,
        /// What is wrong, and where.
        #[source]
        source: serde_json::Error,
    },
    /// A value could not be written.
    #[error("part {kind} cannot be written: {problem}")]
    Unwritable {
        /// Which part.
        kind: PartKind,
        /// What is wrong.
        problem: String,
    },
    /// The manifest could not be written.
    #[error("{MANIFEST_FILE} cannot be written: {0}")]
    UnwritableManifest(#[source] serde_json::Error),
    /// The file could not be read, for a reason other than its absence.
    #[error("file {file} cannot be read: {source}")]
    Io {
        /// Which file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl SnapshotError {
    /// May the same files become readable by waiting, because a volume is just being changed?
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::NoManifest | Self::MissingFile { .. } | Self::Io { .. })
    }
}
