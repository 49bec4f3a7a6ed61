//! Every state on the way is a snapshot, and it ends where it should.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;

use postern_snapshot::codec::{EncodeOptions, Encoded, decode, encode};
use postern_snapshot::manifest::{Hash, MANIFEST_FILE};
use postern_snapshot::model::{CaBundle, Endpoint, Listener, ListenerProtocol, PemSource, Snapshot};
use postern_snapshot::{CaName, ClusterName, KeyId, Port};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

/// Small objects and files, so that a few kilobytes fill them.
const ROOM: Room = Room { config_maps: 6, secrets: 3, payload: 4000, together: 3000 };
const ENCODE: EncodeOptions = EncodeOptions { readable_up_to: 1500, file_size: 2000, zstd_level: 1 };

fn ingress() -> IngressName {
    IngressName { namespace: "istio-system".to_owned(), name: "edge".to_owned() }
}

/// What a snapshot is made of: for each part which content, and how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Recipe {
    routes: (u8, usize),
    endpoints: (u8, usize),
    certificates: (u8, usize),
    keys: (u8, usize),
}

/// Text that hardly compresses.
fn noise(seed: u8, length: usize) -> String {
    let mut text = String::new();
    let mut block = vec![seed];
    while text.len() < length {
        let hash = Hash::of(&block).to_string();
        block = hash.clone().into_bytes();
        text.push_str(&hash);
    }
    text.truncate(length);
    text
}

fn encoded(recipe: Recipe, options: &EncodeOptions) -> Encoded {
    let mut snapshot = Snapshot { ingress: ingress().to_string(), ..Snapshot::default() };
    let Recipe { routes, endpoints, certificates, keys } = recipe;
    let port = Port::new(80).unwrap();
    snapshot.routes.listeners.push(Listener {
        name: noise(routes.0, routes.1),
        address: None,
        port,
        service_port: port,
        origins: Vec::new(),
        proxy_protocol: None,
        protocol: ListenerProtocol::Tls { chains: Vec::new() },
    });
    let endpoint = Endpoint { address: [192, 0, 2, 1].into(), port, weight: None };
    snapshot.endpoints.0.insert(ClusterName::new(noise(endpoints.0, endpoints.1)), vec![endpoint]);
    let bundle = CaBundle {
        origin: "Secret/a/b".to_owned(),
        certificates: PemSource::Inline(noise(certificates.0, certificates.1)),
        crl: None,
    };
    snapshot.certificates.authorities.insert(CaName::new("a/b"), bundle);
    snapshot.keys.0.insert(KeyId::new("key"), noise(keys.0, keys.1));
    encode(&snapshot, options).unwrap()
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let part = || (0..3_u8, prop_oneof![4 => 0..1000_usize, 1 => 1000..3000_usize]);
    let large = (0..3_u8, prop_oneof![0..1000_usize, 1000..9000_usize]);
    (large, part(), part(), part()).prop_map(|(routes, endpoints, certificates, keys)| Recipe {
        routes,
        endpoints,
        certificates,
        keys,
    })
}

/// One part stays, most of the time: as in life.
fn history() -> impl Strategy<Value = Vec<Recipe>> {
    prop::collection::vec((recipe(), any::<[bool; 4]>()), 2..7).prop_map(|steps| {
        let mut recipes: Vec<Recipe> = Vec::new();
        for (mut recipe, stays) in steps {
            if let Some(before) = recipes.last() {
                let parts = [
                    (&mut recipe.routes, before.routes),
                    (&mut recipe.endpoints, before.endpoints),
                    (&mut recipe.certificates, before.certificates),
                    (&mut recipe.keys, before.keys),
                ];
                for ((part, before), stays) in parts.into_iter().zip(stays) {
                    if stays {
                        *part = before;
                    }
                }
            }
            recipes.push(recipe);
        }
        recipes
    })
}

fn publish(encoded: &Encoded, published: &Published) -> Result<Publication, PublicationError> {
    let (ingress, settings) = (ingress(), IngressSettings::default());
    publication_within(encoded, &Objects { ingress: &ingress, settings: &settings }, published, ROOM)
}

