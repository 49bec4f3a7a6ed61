//! Bad input: what is refused as a whole, and what costs only itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{collections::BTreeMap, net::TcpListener, os::unix::fs::PermissionsExt};

use http::StatusCode;
use postern_engine::Stop;
use postern_snapshot::{
    CaName, ClusterName,
    ack::{Ack, Refused, RefusedKind},
    codec::Encoded,
    manifest::MANIFEST_FILE,
    model::{HeaderOps, PathMatch, Snapshot, UpstreamTls, UpstreamTrust},
};
use support::*;

type Files = BTreeMap<String, Vec<u8>>;

fn all_files(encoded: Encoded) -> Files {
    encoded.files.into_iter().chain(encoded.secret_files).collect()
}

fn change_manifest(files: &mut Files, from: &str, to: &str) {
    let manifest = String::from_utf8(files[MANIFEST_FILE].clone()).unwrap();
    assert!(manifest.contains(from), "{manifest}");
    files.insert(MANIFEST_FILE.into(), manifest.replacen(from, to, 1).into());
}

fn part(files: &Files, kind: &str) -> String {
    files.keys().find(|name| name.starts_with(kind)).unwrap().clone()
}

/// A way to spoil a snapshot, and words of the problem.
type Way = (fn(&mut Files), &'static str);

const WAYS: [Way; 6] = [
    (
        |files| {
            let manifest = files.get_mut(MANIFEST_FILE).unwrap();
            manifest.truncate(manifest.len() / 2);
        },
        "manifest.json cannot be read",
    ),
    (|files| change_manifest(files, "istio-ingressgateway", "istio-ingressgatewax"), "is damaged"),
    (|files| change_manifest(files, "\"format\": 1", "\"format\": 2"), "has format 2"),
    (
        |files| {
            let name = part(files, "routes");
            let routes = files.get_mut(&name).unwrap();
            routes.truncate(routes.len() / 2);
        },
        "part routes is damaged",
    ),
    (
        |files| {
            let name = part(files, "keys");
            files.insert(name, b"{}\n".to_vec());
        },
        "part keys is damaged",
    ),
    (require_the_unknown, "requires time-travel"),
];

/// With a hash that is right, so that only the feature is wrong.
fn require_the_unknown(files: &mut Files) {
    use postern_snapshot::manifest::Hash;
    change_manifest(files, "\"requires\": []", "\"requires\": [\"time-travel\"]");
    let text = String::from_utf8(files[MANIFEST_FILE].clone()).unwrap();
    let start = text.find("sha256:").unwrap();
    let own = &text[start..start + 71];
    let blank = format!("sha256:{}", "0".repeat(64));
    let hash = Hash::of(text.replacen(own, &blank, 1).as_bytes()).to_string();
    files.insert(MANIFEST_FILE.into(), text.replacen(own, &hash, 1).into());
}

fn good_and_next() -> (Snapshot, Snapshot) {
    let good = http_snapshot(vec![answer("/", "good")]);
    let authority = Authority::new("ca");
    let mut next = http_snapshot(vec![answer("/", "next")]);
    next.certificate("web", &authority.issue(&["example.com"]));
    (good, next)
}

#[test]
fn a_bad_snapshot_is_refused_as_a_whole_and_the_last_good_one_stays_over_a_restart() {
    run(async {
        let (good, next) = good_and_next();
        let state = tempfile::tempdir().unwrap();
        let options = || Options { state: Some(state.path().to_owned()), ..Options::default() };
        let volume = Volume::kubelet();
        let hash = volume.publish(&good);
        let mut proxy = Proxy::start(volume.path(), options()).await;
        proxy.applied(hash).await;
        for (spoil, problem) in WAYS {
            let mut files = all_files(Volume::encode(&next));
            spoil(&mut files);
            volume.write(&files);
            let is_it = |ack: &Ack| ack.rejected.as_ref().is_some_and(|r| r.problem.contains(problem));
            let ack = proxy.ack_when(is_it).await;
            assert_eq!(ack.applied.unwrap().hash, hash, "{problem}");
            assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "good");
            assert_eq!(proxy.ready().await, StatusCode::OK, "it serves");

            proxy.stop(Stop::Now);
            let address = proxy.ended().await;
            proxy = Proxy::start_at(address, volume.path(), options()).await;
            let ack = proxy.ack_when(is_it).await;
            assert_eq!(ack.applied.unwrap().hash, hash, "{problem}");
            assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "good");
        }
        let next_hash = volume.publish(&next);
        let ack = proxy.applied(next_hash).await;
        assert_eq!(ack.rejected, None);
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "next");
    });
}

