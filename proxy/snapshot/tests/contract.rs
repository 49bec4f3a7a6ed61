//! The contract holds for every snapshot: it comes back as it was, equal values give equal bytes, and whatever was done
//! to the files is noticed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;

use common::snapshot;
use postern_snapshot::{
    Port, RouteTableName,
    codec::{EncodeOptions, Encoded, decode, encode, read_manifest},
    manifest::{MANIFEST_FILE, SnapshotError},
    model::*,
};
use proptest::{prelude::*, sample::Index};

type FileMap = BTreeMap<String, Vec<u8>>;

fn options(readable: bool) -> EncodeOptions {
    // Tiny files, so that a small snapshot already is packed and cut.
    EncodeOptions { readable_up_to: if readable { usize::MAX } else { 0 }, file_size: 40, zstd_level: 3 }
}

fn files(encoded: Encoded) -> FileMap {
    encoded.files.into_iter().chain(encoded.secret_files).collect()
}

/// Replaces the value of a top-level field of the manifest, and mends its hash as an operator of another version would.
fn with_manifest(
    files: &FileMap,
    change: impl FnOnce(&mut serde_json::Map<String, serde_json::Value>),
) -> FileMap {
    let mut manifest: serde_json::Value = serde_json::from_slice(&files[MANIFEST_FILE]).unwrap();
    let fields = manifest.as_object_mut().unwrap();
    change(fields);
    let zero = format!("sha256:{}", "0".repeat(64));
    fields.insert("hash".to_owned(), zero.clone().into());
    let blanked = serde_json::to_string_pretty(&manifest).unwrap();
    let hash = postern_snapshot::manifest::Hash::of(blanked.as_bytes());
    let mut files = files.clone();
    files.insert(MANIFEST_FILE.to_owned(), blanked.replacen(&zero, &hash.to_string(), 1).into_bytes());
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn comes_back_as_it_was(snapshot in snapshot(), readable: bool) {
        let encoded = encode(&snapshot, &options(readable)).unwrap();
        let manifest = encoded.manifest.clone();
        let (decoded_manifest, decoded) = decode(&files(encoded)).unwrap();
        prop_assert_eq!(decoded, snapshot);
        prop_assert_eq!(decoded_manifest, manifest);
    }

    #[test]
    fn equal_inputs_give_equal_bytes(snapshot in snapshot(), readable: bool) {
        let mut shuffled = snapshot.clone();
        shuffled.sources.reverse();
        prop_assert_eq!(encode(&snapshot, &options(readable)).unwrap(), encode(&shuffled, &options(readable)).unwrap());
    }

    #[test]
    fn the_hash_does_not_depend_on_the_source_order_but_on_the_content(one in snapshot(), other in snapshot()) {
        let hash = |snapshot: &Snapshot| encode(snapshot, &options(true)).unwrap().manifest.hash;
        prop_assert_eq!(hash(&one) == hash(&other), one == other);
    }

    #[test]
    fn a_missing_file_is_named(snapshot in snapshot(), readable: bool, which: Index) {
        let mut files = files(encode(&snapshot, &options(readable)).unwrap());
        let name = which.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
        files.remove(&name);
        let error = decode(&files).unwrap_err();
        prop_assert!(error.may_pass());
        prop_assert!(error.to_string().contains(&name), "{error} does not name {name}");
    }

    #[test]
    fn a_truncated_file_is_refused(snapshot in snapshot(), readable: bool, which: Index, at: Index) {
        let mut files = files(encode(&snapshot, &options(readable)).unwrap());
        let name = which.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
        let content = files.get_mut(&name).unwrap();
        content.truncate(at.index(content.len()));
        let error = decode(&files).unwrap_err();
        prop_assert!(!error.may_pass(), "{error}");
    }

    #[test]
    fn a_changed_byte_changes_nothing_that_is_served(snapshot in snapshot(), readable: bool, which: Index, at: Index, bit in 0..8_u8) {
        let mut files = files(encode(&snapshot, &options(readable)).unwrap());
        let name = which.get(&files.keys().cloned().collect::<Vec<_>>()).clone();
        let content = files.get_mut(&name).unwrap();
        let at = at.index(content.len());
        content[at] ^= 1 << bit;
        // A compressed stream has bits without a meaning: what it says may still be the same.
        let packed = name.contains(".zst.");
        prop_assert!(decode(&files).map_or(true, |(_, decoded)| packed && decoded == snapshot), "{name} at {at}");
    }

    #[test]
    fn files_of_two_versions_do_not_mix(one in snapshot(), other in snapshot()) {
        prop_assume!(one.routes != other.routes);
        let one = files(encode(&one, &options(true)).unwrap());
        let mut mixed = files(encode(&other, &options(true)).unwrap());
        mixed.insert(MANIFEST_FILE.to_owned(), one[MANIFEST_FILE].clone());
        let is_missing = matches!(decode(&mixed), Err(SnapshotError::MissingFile { .. }));
        prop_assert!(is_missing);
    }

    #[test]
    fn random_bytes_are_no_manifest(bytes: Vec<u8>) {
        let files = FileMap::from([(MANIFEST_FILE.to_owned(), bytes)]);
        prop_assert!(read_manifest(&files).is_err());
    }
}

