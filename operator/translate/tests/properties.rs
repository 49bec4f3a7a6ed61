//! What holds for every World: translation does not panic, does not depend on the order of objects, and gives
//! snapshots that a proxy can use.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use postern_api::finding::Level;
use postern_snapshot::codec::{EncodeOptions, decode, encode};
use postern_snapshot::model::{
    CertificateSource, HttpChain, Listener, ListenerProtocol, RouteAction, Snapshot, Target, TcpForward,
    Terminated, TlsAction, TlsChain, TransportProtocol,
    TransportProtocol::{Tcp, Udp},
    UpstreamProtocol, WeightedTarget,
};
use postern_translate::gateway_api::istio_objects;
use postern_translate::{Finding, Options, Outcome, World, translate};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// All objects of the golden cases.
static CORPUS: LazyLock<Vec<Value>> = LazyLock::new(|| read("tests/golden"));

/// Those of the Gateway API's cases.
static GATEWAY_API: LazyLock<Vec<Value>> = LazyLock::new(|| read("tests/golden/gateway_api"));

fn read(root: &str) -> Vec<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
    let mut files = Vec::new();
    find(&root, &mut files);
    files.sort();
    let mut documents: Vec<Value> = Vec::new();
    for file in files {
        documents.extend(common::documents(&fs::read_to_string(file).unwrap()));
    }
    documents
}

fn find(directory: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            find(&path, files);
        } else if path.ends_with("input.yaml") || path.ends_with("_defaults.yaml") {
            files.push(path);
        }
    }
}

/// A change of one place in an object.
#[derive(Clone, Debug)]
enum Mutation {
    Remove(Index),
    Replace(Index, Value),
    /// Puts there what is somewhere in another object.
    Transplant(Index, Index, Index),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0_i64), Just(-1), Just(80), Just(443), Just(65536), any::<i64>()]
            .prop_map(Value::from),
        prop_oneof![
            "[a-z*./:-]{0,12}",
            Just(String::new()),
            Just("*".to_owned()),
            Just("/".to_owned()),
            Just("%REQ(x)%".to_owned()),
            Just("a..b".to_owned()),
            "\\PC{0,6}",
        ]
        .prop_map(Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
    ];
    prop_oneof![
        any::<Index>().prop_map(Mutation::Remove),
        (any::<Index>(), value).prop_map(|(place, value)| Mutation::Replace(place, value)),
        (any::<Index>(), any::<Index>(), any::<Index>())
            .prop_map(|(place, object, part)| Mutation::Transplant(place, object, part)),
    ]
}