/// The hash of what a reader of everything reads.
fn hash_read(published: &Published) -> Option<Hash> {
    decode(published).ok().map(|(manifest, _)| manifest.hash)
}

fn payload(write: &Write) -> usize {
    match write {
        Write::ConfigMap(object) => volume::files_of_config_map(object)
            .iter()
            .map(|(name, file)| volume::in_config_map(name, file))
            .sum(),
        Write::Secret(object) => {
            volume::files_of_secret(object).iter().map(|(name, file)| volume::in_secret(name, file)).sum()
        }
        Write::DeleteConfigMap(_) | Write::DeleteSecret(_) => 0,
    }
}

/// Where each file is; it may be in several objects.
fn places(contents: &BTreeMap<usize, Content>) -> BTreeMap<&str, Vec<usize>> {
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, content) in contents {
        for name in content.keys() {
            places.entry(name).or_default().push(*index);
        }
    }
    places
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// After each single write, whatever was cut short before, a reader finds the old snapshot or the new one.
    #[test]
    fn every_state_is_the_old_snapshot_or_the_new(history in history(), cuts in prop::collection::vec(any::<Option<Index>>(), 6)) {
        let mut published = Published::default();
        for (recipe, cut) in history.iter().zip(cuts) {
            let encoded = encoded(*recipe, &ENCODE);
            let new = encoded.manifest.hash;
            let old = hash_read(&published);
            let Ok(publication) = publish(&encoded, &published) else {
                // That it is refused is tested below; here it must only leave everything as it is.
                continue;
            };
            let writes: Vec<_> = publication.writes().cloned().collect();
            let end = cut.map_or(writes.len(), |cut| cut.index(writes.len() + 1));
            for write in &writes[..end] {
                prop_assert!(payload(write) <= ROOM.payload, "{write:?} has {} bytes", payload(write));
                published.record(&ingress(), write);
                let is_manifest = publication.manifest.as_ref() == Some(write);
                let read = hash_read(&published);
                let there = published.hash();
                if is_manifest || there == Some(new) {
                    prop_assert_eq!(read, Some(new), "after {:?} of {:?}", write, publication);
                } else if !publication.interrupts {
                    prop_assert_eq!(read, old, "after {:?} of {:?}", write, publication);
                }
            }
            if end == writes.len() {
                prop_assert_eq!(hash_read(&published), Some(new));
                prop_assert!(publish(&encoded, &published).unwrap().is_empty());
                let files = places(&published.config_maps);
                prop_assert_eq!(files.keys().copied().collect::<Vec<_>>(), encoded.files.keys().collect::<Vec<_>>());
                prop_assert!(files.values().all(|places| places.len() == 1), "{files:?}");
                prop_assert_eq!(&files[MANIFEST_FILE], &[0]);
                let keys = places(&published.secrets);
                prop_assert_eq!(keys.keys().copied().collect::<Vec<_>>(), encoded.secret_files.keys().collect::<Vec<_>>());
            }
        }
    }

    /// Kubelet may have each object in another of its versions: then a file is missing, or all is well.
    #[test]
    fn a_mix_of_versions_is_read_right_or_waited_for(history in history(), picks in prop::collection::vec(any::<Index>(), 9)) {
        let mut published = Published::default();
        let mut versions = vec![published.clone()];
        let mut hashes = Vec::new();
        for recipe in &history {
            let encoded = encoded(*recipe, &ENCODE);
            let Ok(publication) = publish(&encoded, &published) else { continue };
            hashes.push(encoded.manifest.hash);
            for write in publication.writes() {
                published.record(&ingress(), write);
                versions.push(published.clone());
            }
        }
        let mut mixed = Published::default();
        for (index, pick) in picks.iter().enumerate() {
            let version = pick.get(&versions);
            if index < ROOM.config_maps {
                mixed.config_maps.extend(version.config_maps.get(&index).map(|content| (index, content.clone())));
            } else {
                let index = index - ROOM.config_maps;
                mixed.secrets.extend(version.secrets.get(&index).map(|content| (index, content.clone())));
            }
        }
        match decode(&mixed) {
            Ok((manifest, _)) => prop_assert!(hashes.contains(&manifest.hash)),
            Err(error) => prop_assert!(error.may_pass(), "{error}"),
        }
    }

    /// A file that did not change is not moved, unless the manifest needs its room.
    #[test]
    fn what_did_not_change_stays_where_it_is(history in history()) {
        let mut published = Published::default();
        for recipe in &history {
            let encoded = encoded(*recipe, &ENCODE);
            let before = published.clone();
            let Ok(publication) = publish(&encoded, &published) else { continue };
            publication.writes().for_each(|write| published.record(&ingress(), write));
            if publication.interrupts {
                continue;
            }
            let (was, is) = (places(&before.config_maps), places(&published.config_maps));
            for (name, place) in was.iter().filter(|(name, place)| is.contains_key(*name) && **place != [0]) {
                prop_assert_eq!(place, &is[name], "{} moved", name);
            }
            let (was, is) = (places(&before.secrets), places(&published.secrets));
            for (name, place) in was.iter().filter(|(name, _)| is.contains_key(*name)) {
                prop_assert_eq!(place, &is[name], "{} moved", name);
            }
        }
    }

    /// What is there does not matter for whether a snapshot fits, and what is refused is too large indeed.
    #[test]
    fn what_fits_always_fits(old in recipe(), new in recipe()) {
        let mut published = Published::default();
        if let Ok(publication) = publish(&encoded(old, &ENCODE), &published) {
            publication.writes().for_each(|write| published.record(&ingress(), write));
        }
        let new = encoded(new, &ENCODE);
        let fits = publish(&new, &Published::default());
        if let Err(error) = &fits {
            let files: usize = new.files.iter().map(|(name, file)| volume::in_config_map(name, file)).sum();
            let keys: usize = new.secret_files.iter().map(|(name, file)| volume::in_secret(name, file)).sum();
            // First fit leaves at most half of each object empty.
            prop_assert!(
                files * 2 > ROOM.payload * ROOM.config_maps || keys * 2 > ROOM.payload * ROOM.secrets,
                "{error}: {files} and {keys} bytes"
            );
        }
        if fits.is_ok() {
            prop_assert!(publish(&new, &published).is_ok());
        }
    }
}