fn empty() -> FileMap {
    files(encode(&Snapshot::default(), &EncodeOptions::default()).unwrap())
}

#[test]
fn a_newer_format_is_refused_even_when_nothing_else_is_known() {
    let newer =
        FileMap::from([(MANIFEST_FILE.to_owned(), br#"{"format": 2, "everything": "else"}"#.to_vec())]);
    let error = decode(&newer).unwrap_err();
    assert!(matches!(error, SnapshotError::NewerFormat { found: 2 }), "{error}");
}

#[test]
fn an_unknown_required_feature_is_refused_and_named() {
    let files = with_manifest(&empty(), |fields| {
        fields.insert("requires".to_owned(), serde_json::json!(["client-certificate-pins", "time-travel"]));
    });
    let error = decode(&files).unwrap_err();
    assert!(matches!(&error, SnapshotError::UnknownFeatures(names) if names == &["time-travel"]), "{error}");
}

#[test]
fn what_an_older_proxy_would_ignore_to_harm_is_required() {
    let requires = |change: &dyn Fn(&mut Snapshot)| -> Vec<String> {
        let mut snapshot = Snapshot::default();
        change(&mut snapshot);
        encode(&snapshot, &EncodeOptions::default()).unwrap().manifest.body.requires.into_iter().collect()
    };
    let listener = |protocol: ListenerProtocol| {
        requires(&|snapshot| {
            let port = Port::new(80).unwrap();
            snapshot.routes.listeners.push(Listener {
                name: "l".into(),
                address: None,
                port,
                service_port: port,
                origins: vec![],
                proxy_protocol: None,
                protocol: protocol.clone(),
            });
        })
    };
    let chain = |change: &dyn Fn(&mut HttpChain)| {
        let mut chain = HttpChain::new(RouteTableName::new("t"));
        change(&mut chain);
        listener(ListenerProtocol::Http(chain))
    };
    let udp = UdpForward { origin: "UDPRoute/default/dns".into(), targets: vec![], idle_timeout: None };
    assert_eq!(listener(ListenerProtocol::Udp(udp)), ["udp"]);
    assert!(chain(&|chain| chain.settings.server_name = Some("harmless".into())).is_empty());
    assert_eq!(chain(&|chain| chain.settings.merge_slashes = true), ["path-normalization"]);
    let buffer = Some(Buffer { max_request_bytes: 1 });
    assert_eq!(chain(&|chain| chain.filters.buffer = buffer), ["request-buffer"]);
    let cluster = |snapshot: &mut Snapshot| {
        let circuit_breakers = CircuitBreakers { max_requests: Some(1), ..CircuitBreakers::default() };
        let cluster = Cluster {
            origin: String::new(),
            service: ServiceIdentity::default(),
            protocol: UpstreamProtocol::Http1,
            load_balancing: LoadBalancing::Random,
            connect_timeout: std::time::Duration::ZERO,
            tls: None,
            circuit_breakers,
            outlier_detection: None,
        };
        snapshot.routes.clusters.insert(postern_snapshot::ClusterName::new("c"), cluster);
    };
    assert_eq!(requires(&cluster), ["circuit-breakers"]);
    let host = |snapshot: &mut Snapshot| {
        let mut limit = RouteFilters::default();
        limit.local_rate_limits.push(LocalRateLimit {
            name: "envoy.filters.http.local_ratelimit".into(),
            origin: String::new(),
            stat_prefix: String::new(),
            token_bucket: None,
            status: None,
            response_headers: HeaderOps::default(),
            x_ratelimit_headers: false,
            rate_limited_as_resource_exhausted: false,
        });
        let host = VirtualHost {
            name: String::new(),
            domains: vec![],
            https_redirect: None,
            request_headers: HeaderOps { remove: vec!["x".into()], ..HeaderOps::default() },
            response_headers: HeaderOps::default(),
            filters: limit,
            routes: vec![],
        };
        let table = RouteTable { virtual_hosts: vec![host] };
        snapshot.routes.route_tables.insert(RouteTableName::new("t"), table);
    };
    assert_eq!(requires(&host), ["local-rate-limit", "virtual-host-headers"]);
    let mirror = |snapshot: &mut Snapshot| {
        let mirrors = vec![Mirror { cluster: postern_snapshot::ClusterName::new("c"), per_million: 1 }];
        add_route(snapshot, RouteAction::Forward(Forward { mirrors, ..Forward::default() }));
    };
    assert_eq!(requires(&mirror), ["request-mirrors"]);
    let cors = |snapshot: &mut Snapshot| {
        add_route(snapshot, RouteAction::Forward(Forward::default()));
        let tables = snapshot.routes.route_tables.values_mut();
        let mut routes = tables.flat_map(|table| &mut table.virtual_hosts).flat_map(|host| &mut host.routes);
        routes.next().unwrap().cors = Some(CorsPolicy::default());
    };
    assert_eq!(requires(&cors), ["cors"]);
}

fn add_route(snapshot: &mut Snapshot, action: RouteAction) {
    let route = Route {
        name: String::new(),
        origin: String::new(),
        matches: vec![],
        action,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: RouteFilters::default(),
        cors: None,
    };
    let host = VirtualHost {
        name: String::new(),
        domains: vec![],
        https_redirect: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: RouteFilters::default(),
        routes: vec![route],
    };
    let table = RouteTable { virtual_hosts: vec![host] };
    snapshot.routes.route_tables.insert(RouteTableName::new("t"), table);
}

#[test]
fn a_field_of_the_same_format_that_is_not_known_is_no_harm() {
    let files = with_manifest(&empty(), |fields| {
        fields.insert("comment".to_owned(), "from a later version".into());
    });
    assert!(decode(&files).is_ok());
}

#[test]
fn a_file_name_does_not_lead_out_of_the_volume() {
    let files = with_manifest(&empty(), |fields| {
        fields["parts"][0]["files"] = serde_json::json!(["../../etc/passwd"]);
    });
    let error = decode(&files).unwrap_err();
    assert!(matches!(error, SnapshotError::DamagedPart { .. }), "{error}");
}

#[test]
fn private_keys_are_only_among_the_secret_files() {
    let mut snapshot = Snapshot::default();
    snapshot.keys.0.insert(postern_snapshot::KeyId::new("sha256:x"), "PRIVATE".to_owned());
    let encoded = encode(&snapshot, &EncodeOptions::default()).unwrap();
    let holds =
        |files: &FileMap| files.values().any(|content| String::from_utf8_lossy(content).contains("PRIVATE"));
    assert!(holds(&encoded.secret_files));
    assert!(!holds(&encoded.files));
    assert!(!format!("{snapshot:?}").contains("PRIVATE"));
}

#[test]
fn a_part_that_did_not_change_keeps_its_files() {
    let mut snapshot = Snapshot::default();
    let before = encode(&snapshot, &EncodeOptions::default()).unwrap();
    let name = postern_snapshot::ClusterName::new("outbound|80||a");
    snapshot.endpoints.0.insert(name, vec![]);
    let after = encode(&snapshot, &EncodeOptions::default()).unwrap();
    let changed: Vec<_> =
        after.files.keys().filter(|name| !before.files.contains_key(*name)).map(|name| &name[..10]).collect();
    assert_eq!(changed, ["endpoints."]);
}
