//! How a snapshot gets into the volume of an ingress's pods: which file lies in which ConfigMap or Secret, and in which
//! order they are written.
//!
//! The volume is one projected volume over ConfigMaps `NAME-snapshot`, `NAME-snapshot-1` to `-15` and
//! Secrets `NAME-keys`, `NAME-keys-1` to `-3`; those that do not exist are optional. Each holds up to 960 KiB, so a
//! snapshot may have about 15 MB of files, of which large parts are compressed, and 3.7 MB of private keys.
//!
//! The manifest is always in `NAME-snapshot`. A small snapshot lies there as a whole, so that one `kubectl get`
//! shows it and one write changes it. A larger one has only its endpoints beside the manifest, because they change
//! most: then their change is one write too, and the routes are not written again with it. A file that did not
//! change stays where it is.
//!
//! No reader may find a manifest without its files. So a publication has three steps: first the new files are
//! written beside the old ones; then the manifest; and then the old files are taken away. After each single write, a
//! reader of all objects finds the old snapshot or the new one. Kubelet reads the objects one after the other and may
//! mix versions of them; then a file is missing, never wrong, because the names of files are hashes of their content,
//! and a proxy keeps what it has until it finds all files. Should old and new files together not fit, the old ones
//! give way first, and for a moment pods that start find no snapshot ([`Publication::interrupts`]).
//!
//! What is in the cluster is the input: a publication that was cut short is completed by the next one, whatever that
//! is of.

mod packing;
mod published;
#[cfg(test)]
mod tests;
mod volume;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_snapshot::codec::Encoded;
use postern_snapshot::manifest::{MANIFEST_FILE, PartKind};

use super::meta;
use super::settings::IngressSettings;
use crate::ingress::IngressName;
use packing::{Packing, Store, Wanted};

pub use published::Published;
pub use volume::{KEY_SECRETS, SNAPSHOT_CONFIG_MAPS, volume_sources};

/// The most that one ConfigMap or Secret is given, in bytes: names and values, base64 counted as it is written.
/// Kubernetes' limit is 1 MiB.
const PAYLOAD: usize = 960 * 1024;

/// Up to this many bytes, everything lies in one ConfigMap.
const TOGETHER: usize = 256 * 1024;

/// The files of one object, by name.
type Content = BTreeMap<String, Vec<u8>>;

/// How much there is room for.
#[derive(Clone, Copy, Debug)]
struct Room {
    config_maps: usize,
    secrets: usize,
    payload: usize,
    together: usize,
}

/// What is to be written, in this order: [`Self::before_manifest`], [`Self::manifest`], [`Self::after_manifest`]. Each
/// write replaces all of `data` and `binaryData` of its object.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Publication {
    /// New files, beside those that the manifest of before needs.
    pub before_manifest: Vec<Write>,
    /// The object with the manifest, if it changes: with this write the new snapshot is there.
    pub manifest: Option<Write>,
    /// Without files that nobody needs any more. This is not urgent: the next publication does it too.
    pub after_manifest: Vec<Write>,
    /// Old and new files together do not fit: between the first write and the manifest's the volume has no
    /// whole snapshot. Proxies that run keep theirs, those that start meanwhile wait.
    pub interrupts: bool,
}

impl Publication {
    /// All writes, in order.
    pub fn writes(&self) -> impl Iterator<Item = &Write> {
        self.before_manifest.iter().chain(&self.manifest).chain(&self.after_manifest)
    }

    /// Is everything as it should be?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.writes().next().is_none()
    }
}

/// One write to the API server.
#[derive(Clone, PartialEq)]
pub enum Write {
    /// Apply this ConfigMap.
    ConfigMap(ConfigMap),
    /// Apply this Secret.
    Secret(Secret),
    /// Delete the ConfigMap of this name, if it is there.
    DeleteConfigMap(String),
    /// Delete the Secret of this name, if it is there.
    DeleteSecret(String),
}

impl Write {
    /// The name of its object.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::ConfigMap(object) => object.metadata.name.as_deref().unwrap_or_default(),
            Self::Secret(object) => object.metadata.name.as_deref().unwrap_or_default(),
            Self::DeleteConfigMap(name) | Self::DeleteSecret(name) => name,
        }
    }
}

/// Names only: there are private keys in it.
impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, keys) = match self {
            Self::ConfigMap(object) => ("ConfigMap", volume::files_of_config_map(object)),
            Self::Secret(object) => ("Secret", volume::files_of_secret(object)),
            Self::DeleteConfigMap(_) => ("DeleteConfigMap", Content::new()),
            Self::DeleteSecret(_) => ("DeleteSecret", Content::new()),
        };
        write!(f, "{what}({} {:?})", self.name(), keys.keys())
    }
}

