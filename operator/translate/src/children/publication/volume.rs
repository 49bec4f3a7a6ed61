//! The objects of the volume: their names, and how files lie in them.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapProjection, Secret, SecretProjection, VolumeProjection,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Content;
use crate::ingress::IngressName;

/// How many ConfigMaps a snapshot may have. The pods name them all, so another number replaces them.
pub const SNAPSHOT_CONFIG_MAPS: usize = 16;

/// How many Secrets its private keys may have.
pub const KEY_SECRETS: usize = 4;

/// What the projected volume of an ingress's pods consists of, in order: of a file that is in several, the last
/// counts.
#[must_use]
pub fn volume_sources(ingress: &IngressName) -> Vec<VolumeProjection> {
    let config_maps = (0..SNAPSHOT_CONFIG_MAPS).map(|index| VolumeProjection {
        config_map: Some(ConfigMapProjection {
            name: config_map_name(ingress, index),
            optional: Some(true),
            items: None,
        }),
        ..VolumeProjection::default()
    });
    let secrets = (0..KEY_SECRETS).map(|index| VolumeProjection {
        secret: Some(SecretProjection {
            name: secret_name(ingress, index),
            optional: Some(true),
            items: None,
        }),
        ..VolumeProjection::default()
    });
    config_maps.chain(secrets).collect()
}

pub(super) fn config_map_name(ingress: &IngressName, index: usize) -> String {
    numbered(&format!("{}-snapshot", ingress.name), index)
}

pub(super) fn secret_name(ingress: &IngressName, index: usize) -> String {
    numbered(&format!("{}-keys", ingress.name), index)
}

fn numbered(stem: &str, index: usize) -> String {
    if index == 0 { stem.to_owned() } else { format!("{stem}-{index}") }
}

/// Which of the ingress's ConfigMaps has this name.
pub(super) fn config_map_index(ingress: &str, name: &str) -> Option<usize> {
    index(&format!("{ingress}-snapshot"), name, SNAPSHOT_CONFIG_MAPS)
}

/// Which of the ingress's Secrets has this name.
pub(super) fn secret_index(ingress: &str, name: &str) -> Option<usize> {
    index(&format!("{ingress}-keys"), name, KEY_SECRETS)
}

fn index(stem: &str, name: &str, objects: usize) -> Option<usize> {
    (0..objects).find(|index| numbered(stem, *index) == name)
}

/// The bytes that a file takes in a ConfigMap.
pub(super) fn in_config_map(name: &str, file: &[u8]) -> usize {
    name.len() + if text(name, file).is_some() { file.len() } else { in_base64(file) }
}

/// The bytes that a file takes in a Secret.
pub(super) fn in_secret(name: &str, file: &[u8]) -> usize {
    name.len() + in_base64(file)
}

const fn in_base64(file: &[u8]) -> usize {
    file.len().div_ceil(3) * 4
}

/// Readable files lie in `data`, compressed ones in `binaryData`.
fn text<'a>(name: &str, file: &'a [u8]) -> Option<&'a str> {
    if name.ends_with(".json") { std::str::from_utf8(file).ok() } else { None }
}

pub(super) fn config_map(metadata: ObjectMeta, content: Content) -> ConfigMap {
    let mut object = ConfigMap { metadata, ..ConfigMap::default() };
    for (name, file) in content {
        if let Some(text) = text(&name, &file) {
            object.data.get_or_insert_default().insert(name, text.to_owned());
        } else {
            object.binary_data.get_or_insert_default().insert(name, ByteString(file));
        }
    }
    object
}

pub(super) fn secret(metadata: ObjectMeta, content: Content) -> Secret {
    let data = content.into_iter().map(|(name, file)| (name, ByteString(file))).collect();
    Secret { metadata, type_: Some("Opaque".to_owned()), data: Some(data), ..Secret::default() }
}

pub(super) fn files_of_config_map(object: &ConfigMap) -> Content {
    let data = object.data.iter().flatten().map(|(name, text)| (name.clone(), text.clone().into_bytes()));
    let binary = object.binary_data.iter().flatten().map(|(name, bytes)| (name.clone(), bytes.0.clone()));
    data.chain(binary).collect()
}

pub(super) fn files_of_secret(object: &Secret) -> Content {
    object.data.iter().flatten().map(|(name, bytes)| (name.clone(), bytes.0.clone())).collect()
}