const SMALL: Recipe =
    Recipe { routes: (0, 100), endpoints: (0, 100), certificates: (0, 100), keys: (0, 100) };

/// A snapshot and what there is when it is published.
fn published(recipe: Recipe) -> Published {
    let mut published = Published::default();
    let publication = publish(&encoded(recipe, &ENCODE), &published).unwrap();
    publication.writes().for_each(|write| published.record(&ingress(), write));
    published
}

fn lines(publication: &Publication) -> Vec<String> {
    publication.writes().map(|write| format!("{write:?}").split(" [").next().unwrap().to_owned()).collect()
}

#[test]
fn a_small_snapshot_is_one_config_map() {
    let publication = publish(&encoded(SMALL, &ENCODE), &Published::default()).unwrap();
    assert_eq!(lines(&publication), ["Secret(edge-keys", "ConfigMap(edge-snapshot"]);
    let changed = Recipe { routes: (1, 100), ..SMALL };
    let publication = publish(&encoded(changed, &ENCODE), &published(SMALL)).unwrap();
    assert_eq!(lines(&publication), ["ConfigMap(edge-snapshot"]);
}

#[test]
fn a_change_of_endpoints_is_one_write() {
    let large = Recipe { routes: (0, 6000), ..SMALL };
    let before = published(large);
    assert!(before.config_maps.len() > 1, "{before:?}");
    let changed = Recipe { endpoints: (1, 200), ..large };
    let publication = publish(&encoded(changed, &ENCODE), &before).unwrap();
    assert_eq!(lines(&publication), ["ConfigMap(edge-snapshot"]);
}

