//! The settings of a terminating chain.

use std::sync::Arc;

use postern_snapshot::{
    CertificateName,
    model::{CipherSuite as Named, ServerTls, TlsVersion},
};
use postern_tls::{SessionResumption, TlsError, server_config, server_fingerprint};
use rustls::{AlertDescription, CipherSuite, Error, NamedGroup, PeerIncompatible, ServerConfig, version};

use crate::{
    handshake::{Client, Failure, handshake},
    pki::{Authority, Issued, Parts},
};

/// A server that shows these certificates of the store and has no other settings.
pub fn showing(names: &[&str]) -> ServerTls {
    ServerTls {
        certificates: names.iter().map(|name| CertificateName::new(*name)).collect(),
        client_auth: None,
        min_version: None,
        max_version: None,
        cipher_suites: Vec::new(),
        alpn: Vec::new(),
    }
}

pub fn config(tls: &ServerTls, parts: &Parts) -> Arc<ServerConfig> {
    server_config(tls, &parts.store(), &SessionResumption::new().unwrap()).unwrap().config
}

struct World {
    ca: Authority,
    rsa: Issued,
    ecdsa: Issued,
    parts: Parts,
}

fn world() -> World {
    let ca = Authority::new("ca");
    let [rsa, ecdsa] = [ca.issue_rsa(&["a.example.com"]), ca.issue(&["a.example.com"])];
    let parts = Parts::default().certificate("rsa", &rsa).certificate("ecdsa", &ecdsa);
    World { ca, rsa, ecdsa, parts }
}

#[test]
fn by_default_it_is_tls_1_3_with_post_quantum_key_exchange() {
    let World { ca, parts, .. } = world();
    let server = config(&showing(&["ecdsa"]), &parts);
    let done = handshake(&Client::trusting(&ca).config(), &server, "a.example.com").unwrap();
    assert_eq!(done.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    let group = done.server.negotiated_key_exchange_group().unwrap();
    assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    let old = Client::trusting(&ca).version(&version::TLS12).config();
    let done = handshake(&old, &server, "a.example.com").unwrap();
    assert_eq!(done.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_2));
}

#[test]
fn of_two_certificates_the_client_gets_what_it_can_verify() {
    let World { ca, rsa, ecdsa, parts } = world();
    for names in [["rsa", "ecdsa"], ["ecdsa", "rsa"]] {
        let server = config(&showing(&names), &parts);
        let first = if names[0] == "rsa" { &rsa } else { &ecdsa };
        for version in [&version::TLS13, &version::TLS12] {
            // The authority signs with ECDSA, so a client that verifies only RSA in the handshake needs a chain check of its
            // own; webpki checks chains with all algorithms regardless of what the client offers.
            for (signatures, expected) in [("ECDSA", &ecdsa), ("RSA", &rsa), ("", first)] {
                let client = Client::trusting(&ca).version(version).signatures(signatures).config();
                let done = handshake(&client, &server, "a.example.com").unwrap();
                assert_eq!(done.server_certificate(), expected.der(), "{names:?} {version:?} {signatures}");
            }
        }
    }
}

#[test]
fn a_tls_1_2_client_gets_the_certificate_of_its_cipher_suites() {
    let World { ca, rsa, ecdsa, parts } = world();
    let server = config(&showing(&["ecdsa", "rsa"]), &parts);
    for (suite, expected) in [
        (CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &rsa),
        (CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &ecdsa),
    ] {
        let client = Client::trusting(&ca).version(&version::TLS12).suites(&[suite]).config();
        let done = handshake(&client, &server, "a.example.com").unwrap();
        assert_eq!(done.server_certificate(), expected.der());
    }
}

#[test]
fn a_client_that_can_verify_none_is_told_so() {
    let World { ca, parts, .. } = world();
    let server = config(&showing(&["rsa"]), &parts);
    let client = Client::trusting(&ca).signatures("ECDSA").config();
    let failure = handshake(&client, &server, "a.example.com").err().unwrap();
    let Failure::Server(Error::PeerIncompatible(problem)) = failure else { panic!("{failure:?}") };
    assert_eq!(problem, PeerIncompatible::NoSignatureSchemesInCommon);
}

#[test]
fn with_one_of_two_certificates_missing_the_other_serves() {
    let World { ca, rsa, parts, .. } = world();
    let resumption = SessionResumption::new().unwrap();
    let tls = showing(&["gone", "rsa"]);
    let side = server_config(&tls, &parts.store(), &resumption).unwrap();
    assert_eq!(side.missing, [CertificateName::new("gone")]);
    let done = handshake(&Client::trusting(&ca).config(), &side.config, "a.example.com").unwrap();
    assert_eq!(done.server_certificate(), rsa.der());

    let none = server_config(&showing(&["gone", "lost"]), &parts.store(), &resumption).err().unwrap();
    assert_eq!(none.to_string(), "no usable certificate: gone, lost");
    assert!(server_config(&showing(&[]), &parts.store(), &resumption).is_err());
}

