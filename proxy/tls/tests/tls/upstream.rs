//! The proxy as client: whom it trusts.

use std::{env, process::Command, sync::Arc};

use postern_snapshot::{
    CaName, CertificateName,
    model::{ClientAuth, ServerIdentity, ServerTls, UpstreamTls, UpstreamTrust},
};
use postern_tls::{TlsError, client_config, client_fingerprint};
use rcgen::{KeyPair, SerialNumber};
use rustls::{CertificateError, Error, ServerConfig, version};

use crate::{
    client_auth::required,
    handshake::{Failure, handshake},
    pki::{Authority, Issued, Parts, leaf, leaf_with_uri, self_signed_authority},
    server::{config, showing},
};

fn trusting(trust: UpstreamTrust) -> UpstreamTls {
    UpstreamTls { sni: None, trust, subject_alt_names: Vec::new(), client_certificate: None }
}

fn trusting_ca() -> UpstreamTls {
    trusting(UpstreamTrust::Ca(CaName::new("ca")))
}

fn serving(issued: &Issued) -> Arc<ServerConfig> {
    config(&showing(&["server"]), &Parts::default().certificate("server", issued))
}

struct World {
    ca: Authority,
    parts: Parts,
}

impl World {
    fn new() -> Self {
        let ca = Authority::new("ca");
        let parts =
            Parts::default().certificate("client", &ca.issue(&["client"])).authorities("ca", &ca.pem(), None);
        Self { ca, parts }
    }

    /// A handshake with a server that shows this certificate, under this name.
    fn connect(&self, tls: &UpstreamTls, issued: &Issued, name: &str) -> Result<(), Failure> {
        let client = client_config(tls, &["h2"], &self.parts.store()).unwrap();
        handshake(&client, &serving(issued), name).map(drop)
    }

    fn refusal(&self, tls: &UpstreamTls, issued: &Issued, name: &str) -> Error {
        match self.connect(tls, issued, name) {
            Err(Failure::Client(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn is_wrong_name(error: &Error) -> bool {
    matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }))
}

#[test]
fn the_chain_and_the_name_are_checked() {
    let world = World::new();
    let (tls, good) = (trusting_ca(), world.ca.issue(&["b.example.com", "*.example.org"]));
    world.connect(&tls, &good, "b.example.com").unwrap();
    world.connect(&tls, &good, "x.example.org").unwrap();
    assert!(is_wrong_name(&world.refusal(&tls, &good, "c.example.com")));
    let stranger = Authority::new("strangers").issue(&["b.example.com"]);
    assert_eq!(world.refusal(&tls, &stranger, "b.example.com"), CertificateError::UnknownIssuer.into());
}

#[test]
fn wanted_names_are_checked_in_place_of_the_server_name() {
    let world = World::new();
    let wanting =
        |names: &[ServerIdentity]| UpstreamTls { subject_alt_names: names.to_vec(), ..trusting_ca() };
    let dns = |name: &str| ServerIdentity::Dns(name.to_owned());
    let uri = |uri: &str| ServerIdentity::Uri(uri.to_owned());
    let spiffe = world.ca.sign(&leaf_with_uri("spiffe://td/ns/a/sa/b"), &KeyPair::generate().unwrap());
    let named = world.ca.issue(&["b.example.com"]);
    let sni = "sni.example.com";

    world.connect(&wanting(&[dns("b.example.com")]), &named, sni).unwrap();
    world.connect(&wanting(&[dns("x.example.com"), uri("spiffe://td/ns/a/sa/b")]), &spiffe, sni).unwrap();
    let mismatch = world.refusal(&wanting(&[dns("x.example.com")]), &named, "b.example.com");
    assert!(mismatch.to_string().contains("none of the wanted subject alternative names"), "{mismatch}");
    world.refusal(&wanting(&[uri("spiffe://td/ns/a")]), &spiffe, sni);
    world.refusal(&wanting(&[uri("b.example.com")]), &named, sni);
    let stranger = Authority::new("strangers").issue(&["b.example.com"]);
    let refusal = world.refusal(&wanting(&[dns("b.example.com")]), &stranger, "b.example.com");
    assert_eq!(refusal, CertificateError::UnknownIssuer.into(), "the right name does not excuse the chain");
}

#[test]
fn skipping_verification_takes_anything() {
    let world = World::new();
    let strange = [
        Authority::new("strangers").issue(&["x"]),
        self_signed_authority(&["x"], 2020),
        Issued {
            chain: include_str!("../data/x509v1.crt").to_owned(),
            key: include_str!("../data/x509v1.key").to_owned(),
        },
    ];
    let tls = UpstreamTls {
        subject_alt_names: vec![ServerIdentity::Dns("y".to_owned())],
        ..trusting(UpstreamTrust::InsecureSkipVerify)
    };
    for issued in &strange {
        world.connect(&tls, issued, "b.example.com").unwrap();
        world.refusal(&trusting_ca(), issued, "b.example.com");
    }
    let client = client_config(&tls, &[], &world.parts.store()).unwrap();
    for version in [TLS_12, TLS_13] {
        let server = ServerTls { min_version: version, max_version: version, ..showing(&["s"]) };
        let server = config(&server, &Parts::default().certificate("s", &strange[0]));
        handshake(&client, &server, "b.example.com").unwrap();
    }
}

const TLS_12: Option<postern_snapshot::model::TlsVersion> = Some(postern_snapshot::model::TlsVersion::V1_2);
const TLS_13: Option<postern_snapshot::model::TlsVersion> = Some(postern_snapshot::model::TlsVersion::V1_3);

#[test]
fn a_self_signed_server_is_trusted_as_its_own_authority() {
    let mut world = World::new();
    let [server, other] = [(); 2].map(|()| self_signed_authority(&["b.example.com"], 4096));
    world.parts = world.parts.authorities("ca", &server.chain, None);
    world.connect(&trusting_ca(), &server, "b.example.com").unwrap();
    let refusal = world.refusal(&trusting_ca(), &server, "c.example.com");
    let name = matches!(refusal, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. }));
    assert!(name, "{refusal}");
    world.refusal(&trusting_ca(), &other, "b.example.com");
}