/// The places of all values in an object, but for those that say what and where it is.
fn places(value: &Value) -> Vec<String> {
    fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
        let escape = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(map) => {
                for (key, inner) in map {
                    let path = format!("{path}/{}", escape(key));
                    if !["/apiVersion", "/kind", "/metadata", "/metadata/name", "/metadata/namespace"]
                        .contains(&path.as_str())
                    {
                        found.push(path.clone());
                    }
                    walk(inner, &path, found);
                }
            }
            Value::Array(list) => {
                for (index, inner) in list.iter().enumerate() {
                    let path = format!("{path}/{index}");
                    found.push(path.clone());
                    walk(inner, &path, found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn mutate(document: &mut Value, mutation: &Mutation) {
    let places = places(document);
    if places.is_empty() {
        return;
    }
    let (Mutation::Remove(place) | Mutation::Replace(place, _) | Mutation::Transplant(place, _, _)) =
        mutation;
    let path = place.get(&places).clone();
    match mutation {
        Mutation::Remove(_) => {
            let (parent, key) = path.rsplit_once('/').unwrap();
            match document.pointer_mut(parent) {
                Some(Value::Object(map)) => {
                    map.remove(&key.replace("~1", "/").replace("~0", "~"));
                }
                Some(Value::Array(list)) => {
                    list.remove(key.parse().unwrap());
                }
                _ => {}
            }
        }
        Mutation::Replace(_, value) => *document.pointer_mut(&path).unwrap() = value.clone(),
        Mutation::Transplant(_, object, part) => {
            let other = object.get(&CORPUS);
            let parts = places_of(other);
            let value = part.get(&parts);
            *document.pointer_mut(&path).unwrap() = other.pointer(value).unwrap().clone();
        }
    }
}

fn places_of(value: &Value) -> Vec<String> {
    let mut found = places(value);
    found.push(String::new());
    found
}

/// Core objects come typed from the API server, so only others are mutated.
fn is_mutable(document: &Value) -> bool {
    let version = document.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    ["networking.istio.io/", "gateway.networking.k8s.io/"].iter().any(|group| version.starts_with(group))
}

fn world(documents: &[Value]) -> World {
    let mut builder = World::builder();
    for document in documents {
        common::add(&mut builder, document.clone());
    }
    builder.build()
}

fn describe(outcome: &Outcome) -> String {
    format!("{:#?}\n{:#?}\n{:#?}", outcome.plans, outcome.findings, outcome.gateway_api)
}

prop_compose! {
    /// Some objects of the corpus, one namespace and name once, some of them changed, in some order.
    fn documents(corpus: &'static LazyLock<Vec<Value>>)(
        picks in proptest::collection::vec((any::<Index>(), proptest::collection::vec(mutation(), 0..3)), 1..30),
        seed in any::<u64>(),
    ) -> (Vec<Value>, Vec<Value>) {
        let mut objects: BTreeMap<String, Value> = BTreeMap::new();
        for (pick, mutations) in &picks {
            let mut document = pick.get(corpus).clone();
            let name = |field: &str| document.pointer(field).cloned().unwrap_or_default();
            let key = format!("{} {} {}", name("/kind"), name("/metadata/namespace"), name("/metadata/name"));
            for mutation in mutations.iter().filter(|_| is_mutable(&document)).cloned().collect::<Vec<_>>() {
                mutate(&mut document, &mutation);
            }
            objects.insert(key, document);
        }
        let ordered: Vec<Value> = objects.into_values().collect();
        let mut shuffled = ordered.clone();
        // A plain permutation by a seed: proptest's own shuffle needs a fixed list.
        let mut state = seed | 1;
        for index in (1..shuffled.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            shuffled.swap(index, usize::try_from(state >> 33).unwrap() % (index + 1));
        }
        (ordered, shuffled)
    }
}

proptest! {
    #[test]
    fn every_world_translates((ordered, shuffled) in documents(&CORPUS), local in any::<bool>()) {
        let options = if local { Options::local() } else { Options::default() };
        let outcome = translate(&world(&ordered), &options);
        let other = translate(&world(&shuffled), &options);
        prop_assert_eq!(describe(&outcome), describe(&other));
        for plan in outcome.plans.values() {
            check(&plan.snapshot, &outcome)?;
        }
        for (key, findings) in &outcome.findings {
            prop_assert!(!findings.is_empty());
            for finding in findings {
                prop_assert_eq!(&finding.object, key);
                prop_assert!(!finding.message.is_empty());
            }
        }
    }
}

const CLASS: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: { name: postern }
spec: { controllerName: postern.dev/gateway-controller }
";

proptest! {
    /// The same with a GatewayClass, so that much is served; and what is written for other readers of Istio's API.
    #[test]
    fn every_world_of_the_gateway_api_translates((mut ordered, mut shuffled) in documents(&GATEWAY_API)) {
        ordered.extend(common::documents(CLASS));
        shuffled.extend(common::documents(CLASS));
        let (world, other) = (world(&ordered), world(&shuffled));
        let options = Options::default();
        let outcome = translate(&world, &options);
        prop_assert_eq!(describe(&outcome), describe(&translate(&other, &options)));
        for plan in outcome.plans.values() {
            check(&plan.snapshot, &outcome)?;
        }
        prop_assert_eq!(istio_objects(&world, &options), istio_objects(&other, &options));
    }
}

/// What a proxy relies on.
fn check(snapshot: &Snapshot, outcome: &Outcome) -> Result<(), TestCaseError> {
    let routes = &snapshot.routes;
    let mut names = BTreeSet::new();
    let place = |listener: &Listener| (listener.address, listener.port, listener.protocol.transport());
    let places: Vec<_> = routes.listeners.iter().map(place).collect();
    prop_assert!(places.windows(2).all(|pair| pair[0] < pair[1]), "sorted, each once: {places:?}");
    for listener in &routes.listeners {
        prop_assert!(names.insert(&listener.name), "two listeners {}", listener.name);
        match &listener.protocol {
            ListenerProtocol::Http(http) => check_http(http, snapshot)?,
            ListenerProtocol::Tcp(forward) => check_forward(forward, snapshot)?,
            ListenerProtocol::Udp(forward) => check_targets(&forward.targets, snapshot, Udp)?,
            ListenerProtocol::Tls { chains } => check_chains(chains, snapshot, outcome)?,
        }
    }
    for (name, table) in &routes.route_tables {
        let mut domains = BTreeSet::new();
        for host in &table.virtual_hosts {
            prop_assert!(!host.domains.is_empty());
            for domain in &host.domains {
                prop_assert!(domains.insert(domain), "{domain} twice in {name}");
            }
            for route in &host.routes {
                if let RouteAction::Forward(forward) = &route.action {
                    check_targets(&forward.targets, snapshot, Tcp)?;
                }
            }
        }
    }
    for (cluster, endpoints) in &snapshot.endpoints.0 {
        prop_assert!(routes.clusters.contains_key(cluster));
        prop_assert!(endpoints.is_sorted() && !endpoints.is_empty());
    }
    for certificate in snapshot.certificates.certificates.values() {
        if let CertificateSource::Inline { key, .. } = &certificate.source {
            prop_assert!(snapshot.keys.0.contains_key(key));
        }
    }
    let encoded = encode(snapshot, &EncodeOptions::default()).unwrap();
    let files: BTreeMap<_, _> = encoded.files.into_iter().chain(encoded.secret_files).collect();
    let (_, decoded) = decode(&files).unwrap();
    prop_assert_eq!(&decoded, snapshot);
    Ok(())
}

fn check_chains(chains: &[TlsChain], snapshot: &Snapshot, outcome: &Outcome) -> Result<(), TestCaseError> {
    let mut names = BTreeSet::new();
    for chain in chains {
        prop_assert!(!chain.server_names.is_empty());
        for name in &chain.server_names {
            prop_assert!(names.insert(name), "{name} twice");
        }
        match &chain.action {
            TlsAction::Passthrough(forward) => check_forward(forward, snapshot)?,
            TlsAction::Terminate { tls, then } => {
                prop_assert!(!tls.certificates.is_empty());
                for certificate in &tls.certificates {
                    // One that is missing is named, for proxies that have had it; and somebody is told.
                    let told = |finding: &Finding| {
                        finding.level == Level::Error && finding.message.contains(certificate.as_str())
                    };
                    let is_there = snapshot.certificates.certificates.contains_key(certificate);
                    prop_assert!(is_there || outcome.findings.values().flatten().any(told));
                }
                for ca in tls.client_auth.iter().filter_map(|auth| auth.ca.as_ref()) {
                    prop_assert!(snapshot.certificates.authorities.contains_key(ca));
                }
                match then {
                    Terminated::Http(http) => check_http(http, snapshot)?,
                    Terminated::Tcp(forward) => check_forward(forward, snapshot)?,
                }
            }
        }
    }
    Ok(())
}

fn check_http(http: &HttpChain, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    prop_assert!(snapshot.routes.route_tables.contains_key(&http.route_table));
    Ok(())
}

fn check_forward(forward: &TcpForward, snapshot: &Snapshot) -> Result<(), TestCaseError> {
    check_targets(&forward.targets, snapshot, Tcp)
}

fn check_targets(
    targets: &[WeightedTarget],
    snapshot: &Snapshot,
    transport: TransportProtocol,
) -> Result<(), TestCaseError> {
    prop_assert!(!targets.is_empty());
    for target in targets {
        prop_assert!(target.weight > 0);
        match &target.target {
            Target::Cluster(name) => {
                let cluster = snapshot.routes.clusters.get(name);
                prop_assert!(
                    cluster.is_some_and(|it| (it.protocol == UpstreamProtocol::Udp) == (transport == Udp))
                );
            }
            Target::Unavailable { status } => prop_assert!([500, 503].contains(status)),
        }
    }
    Ok(())
}
