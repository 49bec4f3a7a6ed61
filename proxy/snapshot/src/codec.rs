//! Values to files and back.
//!
//! Each part is written as canonical JSON (fields in the order of their types, maps sorted, no spaces beyond those
//! of pretty printing): equal values give equal bytes. Its SHA-256 is its name. Up to
//! [`EncodeOptions::readable_up_to`] bytes the JSON lies in one file as it is; above that, it is one zstd frame cut
//! into files of at most [`EncodeOptions::file_size`] bytes.

use std::{collections::BTreeMap, io};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    manifest::{
        Encoding, FORMAT, Feature, Hash, MANIFEST_FILE, Manifest, ManifestBody, Part, PartKind, SnapshotError,
    },
    model::{Certificates, Endpoints, Keys, Routes, Snapshot},
};

/// No part is larger than this once unpacked: a guard against a compressed bomb. 100,000 routes take about 40 MiB.
const MAX_PART_LENGTH: u64 = 512 * 1024 * 1024;

/// How to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EncodeOptions {
    /// Parts of up to this many bytes stay readable. Default 512 KiB.
    pub readable_up_to: usize,
    /// No file is larger, in bytes. Default 700 KiB: base64 in a ConfigMap's `binaryData` makes it 933 KiB, and a
    /// ConfigMap holds 1 MiB.
    pub file_size: usize,
    /// zstd's level, 1 to 22. Default 3.
    pub zstd_level: i32,
}

impl Default for EncodeOptions {
    fn default() -> Self {
        Self { readable_up_to: 512 * 1024, file_size: 700 * 1024, zstd_level: 3 }
    }
}

/// A snapshot as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// What it consists of. Its bytes are in `files` under [`MANIFEST_FILE`].
    pub manifest: Manifest,
    /// For ConfigMaps. Write all others before the manifest.
    pub files: BTreeMap<String, Vec<u8>>,
    /// For a Secret: the private keys. Write them before the manifest.
    pub secret_files: BTreeMap<String, Vec<u8>>,
}

/// Where files are read from: a directory, or a map in tests.
pub trait Files {
    /// The content; `None` when there is no such file.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
}

impl Files for BTreeMap<String, Vec<u8>> {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.get(name).cloned())
    }
}

/// Writes a snapshot.
///
/// # Errors
/// [`SnapshotError::Unwritable`] when a value has no JSON form or compression fails; neither depends on the content.
pub fn encode(snapshot: &Snapshot, options: &EncodeOptions) -> Result<Encoded, SnapshotError> {
    let mut files = BTreeMap::new();
    let mut secret_files = BTreeMap::new();
    let mut sources = snapshot.sources.clone();
    sources.sort();
    sources.dedup();
    let parts = vec![
        encode_part(PartKind::Routes, &snapshot.routes, options, &mut files)?,
        encode_part(PartKind::Endpoints, &snapshot.endpoints, options, &mut files)?,
        encode_part(PartKind::Certificates, &snapshot.certificates, options, &mut files)?,
        encode_part(PartKind::Keys, &snapshot.keys, options, &mut secret_files)?,
    ];
    let requires =
        Feature::of(&snapshot.routes).into_iter().map(|feature| feature.as_str().to_owned()).collect();
    let body = ManifestBody { ingress: snapshot.ingress.clone(), requires, parts, sources };
    let mut manifest = Manifest { format: FORMAT, hash: Hash::ZERO, body };
    manifest.hash = Hash::of(&manifest_json(&manifest)?);
    files.insert(MANIFEST_FILE.to_owned(), manifest_json(&manifest)?);
    Ok(Encoded { manifest, files, secret_files })
}

fn manifest_json(manifest: &Manifest) -> Result<Vec<u8>, SnapshotError> {
    canonical_json(manifest).map_err(SnapshotError::UnwritableManifest)
}

fn encode_part<T: Serialize>(
    kind: PartKind,
    value: &T,
    options: &EncodeOptions,
    files: &mut BTreeMap<String, Vec<u8>>,
) -> Result<Part, SnapshotError> {
    let json = canonical_json(value)
        .map_err(|error| SnapshotError::Unwritable { kind, problem: error.to_string() })?;
    let hash = Hash::of(&json);
    let stem = format!("{kind}.{}", hash.short());
    let length = json.len() as u64;
    if json.len() <= options.readable_up_to {
        let name = format!("{stem}.json");
        files.insert(name.clone(), json);
        return Ok(Part { kind, hash, length, encoding: Encoding::Json, files: vec![name] });
    }
    let packed = zstd::bulk::compress(&json, options.zstd_level)
        .map_err(|error| SnapshotError::Unwritable { kind, problem: error.to_string() })?;
    let mut names = Vec::new();
    for (index, chunk) in packed.chunks(options.file_size.max(1)).enumerate() {
        let name = format!("{stem}.zst.{index:03}");
        files.insert(name.clone(), chunk.to_vec());
        names.push(name);
    }
    Ok(Part { kind, hash, length, encoding: Encoding::Zstd, files: names })
}