#[test]
fn revoked_servers_are_refused() {
    let mut world = World::new();
    let numbered = |serial: u64| {
        let mut params = leaf(&["b.example.com"]);
        params.serial_number = Some(SerialNumber::from(serial));
        world.ca.sign(&params, &KeyPair::generate().unwrap())
    };
    let [good, bad] = [numbered(7), numbered(8)];
    world.parts = world.parts.authorities("ca", &world.ca.pem(), Some(&world.ca.revoke(&[8], 4000)));
    world.connect(&trusting_ca(), &good, "b.example.com").unwrap();
    let with_names = UpstreamTls {
        subject_alt_names: vec![ServerIdentity::Dns("b.example.com".to_owned())],
        ..trusting_ca()
    };
    for tls in [trusting_ca(), with_names] {
        assert_eq!(world.refusal(&tls, &bad, "b.example.com"), CertificateError::Revoked.into());
    }
}

#[test]
fn it_shows_its_certificate_when_asked() {
    let world = World::new();
    let server = {
        let parts = world.parts.clone().certificate("server", &world.ca.issue(&["b.example.com"]));
        let auth = ClientAuth { subject_alt_names: vec!["client".to_owned()], ..required(Some("ca")) };
        config(&ServerTls { client_auth: Some(auth), ..showing(&["server"]) }, &parts)
    };
    let connect = |tls: &UpstreamTls| {
        let client = client_config(tls, &[], &world.parts.store()).unwrap();
        handshake(&client, &server, "b.example.com")
    };
    assert!(connect(&trusting_ca()).is_err());
    let with_certificate =
        UpstreamTls { client_certificate: Some(CertificateName::new("client")), ..trusting_ca() };
    assert!(connect(&with_certificate).unwrap().client_certificate().is_some());
}