#[test]
fn new_keys_are_there_before_the_manifest_and_old_ones_go_after_it() {
    let changed = Recipe { keys: (1, 100), ..SMALL };
    let publication = publish(&encoded(changed, &ENCODE), &published(SMALL)).unwrap();
    assert_eq!(lines(&publication), ["Secret(edge-keys", "ConfigMap(edge-snapshot", "Secret(edge-keys"]);
    let [Write::Secret(before)] = publication.before_manifest.as_slice() else { panic!("{publication:?}") };
    assert_eq!(volume::files_of_secret(before).len(), 2);
    assert!(!format!("{publication:?}").contains(&noise(1, 100)), "a key is in the debug output");
}

#[test]
fn old_files_give_way_when_both_do_not_fit() {
    let recipe = |seed| Recipe { routes: (seed, 18_000), ..SMALL };
    let before = published(recipe(0));
    let publication = publish(&encoded(recipe(1), &ENCODE), &before).unwrap();
    assert!(publication.interrupts);
    assert!(!publish(&encoded(recipe(0), &ENCODE), &before).unwrap().interrupts);
}

#[test]
fn what_somebody_else_changed_is_mended() {
    let good = published(Recipe { routes: (0, 6000), ..SMALL });
    let encoded = encoded(Recipe { routes: (0, 6000), ..SMALL }, &ENCODE);
    let mut tampered = good.clone();
    for content in tampered.config_maps.values_mut().chain(tampered.secrets.values_mut()) {
        content.values_mut().for_each(|file| file.push(b'x'));
        content.insert("extra".to_owned(), vec![1]);
    }
    tampered.config_maps.insert(5, Content::new());
    let publication = publish(&encoded, &tampered).unwrap();
    publication.writes().for_each(|write| tampered.record(&ingress(), write));
    assert_eq!(tampered, good);
}

#[test]
fn objects_are_read_back() {
    let encoded = encoded(Recipe { routes: (0, 6000), ..SMALL }, &ENCODE);
    let publication = publish(&encoded, &Published::default()).unwrap();
    let (mut config_maps, mut secrets) = (Vec::new(), Vec::new());
    for write in publication.writes() {
        match write {
            Write::ConfigMap(object) => config_maps.push(object.clone()),
            Write::Secret(object) => secrets.push(object.clone()),
            other => panic!("{other:?}"),
        }
    }
    let of_another = ConfigMap {
        metadata: ObjectMeta { name: Some("other-snapshot".to_owned()), ..config_maps[0].metadata.clone() },
        ..config_maps[0].clone()
    };
    config_maps.push(of_another);
    let read = Published::read(&ingress(), &config_maps, &secrets);
    assert_eq!(read.hash(), Some(encoded.manifest.hash));
    assert!(publish(&encoded, &read).unwrap().is_empty());
}

/// With the real limits.
#[test]
fn what_is_too_large_is_told_with_its_size() {
    let settings = IngressSettings::default();
    let error = |encoded: &Encoded| {
        publication(encoded, &ingress(), &settings, &Published::default()).unwrap_err().to_string()
    };
    let mut large = encoded(SMALL, &EncodeOptions::default());
    for index in 0..20 {
        large.files.insert(format!("routes.x.zst.{index:03}"), vec![0x28; 700 * 1024]);
    }
    assert_eq!(
        error(&large),
        "the snapshot is too large: its files have 18668 KiB, and 16 ConfigMaps hold 15360 KiB"
    );
    let mut keys = encoded(SMALL, &EncodeOptions::default());
    keys.secret_files.insert("keys.x.zst.000".to_owned(), vec![0x28; 800 * 1024]);
    assert_eq!(
        error(&keys),
        "the file keys.x.zst.000 of the snapshot is too large: it has 1066 KiB, and one of the Secrets holds 960 KiB"
    );
    // What the encoder cuts by default fits, one for each object.
    let mut most = encoded(SMALL, &EncodeOptions::default());
    for index in 0..15 {
        most.files.insert(format!("routes.x.zst.{index:03}"), vec![0x28; EncodeOptions::default().file_size]);
    }
    let publication = publication(&most, &ingress(), &settings, &Published::default()).unwrap();
    assert_eq!(publication.before_manifest.len(), 16);
}