#[test]
fn versions_are_limited_on_both_ends() {
    let World { ca, parts, .. } = world();
    let limits = |min, max| ServerTls { min_version: min, max_version: max, ..showing(&["ecdsa"]) };
    let client = |version| Client::trusting(&ca).version(version).config();
    let speaks = |tls: &ServerTls| {
        let server = config(tls, &parts);
        [&version::TLS12, &version::TLS13]
            .map(|version| handshake(&client(version), &server, "a.example.com").is_ok())
    };
    let (v12, v13) = (Some(TlsVersion::V1_2), Some(TlsVersion::V1_3));
    assert_eq!(speaks(&limits(None, None)), [true, true]);
    assert_eq!(speaks(&limits(v12, v13)), [true, true]);
    assert_eq!(speaks(&limits(v13, None)), [false, true]);
    assert_eq!(speaks(&limits(None, v12)), [true, false]);
    assert_eq!(speaks(&limits(v12, v12)), [true, false]);

    let impossible = server_config(&limits(v13, v12), &parts.store(), &SessionResumption::new().unwrap());
    let expected = TlsError::NoVersion { min: TlsVersion::V1_3, max: TlsVersion::V1_2 };
    assert_eq!(impossible.err(), Some(expected));
}

#[test]
fn cipher_suites_of_tls_1_2_are_the_named_ones_in_the_servers_order() {
    let World { ca, parts, .. } = world();
    let tls = ServerTls {
        cipher_suites: vec![Named::EcdheRsaChaCha20, Named::EcdheRsaAes128Gcm],
        ..showing(&["ecdsa", "rsa"])
    };
    let server = config(&tls, &parts);
    let suite = |client: Client| {
        let client = client.version(&version::TLS12).config();
        handshake(&client, &server, "a.example.com").map(|done| done.suite())
    };
    let chacha = CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256;
    let aes128 = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let aes256 = CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384;
    assert_eq!(suite(Client::trusting(&ca)).unwrap(), chacha, "a client would prefer AES");
    assert_eq!(suite(Client::trusting(&ca).suites(&[aes128, aes256])).unwrap(), aes128);
    assert!(suite(Client::trusting(&ca).suites(&[aes256])).is_err());

    let done = handshake(&Client::trusting(&ca).config(), &server, "a.example.com").unwrap();
    assert_eq!(done.server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));

    let limited = config(&ServerTls { max_version: Some(TlsVersion::V1_2), ..tls }, &parts);
    let done = handshake(&Client::trusting(&ca).config(), &limited, "a.example.com").unwrap();
    assert_eq!(done.suite(), chacha, "the client's suites of TLS 1.3 do not choose the certificate");
}

#[test]
fn without_named_suites_the_client_chooses() {
    let World { ca, parts, .. } = world();
    let server = config(&showing(&["rsa"]), &parts);
    let aes128 = CipherSuite::TLS13_AES_128_GCM_SHA256;
    let client = Client::trusting(&ca).suites(&[aes128]).config();
    assert_eq!(handshake(&client, &server, "a.example.com").unwrap().suite(), aes128);
}

#[test]
fn alpn_is_the_first_of_ours_that_the_client_has() {
    let World { ca, parts, .. } = world();
    let with = |ours: &[&str]| {
        let alpn = ours.iter().map(|protocol| (*protocol).to_owned()).collect();
        config(&ServerTls { alpn, ..showing(&["ecdsa"]) }, &parts)
    };
    let agreed = |ours: &[&str], theirs: &[&str]| {
        let client = Client::trusting(&ca).alpn(theirs).config();
        let done = handshake(&client, &with(ours), "a.example.com")?;
        Ok::<_, Failure>(done.server.alpn_protocol().map(|p| String::from_utf8(p.to_vec()).unwrap()))
    };
    let http = ["h2", "http/1.1"];
    assert_eq!(agreed(&http, &["http/1.1", "h2"]).unwrap().as_deref(), Some("h2"));
    assert_eq!(agreed(&http, &["http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
    assert_eq!(agreed(&http, &["http/1.0"]).unwrap().as_deref(), Some("http/1.0"));
    assert_eq!(agreed(&http, &[]).unwrap(), None);
    assert_eq!(agreed(&[], &["h2"]).unwrap(), None);
    let failure = agreed(&http, &["imap"]).err().unwrap();
    assert!(matches!(failure, Failure::Server(Error::NoApplicationProtocol)), "{failure:?}");
    assert!(agreed(&["h2"], &["http/1.0"]).is_err());
}

#[test]
fn the_fingerprint_changes_with_settings_and_certificates() {
    let World { ca, parts, .. } = world();
    let store = parts.store();
    let tls = showing(&["ecdsa"]);
    let fingerprint = server_fingerprint(&tls, &store);
    assert_eq!(fingerprint, server_fingerprint(&tls, &parts.store()));
    assert_ne!(fingerprint, server_fingerprint(&showing(&["rsa"]), &store));
    let renewed = parts.certificate("ecdsa", &ca.issue(&["a.example.com"])).store();
    assert_ne!(fingerprint, server_fingerprint(&tls, &renewed));
}

#[test]
fn the_refusing_alert_is_understood() {
    let World { ca, .. } = world();
    let mut client =
        rustls::ClientConnection::new(Client::trusting(&ca).config(), "a.example.com".try_into().unwrap())
            .unwrap();
    client.read_tls(&mut &postern_tls::alert(AlertDescription::UnrecognisedName)[..]).unwrap();
    let error = client.process_new_packets().unwrap_err();
    assert_eq!(error, Error::AlertReceived(AlertDescription::UnrecognisedName));
}