fn canonical_json<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut json = serde_json::to_vec_pretty(value)?;
    json.push(b'\n');
    Ok(json)
}

/// The hash of a manifest as it lies in its file, with its own hash blanked. Not of what this version's types would
/// write: a manifest of the same format may have fields that this version does not know.
fn hash_with_own_blanked(bytes: &[u8], own: Hash) -> Hash {
    let (own, blank) = (own.to_string(), Hash::ZERO.to_string());
    let start = bytes.windows(own.len()).position(|window| window == own.as_bytes());
    let mut blanked = bytes.to_vec();
    if let Some(field) = start.and_then(|start| blanked.get_mut(start..start + blank.len())) {
        field.copy_from_slice(blank.as_bytes());
    }
    Hash::of(&blanked)
}

/// Reads and checks the manifest.
///
/// # Errors
/// When it is missing, damaged, of a newer format, or requires what is not known.
pub fn read_manifest(files: &dyn Files) -> Result<Manifest, SnapshotError> {
    #[derive(serde::Deserialize)]
    struct FormatOnly {
        format: u32,
    }
    let bytes = read(files, MANIFEST_FILE)?.ok_or(SnapshotError::NoManifest)?;
    // The format comes first: a newer manifest need not be readable in any other way.
    let FormatOnly { format } = serde_json::from_slice(&bytes).map_err(SnapshotError::InvalidManifest)?;
    if format > FORMAT {
        return Err(SnapshotError::NewerFormat { found: format });
    }
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(SnapshotError::InvalidManifest)?;
    let actual = hash_with_own_blanked(&bytes, manifest.hash);
    if actual != manifest.hash {
        return Err(SnapshotError::DamagedManifest { expected: manifest.hash, actual });
    }
    let known = |name: &String| Feature::ALL.iter().any(|feature| feature.as_str() == name);
    let unknown: Vec<_> = manifest.body.requires.iter().filter(|name| !known(name)).cloned().collect();
    if !unknown.is_empty() {
        return Err(SnapshotError::UnknownFeatures(unknown));
    }
    Ok(manifest)
}

/// Reads one part as its manifest entry says.
///
/// # Errors
/// When a file is missing or the bytes are not those that were written.
pub fn read_part<T: DeserializeOwned>(
    manifest: &Manifest,
    kind: PartKind,
    files: &dyn Files,
) -> Result<T, SnapshotError> {
    let part =
        manifest.body.parts.iter().find(|part| part.kind == kind).ok_or(SnapshotError::UnlistedPart(kind))?;
    let damaged = |problem: String| SnapshotError::DamagedPart { kind, problem };
    if part.length > MAX_PART_LENGTH {
        return Err(damaged(format!("{} bytes are more than {MAX_PART_LENGTH}", part.length)));
    }
    let mut bytes = Vec::new();
    for file in &part.files {
        if !is_plain_name(file) {
            return Err(damaged(format!("{file:?} is not the name of a file in the volume")));
        }
        let content =
            read(files, file)?.ok_or_else(|| SnapshotError::MissingFile { kind, file: file.clone() })?;
        bytes.extend_from_slice(&content);
    }
    let json = match part.encoding {
        Encoding::Json => bytes,
        Encoding::Zstd => {
            let capacity = usize::try_from(part.length).map_err(|error| damaged(error.to_string()))?;
            zstd::bulk::decompress(&bytes, capacity).map_err(|error| damaged(error.to_string()))?
        }
    };
    let actual = Hash::of(&json);
    if actual != part.hash {
        return Err(damaged(format!("its content has hash {actual}, the manifest says {}", part.hash)));
    }
    serde_json::from_slice(&json).map_err(|source| SnapshotError::InvalidPart { kind, source })
}

/// Reads a whole snapshot. A proxy that already has some of the parts uses [`read_manifest`] and [`read_part`].
///
/// # Errors
/// As those.
pub fn decode(files: &dyn Files) -> Result<(Manifest, Snapshot), SnapshotError> {
    let manifest = read_manifest(files)?;
    let snapshot = Snapshot {
        ingress: manifest.body.ingress.clone(),
        sources: manifest.body.sources.clone(),
        routes: read_part::<Routes>(&manifest, PartKind::Routes, files)?,
        endpoints: read_part::<Endpoints>(&manifest, PartKind::Endpoints, files)?,
        certificates: read_part::<Certificates>(&manifest, PartKind::Certificates, files)?,
        keys: read_part::<Keys>(&manifest, PartKind::Keys, files)?,
    };
    Ok((manifest, snapshot))
}

/// Nothing in a manifest leads out of its directory.
fn is_plain_name(name: &str) -> bool {
    !name.starts_with('.')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
}

fn read(files: &dyn Files, name: &str) -> Result<Option<Vec<u8>>, SnapshotError> {
    files.read(name).map_err(|source| SnapshotError::Io { file: name.to_owned(), source })
}