#[test]
fn a_proxy_without_a_good_snapshot_waits_for_one() {
    run(async {
        let (good, _) = good_and_next();
        let volume = Volume::kubelet();
        let mut files = all_files(Volume::encode(&good));
        require_the_unknown(&mut files);
        volume.write(&files);
        let proxy = Proxy::start(volume.path(), Options::default()).await;
        assert!(proxy.rejected().await.contains("time-travel"));
        assert_eq!(proxy.ready().await, StatusCode::SERVICE_UNAVAILABLE);
        let hash = volume.publish(&good);
        proxy.applied(hash).await;
        assert_eq!(proxy.ready().await, StatusCode::OK);
    });
}

#[test]
fn a_state_directory_that_is_of_no_use_stops_nothing() {
    run(async {
        let (good, next) = good_and_next();
        let parent = tempfile::tempdir().unwrap();
        // A file in its place; rubbish in it; no right to read it (which root has all the same).
        let file = parent.path().join("file");
        std::fs::write(&file, "").unwrap();
        let rubbish = parent.path().join("rubbish");
        std::fs::create_dir(&rubbish).unwrap();
        std::fs::write(rubbish.join("current"), "not a link").unwrap();
        let locked = parent.path().join("locked");
        std::fs::create_dir(&locked).unwrap();
        std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o0)).unwrap();
        for state in [file.join("state"), rubbish, locked, parent.path().join("a/b/c")] {
            let volume = Volume::kubelet();
            let hash = volume.publish(&good);
            let options = Options { state: Some(state), ..Options::default() };
            let proxy = Proxy::start(volume.path(), options).await;
            proxy.applied(hash).await;
            proxy.applied(volume.publish(&next)).await;
            assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "next");
            let config = get(proxy.at(15000), "admin", "/config").await;
            assert_eq!(config.status, StatusCode::OK);
        }
    });
}

fn refused(ack: &Ack) -> &[Refused] {
    &ack.applied.as_ref().unwrap().refused
}

fn names(ack: &Ack) -> Vec<(RefusedKind, &str, &str)> {
    refused(ack).iter().map(|r| (r.kind, r.name.as_str(), r.origin.as_str())).collect()
}

#[test]
fn a_bad_route_costs_only_itself() {
    run(async {
        let mut bad_regex = answer("/", "");
        bad_regex.matches[0].path = Some(PathMatch::Regex("/bad(".into()));
        bad_regex.origin = "VirtualService/istio-system/bad-regex".into();
        let mut bad_header = answer("/header", "");
        bad_header.name = "named".into();
        bad_header.response_headers =
            HeaderOps { set: vec![("x".into(), "a\nb".into())], ..HeaderOps::default() };
        bad_header.origin = "VirtualService/istio-system/bad-header".into();
        let routes = vec![bad_regex, bad_header, answer("/", "good")];
        let (proxy, _volume) = Proxy::serving(&http_snapshot(routes)).await;
        assert_eq!(
            names(&proxy.ack().await),
            [
                (RefusedKind::Route, "*:80/0", "VirtualService/istio-system/bad-regex"),
                (RefusedKind::Route, "*:80/named", "VirtualService/istio-system/bad-header"),
            ]
        );
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/good").await, "good");
        for path in ["/bad", "/header"] {
            let answer = get(proxy.at(HTTP), "example.com", path).await;
            assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        }
    });
}

