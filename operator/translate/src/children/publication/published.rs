//! What is in the cluster of a snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, io};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use postern_snapshot::codec::{Files, read_manifest};
use postern_snapshot::manifest::Hash;

use super::{Content, Write, volume};
use crate::ingress::IngressName;

/// What the objects of an ingress's volume hold. It is read from the cluster once ([`Self::read`]), and then follows
/// each write that has succeeded ([`Self::record`]). After a write of which nobody knows whether it succeeded, or a
/// change by somebody else, read it again.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Published {
    pub(super) config_maps: BTreeMap<usize, Content>,
    pub(super) secrets: BTreeMap<usize, Content>,
}

impl Published {
    /// What these objects hold; others than the ingress's are ignored.
    #[must_use]
    pub fn read<'a>(
        ingress: &IngressName,
        config_maps: impl IntoIterator<Item = &'a ConfigMap>,
        secrets: impl IntoIterator<Item = &'a Secret>,
    ) -> Self {
        let mut published = Self::default();
        for object in config_maps {
            if object.metadata.namespace.as_ref() == Some(&ingress.namespace) {
                published.set_config_map(&ingress.name, object);
            }
        }
        for object in secrets {
            if object.metadata.namespace.as_ref() == Some(&ingress.namespace) {
                published.set_secret(&ingress.name, object);
            }
        }
        published
    }

    /// Notes a write that has succeeded. It must be one of a publication for the same ingress.
    pub fn record(&mut self, ingress: &IngressName, write: &Write) {
        let name = &ingress.name;
        match write {
            Write::ConfigMap(object) => self.set_config_map(name, object),
            Write::Secret(object) => self.set_secret(name, object),
            Write::DeleteConfigMap(object) => {
                if let Some(index) = volume::config_map_index(name, object) {
                    self.config_maps.remove(&index);
                }
            }
            Write::DeleteSecret(object) => {
                if let Some(index) = volume::secret_index(name, object) {
                    self.secrets.remove(&index);
                }
            }
        }
    }

    /// The hash of the snapshot whose manifest is there, if it can be read.
    #[must_use]
    pub fn hash(&self) -> Option<Hash> {
        read_manifest(self).ok().map(|manifest| manifest.hash)
    }

    /// The files of the snapshot whose manifest is there. None, if that cannot be read: then no reader reads it.
    pub(super) fn needed(&self) -> BTreeSet<String> {
        let parts = read_manifest(self).map(|manifest| manifest.body.parts).unwrap_or_default();
        parts.into_iter().flat_map(|part| part.files).collect()
    }

    fn set_config_map(&mut self, ingress: &str, object: &ConfigMap) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        if let Some(index) = volume::config_map_index(ingress, name) {
            self.config_maps.insert(index, volume::files_of_config_map(object));
        }
    }

    fn set_secret(&mut self, ingress: &str, object: &Secret) {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        if let Some(index) = volume::secret_index(ingress, name) {
            self.secrets.insert(index, volume::files_of_secret(object));
        }
    }
}

/// Names only: there are private keys in it.
impl fmt::Debug for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |contents: &BTreeMap<usize, Content>| -> Vec<Vec<String>> {
            contents.values().map(|content| content.keys().cloned().collect()).collect()
        };
        f.debug_struct("Published")
            .field("config_maps", &names(&self.config_maps))
            .field("secrets", &names(&self.secrets))
            .finish()
    }
}

/// As the volume has them: of a file that is in several objects, the last one counts.
impl Files for Published {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let contents = self.config_maps.values().chain(self.secrets.values());
        Ok(contents.filter_map(|content| content.get(name)).next_back().cloned())
    }
}
