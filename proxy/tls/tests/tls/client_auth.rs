//! Which clients get in.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postern_snapshot::{
    CaName,
    model::{ClientAuth, ClientAuthMode, ServerTls},
};
use postern_tls::{Fingerprint, SessionResumption, TlsError, provider, server_config};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, SerialNumber, date_time_ymd};
use rustls::{
    CertificateError, ClientConfig, Error, ServerConfig,
    sign::{CertifiedKey, SingleCertAndKey},
    version,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{
    handshake::{Client, Failure, handshake},
    pki::{Authority, Issued, Parts, leaf, leaf_with_uri, self_signed_authority},
    server::{config, showing},
};

pub fn required(ca: Option<&str>) -> ClientAuth {
    ClientAuth {
        mode: ClientAuthMode::Required,
        ca: ca.map(CaName::new),
        subject_alt_names: Vec::new(),
        spki: Vec::new(),
        hashes: Vec::new(),
    }
}

/// A server that trusts the authority `clients`.
struct World {
    servers: Authority,
    clients: Authority,
    parts: Parts,
}

impl World {
    fn new() -> Self {
        let [servers, clients] = ["servers", "clients"].map(Authority::new);
        let parts = Parts::default().certificate("a", &servers.issue(&["a.example.com"])).authorities(
            "clients",
            &clients.pem(),
            None,
        );
        Self { servers, clients, parts }
    }

    fn server(&self, auth: ClientAuth) -> Arc<ServerConfig> {
        config(&ServerTls { client_auth: Some(auth), ..showing(&["a"]) }, &self.parts)
    }

    fn try_both(&self, server: &Arc<ServerConfig>, shown: Option<&Issued>) -> [Result<(), Failure>; 2] {
        [&version::TLS13, &version::TLS12].map(|version| {
            let client = Client::trusting(&self.servers).version(version).showing(shown);
            let done = handshake(&client, server, "a.example.com")?;
            assert_eq!(done.client_certificate(), shown.map(Issued::der));
            Ok(())
        })
    }

    fn lets_in(&self, auth: &ClientAuth, shown: Option<&Issued>) -> bool {
        let tried = self.try_both(&self.server(auth.clone()), shown);
        let [let_in, same] = tried.map(|tried| tried.is_ok());
        assert_eq!(let_in, same, "TLS 1.3 and 1.2 differ");
        let_in
    }

    fn refusal(&self, auth: &ClientAuth, shown: Option<&Issued>) -> Error {
        match self.try_both(&self.server(auth.clone()), shown) {
            [Err(Failure::Server(error)), Err(Failure::Server(_))] => error,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn required_and_optional() {
    let world = World::new();
    let good = world.clients.issue(&["client"]);
    let stranger = Authority::new("strangers").issue(&["client"]);
    let required = required(Some("clients"));
    let optional = ClientAuth { mode: ClientAuthMode::Optional, ..required.clone() };
    assert!(world.lets_in(&required, Some(&good)));
    assert!(world.lets_in(&optional, Some(&good)));
    assert!(world.lets_in(&optional, None));
    assert_eq!(world.refusal(&required, None), Error::NoCertificatesPresented);
    for auth in [required, optional] {
        let refusal = world.refusal(&auth, Some(&stranger));
        assert_eq!(refusal, CertificateError::UnknownIssuer.into());
    }
}

#[test]
fn without_client_auth_nobody_is_asked() {
    let world = World::new();
    let server = config(&showing(&["a"]), &world.parts);
    let client = Client::trusting(&world.servers).showing(Some(&world.clients.issue(&["client"])));
    assert_eq!(handshake(&client, &server, "a.example.com").unwrap().client_certificate(), None);
}

#[test]
fn expired_certificates_and_those_for_another_purpose_are_refused() {
    let world = World::new();
    let sign = |change: fn(&mut CertificateParams)| {
        let mut params = leaf(&["client"]);
        change(&mut params);
        world.clients.sign(&params, &KeyPair::generate().unwrap())
    };
    let auth = required(Some("clients"));
    let expired = sign(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let for_servers = sign(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    assert!(!world.lets_in(&auth, Some(&expired)));
    assert!(!world.lets_in(&auth, Some(&for_servers)));
}

#[test]
fn names_are_checked_if_wanted() {
    let world = World::new();
    let dns = world.clients.issue(&["other.example.com", "CLIENT.example.com"]);
    let spiffe = world.clients.sign(&leaf_with_uri("spiffe://td/ns/a/sa/b"), &KeyPair::generate().unwrap());
    let nameless = world.clients.sign(&leaf(&[]), &KeyPair::generate().unwrap());
    let wanting = |names: &[&str]| ClientAuth {
        subject_alt_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..required(Some("clients"))
    };
    let either = wanting(&["client.example.com", "spiffe://td/ns/a/sa/b"]);
    assert!(world.lets_in(&either, Some(&dns)));
    assert!(world.lets_in(&either, Some(&spiffe)));
    assert!(!world.lets_in(&either, Some(&nameless)));
    assert!(!world.lets_in(&wanting(&["spiffe://td/ns/a"]), Some(&spiffe)));
    assert!(!world.lets_in(&wanting(&["leaf"]), Some(&nameless)), "the common name is no SAN");
    let refusal = world.refusal(&wanting(&["nobody"]), Some(&dns)).to_string();
    assert!(refusal.contains("none of the wanted subject alternative names"), "{refusal}");
}

fn spki(issued: &Issued) -> String {
    let der = issued.der();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    STANDARD.encode(Fingerprint::of(parsed.public_key().raw).as_bytes())
}

fn hash(issued: &Issued) -> String {
    Fingerprint::of(&issued.der()).to_string()
}

#[test]
fn pins_are_checked_besides_the_authority() {
    let world = World::new();
    let [one, two, three] = [(); 3].map(|()| world.clients.issue(&["client"]));
    let stranger = Authority::new("strangers").issue(&["client"]);
    let pinned = |spki: &[String], hashes: &[String]| ClientAuth {
        spki: spki.to_vec(),
        hashes: hashes.to_vec(),
        ..required(Some("clients"))
    };
    let either = pinned(&[spki(&one), spki(&stranger)], &[hash(&two)]);
    assert!(world.lets_in(&either, Some(&one)));
    assert!(world.lets_in(&either, Some(&two)));
    assert!(!world.lets_in(&either, Some(&three)));
    assert!(!world.lets_in(&either, Some(&stranger)), "a pin does not stand in for the authority");
    let plain = hash(&three).to_uppercase();
    let pairs: Vec<_> = plain.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
    let by_hash = pinned(&[], &[pairs.join(":")]);
    assert!(world.lets_in(&by_hash, Some(&three)));
    assert!(!world.lets_in(&by_hash, Some(&one)));
    let refusal = world.refusal(&by_hash, Some(&two)).to_string();
    assert!(refusal.contains("none of those that are pinned"), "{refusal}");
}

#[test]
fn without_an_authority_only_the_pins_count() {
    let world = World::new();
    let [known, unknown] = [(); 2].map(|()| Authority::new("strangers").issue(&["client"]));
    let self_signed = self_signed_authority(&["client"], 4096);
    let pinned = ClientAuth { hashes: vec![hash(&known)], ..required(None) };
    assert!(world.lets_in(&pinned, Some(&known)));
    assert!(!world.lets_in(&pinned, Some(&unknown)));
    assert!(!world.lets_in(&pinned, None));
    let anybody = ClientAuth { mode: ClientAuthMode::Optional, ..required(None) };
    for shown in [None, Some(&known), Some(&self_signed)] {
        assert!(world.lets_in(&anybody, shown));
    }
    assert!(!world.lets_in(&required(None), None));
}

/// A client that shows what rustls would not let it show.
fn unchecked(client: Client, shown: &Issued) -> Arc<ClientConfig> {
    let key = provider().key_provider.load_private_key(shown.key_der()).unwrap();
    let mut config = (*client.config()).clone();
    let certified = CertifiedKey::new(shown.chain_der(), key);
    config.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(certified));
    Arc::new(config)
}

#[test]
fn a_certificate_without_its_key_is_useless() {
    let world = World::new();
    let stolen = Issued { key: world.clients.issue(&["x"]).key, ..world.clients.issue(&["client"]) };
    let pinned = ClientAuth { hashes: vec![hash(&stolen)], ..required(None) };
    for auth in [pinned, required(Some("clients")), required(None)] {
        let server = world.server(auth);
        for version in [&version::TLS13, &version::TLS12] {
            let client = unchecked(Client::trusting(&world.servers).version(version), &stolen);
            let failure = handshake(&client, &server, "a.example.com").err().unwrap();
            let bad_signature = Error::from(CertificateError::BadSignature);
            assert!(matches!(&failure, Failure::Server(error) if *error == bad_signature), "{failure:?}");
        }
    }
}

#[test]
fn settings_that_cannot_be_met_are_errors_not_open_doors() {
    let world = World::new();
    let error = |auth| {
        let tls = ServerTls { client_auth: Some(auth), ..showing(&["a"]) };
        server_config(&tls, &world.parts.store(), &SessionResumption::new().unwrap()).err().unwrap()
    };
    assert_eq!(error(required(Some("gone"))), TlsError::NoAuthorities(CaName::new("gone")));
    let bad = error(ClientAuth { spki: vec!["AAAA".to_owned()], ..required(None) });
    assert_eq!(bad.to_string(), r#""AAAA" in spki is not a SHA-256 in base64"#);
    let bad = error(ClientAuth { hashes: vec!["00:11".to_owned()], ..required(None) });
    assert_eq!(bad.to_string(), r#""00:11" in hashes is not a SHA-256 in hexadecimal"#);
}

#[test]
fn revoked_certificates_are_refused() {
    let mut world = World::new();
    let numbered = |serial: u64| {
        let mut params = leaf(&["client"]);
        params.serial_number = Some(SerialNumber::from(serial));
        world.clients.sign(&params, &KeyPair::generate().unwrap())
    };
    let [good, bad] = [numbered(7), numbered(8)];
    let auth = required(Some("clients"));
    assert!(world.lets_in(&auth, Some(&bad)), "before it is revoked");

    let crl = world.clients.revoke(&[8, 9], 4000);
    world.parts = world.parts.authorities("clients", &world.clients.pem(), Some(&crl));
    assert!(world.lets_in(&auth, Some(&good)));
    assert_eq!(world.refusal(&auth, Some(&bad)), CertificateError::Revoked.into());

    let outdated = world.clients.revoke(&[8], 2021);
    world.parts = world.parts.authorities("clients", &world.clients.pem(), Some(&outdated));
    let refusal = world.refusal(&auth, Some(&good));
    let context =
        matches!(refusal, Error::InvalidCertificate(CertificateError::ExpiredRevocationListContext { .. }));
    assert!(context, "{refusal}");

    let foreign = Authority::new("strangers").revoke(&[8], 4000);
    world.parts = world.parts.authorities("clients", &world.clients.pem(), Some(&foreign));
    assert_eq!(world.refusal(&auth, Some(&good)), CertificateError::UnknownRevocationStatus.into());
}

#[test]
fn what_is_itself_in_the_bundle_is_trusted() {
    let mut world = World::new();
    let [member, other] = [(); 2].map(|()| self_signed_authority(&["client"], 4096));
    let expired = self_signed_authority(&["client"], 2020);
    let for_servers = {
        let mut params = leaf(&["client"]);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.distinguished_name.push(DnType::CommonName, "for servers");
        let key = KeyPair::generate().unwrap();
        Issued { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    };
    let bundle = format!("{}{}{}", member.chain, expired.chain, for_servers.chain);
    world.parts = world.parts.authorities("clients", &bundle, None);
    let auth = required(Some("clients"));
    assert!(world.lets_in(&auth, Some(&member)));
    assert!(!world.lets_in(&auth, Some(&other)));
    assert_eq!(world.refusal(&auth, Some(&expired)), CertificateError::Expired.into());
    let refusal = world.refusal(&auth, Some(&for_servers));
    let purpose =
        matches!(refusal, Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. }));
    assert!(purpose, "{refusal}");
}

#[test]
fn certificates_of_version_1_that_the_authority_has_signed_are_taken() {
    let mut world = World::new();
    let [ca, chain, key] = [
        include_str!("../data/task-ca.crt"),
        include_str!("../data/task-client.crt"),
        include_str!("../data/task-client.key"),
    ]
    .map(str::to_owned);
    let good = Issued { chain, key };
    let self_made = Issued {
        chain: include_str!("../data/x509v1.crt").to_owned(),
        key: include_str!("../data/x509v1.key").to_owned(),
    };
    let stolen = Issued { chain: good.chain.clone(), key: world.clients.issue_rsa(&["client"]).key };
    let forged = {
        let mut der = good.der().to_vec();
        let subject = der.windows(6).position(|bytes| bytes == b"client").unwrap();
        der[subject] = b'C';
        let chain = postern_tls::PeerCertificate::new(&[der.into()]).unwrap().pem();
        Issued { chain, ..good.clone() }
    };
    world.parts = world.parts.authorities("clients", &ca, None);
    let tried = |world: &World, auth: &ClientAuth, shown: &Issued| {
        let server = world.server(auth.clone());
        let [with_13, with_12] = [&version::TLS13, &version::TLS12].map(|version| {
            let client = unchecked(Client::trusting(&world.servers).version(version), shown);
            match handshake(&client, &server, "a.example.com") {
                Ok(done) => {
                    assert_eq!(done.client_certificate(), Some(shown.der()));
                    None
                }
                Err(Failure::Server(Error::InvalidCertificate(error))) => Some(error),
                Err(other) => panic!("{other:?}"),
            }
        });
        assert_eq!(format!("{with_13:?}"), format!("{with_12:?}"));
        with_13
    };
    let auth = required(Some("clients"));
    assert_eq!(tried(&world, &auth, &good), None);
    assert_eq!(tried(&world, &auth, &self_made), Some(CertificateError::UnknownIssuer));
    assert_eq!(tried(&world, &auth, &stolen), Some(CertificateError::BadSignature));
    assert_eq!(tried(&world, &auth, &forged), Some(CertificateError::BadSignature));
    let named = ClientAuth { subject_alt_names: vec!["client.example.com".to_owned()], ..auth.clone() };
    assert!(tried(&world, &named, &good).is_some(), "it has no names");

    let pinned = ClientAuth { hashes: vec![hash(&self_made)], ..required(None) };
    assert_eq!(tried(&world, &pinned, &self_made), None);
    assert!(tried(&world, &pinned, &good).is_some());

    let crl = world.clients.revoke(&[8], 4000);
    world.parts = world.parts.authorities("clients", &ca, Some(&crl));
    assert!(tried(&world, &auth, &good).is_some(), "revocation cannot be checked");

    world.parts = world.parts.authorities("clients", &self_made.chain, None);
    assert_eq!(tried(&world, &auth, &self_made), None, "it is itself in the bundle");
}