#[test]
fn protocols_are_offered_and_sessions_resumed() {
    let world = World::new();
    let parts = world.parts.clone().certificate("server", &world.ca.issue(&["b.example.com"]));
    let server = config(&ServerTls { alpn: vec!["h2".to_owned()], ..showing(&["server"]) }, &parts);
    let client = client_config(&trusting_ca(), &["h2", "http/1.1"], &parts.store()).unwrap();
    let first = handshake(&client, &server, "b.example.com").unwrap();
    assert_eq!(first.client.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(first.client.protocol_version(), Some(version::TLS13.version));
    assert!(handshake(&client, &server, "b.example.com").unwrap().resumed());
}

#[test]
fn settings_that_cannot_be_met_are_errors() {
    let world = World::new();
    let error = |tls: &UpstreamTls| client_config(tls, &[], &world.parts.store()).err().unwrap();
    let gone = trusting(UpstreamTrust::Ca(CaName::new("gone")));
    assert_eq!(error(&gone), TlsError::NoAuthorities(CaName::new("gone")));
    let gone = UpstreamTls { client_certificate: Some(CertificateName::new("gone")), ..trusting_ca() };
    assert_eq!(error(&gone), TlsError::NoCertificate(vec![CertificateName::new("gone")]));
    let bad = UpstreamTls { subject_alt_names: vec![ServerIdentity::Dns("a b".to_owned())], ..trusting_ca() };
    assert_eq!(error(&bad), TlsError::InvalidServerName("a b".to_owned()));
}

#[test]
fn the_fingerprint_changes_with_settings_and_content() {
    let world = World::new();
    let with_certificate =
        UpstreamTls { client_certificate: Some(CertificateName::new("client")), ..trusting_ca() };
    let other_ca = world.parts.clone().authorities("ca", &Authority::new("other").pem(), None);
    let other_client = world.parts.clone().certificate("client", &world.ca.issue(&["client"]));
    let of = |tls: &UpstreamTls, alpn: &[&str], parts: &Parts| client_fingerprint(tls, alpn, &parts.store());
    assert_eq!(of(&with_certificate, &["h2"], &world.parts), of(&with_certificate, &["h2"], &world.parts));
    let all = [
        of(&trusting_ca(), &["h2"], &world.parts),
        of(&trusting_ca(), &["http/1.1"], &world.parts),
        of(&trusting_ca(), &["h2"], &other_ca),
        of(&with_certificate, &["h2"], &world.parts),
        of(&with_certificate, &["h2"], &other_client),
        of(&trusting(UpstreamTrust::System), &["h2"], &world.parts),
    ];
    for (at, one) in all.iter().enumerate() {
        assert_eq!(all.iter().position(|other| other == one), Some(at));
    }
    assert_eq!(of(&trusting_ca(), &["h2"], &other_client), all[0], "what is not used does not matter");
}

/// The environment can only be set for another process, so this test runs itself again.
#[test]
fn the_systems_authorities_come_from_the_environment() {
    const INNER: &str = "POSTERN_TEST_SYSTEM";
    const SELF: &str = "upstream::the_systems_authorities_come_from_the_environment";
    let system = trusting(UpstreamTrust::System);
    if env::var(INNER).as_deref() == Ok("missing") {
        let error = client_config(&system, &[], &Parts::default().store()).err().unwrap();
        assert!(
            matches!(&error, TlsError::NoSystemAuthorities(text) if text.contains("/nowhere")),
            "{error}"
        );
        return;
    }
    if let Ok(issued) = env::var(INNER) {
        let (chain, key) = issued.split_once("~").unwrap();
        let issued = Issued { chain: chain.to_owned(), key: key.to_owned() };
        let world = World::new();
        world.connect(&system, &issued, "b.example.com").unwrap();
        world.refusal(&system, &world.ca.issue(&["b.example.com"]), "b.example.com");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new("the system's");
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, ca.pem()).unwrap();
    let issued = ca.issue(&["b.example.com"]);
    let with_file = (file.to_str().unwrap().to_owned(), format!("{}~{}", issued.chain, issued.key));
    for (file, inner) in [with_file, ("/nowhere/ca.pem".to_owned(), "missing".to_owned())] {
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", SELF])
            .env_remove("SSL_CERT_DIR")
            .env("SSL_CERT_FILE", file)
            .env(INNER, inner)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "{text}");
    }
}