/// Why a snapshot cannot be published. The one that is published stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublicationError {
    /// All of it.
    #[error(
        "the snapshot is too large: its files have {} KiB, and {objects} {what} hold {} KiB",
        .files / 1024, .room / 1024
    )]
    Snapshot {
        /// The bytes of all files, as they are written.
        files: usize,
        /// The bytes that there is room for.
        room: usize,
        /// How many objects there can be.
        objects: usize,
        /// `ConfigMaps` or `Secrets`.
        what: &'static str,
    },
    /// One of its files. The encoder cuts parts so that this does not happen; it does for the manifest, at about 7,000
    /// source objects.
    #[error("the file {name} of the snapshot is too large: it has {} KiB, and one of the {what} holds {} KiB", .bytes / 1024, .room / 1024)]
    File {
        /// Which file.
        name: String,
        /// Its bytes, as they are written.
        bytes: usize,
        /// The bytes that one object holds.
        room: usize,
        /// `ConfigMaps` or `Secrets`.
        what: &'static str,
    },
}

/// How to publish a snapshot where `published` is what is there.
///
/// # Errors
/// When it does not fit.
pub fn publication(
    encoded: &Encoded,
    ingress: &IngressName,
    settings: &IngressSettings,
    published: &Published,
) -> Result<Publication, PublicationError> {
    let room = Room {
        config_maps: SNAPSHOT_CONFIG_MAPS,
        secrets: KEY_SECRETS,
        payload: PAYLOAD,
        together: TOGETHER,
    };
    let objects = Objects { ingress, settings };
    publication_within(encoded, &objects, published, room)
}

fn publication_within(
    encoded: &Encoded,
    objects: &Objects<'_>,
    published: &Published,
    room: Room,
) -> Result<Publication, PublicationError> {
    let needed = published.needed();
    let config_maps = config_maps(encoded, published, &needed, room)?;
    let secrets = secrets(encoded, published, &needed, room)?;
    let interrupts = config_maps.interrupts || secrets.interrupts;
    let mut publication = Publication { interrupts, ..Publication::default() };
    let map_steps = config_maps.steps(&published.config_maps);
    let secret_steps = secrets.steps(&published.secrets);
    let config_map = |it| objects.config_map(it);
    let secret = |it| objects.secret(it);
    publication.before_manifest.extend(secret_steps.before.into_iter().map(secret));
    publication.before_manifest.extend(map_steps.before.into_iter().map(config_map));
    publication.manifest =
        config_maps.with_manifest(&published.config_maps).map(|content| objects.config_map((0, content)));
    publication.after_manifest.extend(map_steps.after.into_iter().map(config_map));
    publication.after_manifest.extend(secret_steps.after.into_iter().map(secret));
    Ok(publication)
}

/// Where the files in ConfigMaps go.
fn config_maps(
    encoded: &Encoded,
    published: &Published,
    needed: &BTreeSet<String>,
    room: Room,
) -> Result<Packing, PublicationError> {
    let store = Store {
        what: "ConfigMaps",
        objects: room.config_maps,
        payload: room.payload,
        cost: volume::in_config_map,
    };
    let mut files = encoded.files.clone();
    let manifest = files.remove(MANIFEST_FILE).unwrap_or_default();
    let all: usize = files.iter().map(|(name, file)| (store.cost)(name, file)).sum();
    let together = all + (store.cost)(MANIFEST_FILE, &manifest) <= room.together;
    let endpoints = encoded.manifest.body.parts.iter().filter(|part| part.kind == PartKind::Endpoints);
    let first = if together {
        files.keys().cloned().collect()
    } else {
        endpoints.flat_map(|part| part.files.clone()).collect()
    };
    let wanted = Wanted { manifest: Some(&manifest), files: &files, first };
    Packing::new(&store, &wanted, &published.config_maps, needed)
}

/// Where the files in Secrets go.
fn secrets(
    encoded: &Encoded,
    published: &Published,
    needed: &BTreeSet<String>,
    room: Room,
) -> Result<Packing, PublicationError> {
    let store =
        Store { what: "Secrets", objects: room.secrets, payload: room.payload, cost: volume::in_secret };
    let files = &encoded.secret_files;
    let wanted = Wanted { manifest: None, files, first: files.keys().cloned().collect() };
    Packing::new(&store, &wanted, &published.secrets, needed)
}

/// Makes objects of contents.
#[derive(Clone, Copy, Debug)]
struct Objects<'a> {
    ingress: &'a IngressName,
    settings: &'a IngressSettings,
}

impl Objects<'_> {
    fn config_map(&self, (index, content): (usize, Content)) -> Write {
        let name = volume::config_map_name(self.ingress, index);
        if content.is_empty() {
            return Write::DeleteConfigMap(name);
        }
        Write::ConfigMap(volume::config_map(self.metadata(name), content))
    }

    fn secret(&self, (index, content): (usize, Content)) -> Write {
        let name = volume::secret_name(self.ingress, index);
        if content.is_empty() {
            return Write::DeleteSecret(name);
        }
        Write::Secret(volume::secret(self.metadata(name), content))
    }

    fn metadata(&self, name: String) -> ObjectMeta {
        meta::metadata(self.ingress, name, self.settings)
    }
}