#[test]
fn a_bad_certificate_costs_its_chain_and_a_good_one_of_before_stays() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot = tls_snapshot(vec![https("web", &["example.com"]), https("any", &["*"])]);
        let mut misfit = authority.issue(&["example.com"]);
        let good = misfit.clone();
        misfit.key = authority.issue(&["example.com"]).key;
        snapshot.certificate("web", &misfit).certificate("any", &authority.issue(&["other.org"]));
        for table in ["web", "any"] {
            snapshot.routes(table, &["*"], vec![answer("/", table)]);
        }
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let certificate = (RefusedKind::Certificate, "web", "Secret/istio-system/web");
        let chain = (RefusedKind::TlsChain, "0.0.0.0_8443", "Gateway/istio-system/web");
        assert_eq!(names(&proxy.ack().await), [certificate, chain]);
        let tls = ClientTls::new(&authority, &["h2"]);
        let refused = handshake(proxy.at(HTTPS), &tls, "example.com").await;
        assert!(refused.is_err(), "not by the chain for everything");
        let mut other = Client::tls(proxy.at(HTTPS), &tls, "other.org").await;
        assert_eq!(other.get("other.org", "/").await.text, "any");

        snapshot.certificate("web", &good);
        let ack = proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(names(&ack), []);
        let mut client = Client::tls(proxy.at(HTTPS), &tls, "example.com").await;
        snapshot.certificate("web", &misfit);
        let ack = proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(names(&ack), [certificate], "the chain has the one of before");
        assert_eq!(client.get("example.com", "/").await.text, "web");
        assert_eq!(Client::tls(proxy.at(HTTPS), &tls, "example.com").await.certificate, Some(good.der()));
        assert_eq!(other.get("other.org", "/").await.text, "any", "all the while");
    });
}

#[test]
fn a_port_that_is_taken_costs_its_listener_until_it_is_free() {
    run(async {
        let volume = Volume::kubelet();
        let mut snapshot = http_snapshot(vec![answer("/", "good")]);
        let proxy = Proxy::start(volume.path(), Options::default()).await;
        let taken = HTTP + 1;
        let somebody = TcpListener::bind(proxy.at(taken)).unwrap();
        snapshot.http_listener(taken, "http");
        let ack = proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(names(&ack), [(RefusedKind::Listener, "0.0.0.0_8081", "")]);
        assert!(refused(&ack)[0].problem.contains("in use"), "{ack:?}");
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "good");
        drop(somebody);
        // Tried again without a new snapshot.
        proxy.ack_when(|ack| refused(ack).is_empty()).await;
        assert_eq!(get_text(proxy.at(taken), "example.com", "/").await, "good");
    });
}

#[test]
fn of_two_listeners_on_one_address_the_second_is_refused() {
    run(async {
        let volume = Volume::kubelet();
        let proxy = Proxy::start(volume.path(), Options::default()).await;
        let mut snapshot = http_snapshot(vec![answer("/", "first")]);
        snapshot.http_listener(HTTP, "second").routes("second", &["*"], vec![answer("/", "second")]);
        snapshot.routes.listeners[1].address = Some(proxy.at(HTTP).ip());
        snapshot.routes.listeners[1].name = "second".into();
        let ack = proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(names(&ack), [(RefusedKind::Listener, "second", "")]);
        assert_eq!(get_text(proxy.at(HTTP), "example.com", "/").await, "first");
    });
}

#[test]
fn a_bad_cluster_costs_its_requests() {
    run(async {
        let backend = Backend::start("one").await;
        let mut snapshot = http_snapshot(vec![to_cluster("/bad", "bad"), to_cluster("/", "app")]);
        snapshot.cluster("app", &[backend.address]).cluster("bad", &[backend.address]);
        snapshot.routes.clusters.get_mut(&ClusterName::new("bad")).unwrap().tls = Some(UpstreamTls {
            sni: None,
            trust: UpstreamTrust::Ca(CaName::new("missing")),
            subject_alt_names: vec![],
            client_certificate: None,
        });
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        assert_eq!(names(&proxy.ack().await), [(RefusedKind::Cluster, "bad", "")]);
        assert_eq!(get(proxy.at(HTTP), "h", "/bad").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(get_text(proxy.at(HTTP), "h", "/good").await, "one /good");
    });
}
