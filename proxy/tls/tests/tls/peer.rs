//! What is known about the peer.

use std::net::IpAddr;

use postern_snapshot::model::ServerTls;
use postern_tls::{Fingerprint, PeerCertificate, SubjectAltName, TlsInfo, Validity};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType, SerialNumber, date_time_ymd};
use rustls::{
    CipherSuite,
    pki_types::{CertificateDer, pem::PemObject},
    version,
};

use crate::{
    client_auth::required,
    handshake::{Client, handshake},
    pki::{Authority, Issued, Parts, leaf},
    server::{config, showing},
};

fn certificate() -> CertificateParams {
    let mut params = leaf(&[]);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::OrganizationName, "Example, Inc.");
    params.distinguished_name.push(DnType::CommonName, "client");
    params.serial_number = Some(SerialNumber::from_slice(&[0xff, 0x00, 0x0a]));
    params.not_before = date_time_ymd(2020, 1, 1);
    params.subject_alt_names = vec![
        SanType::DnsName("a.example.com".try_into().unwrap()),
        SanType::URI("spiffe://td/ns/a".try_into().unwrap()),
        SanType::Rfc822Name("a@example.com".try_into().unwrap()),
        SanType::IpAddress("2001:db8::1".parse::<IpAddr>().unwrap()),
    ];
    params
}

#[test]
fn a_certificate_tells_what_logs_and_headers_need() {
    let ca = Authority::new("ca");
    let issued = ca.sign(&certificate(), &KeyPair::generate().unwrap());
    let peer = PeerCertificate::new(&[issued.der(), ca.der()]).unwrap();
    assert_eq!(peer.subject(), r"CN=client,O=Example\, Inc.,C=DE");
    assert_eq!(peer.issuer(), "CN=ca");
    assert_eq!(peer.serial(), "ff000a");
    assert_eq!(peer.hash(), Fingerprint::of(&issued.der()).to_string());
    assert_eq!(
        peer.sans(),
        [
            SubjectAltName::Dns("a.example.com".to_owned()),
            SubjectAltName::Uri("spiffe://td/ns/a".to_owned()),
            SubjectAltName::Email("a@example.com".to_owned()),
            SubjectAltName::Ip("2001:db8::1".parse().unwrap()),
        ]
    );
    assert!(matches!(peer.validity(), Some(Validity { not_before: 1_577_836_800, .. })));
    let parsed: Vec<_> =
        CertificateDer::pem_slice_iter(peer.chain_pem().as_bytes()).map(Result::unwrap).collect();
    assert_eq!(parsed, peer.chain());
    assert!(peer.chain_pem().starts_with(&peer.pem()));
    assert!(peer.pem().lines().all(|line| line.len() <= 64));
    assert!(PeerCertificate::new(&[]).is_none());
}

#[test]
fn a_certificate_that_cannot_be_read_has_at_least_a_hash() {
    let peer = PeerCertificate::new(&[CertificateDer::from(vec![1, 2, 3])]).unwrap();
    assert_eq!((peer.subject(), peer.serial(), peer.sans()), ("", "", &[][..]));
    assert_eq!(peer.hash(), Fingerprint::of(&[1, 2, 3]).to_string());
}

#[test]
fn a_connection_tells_what_was_agreed_on() {
    let ca = Authority::new("ca");
    let parts = Parts::default().certificate("rsa", &ca.issue_rsa(&["a.example.com"])).authorities(
        "ca",
        &ca.pem(),
        None,
    );
    let tls = ServerTls {
        client_auth: Some(required(Some("ca"))),
        alpn: vec!["h2".to_owned()],
        ..showing(&["rsa"])
    };
    let server = config(&tls, &parts);
    let shown: Issued = ca.sign(&certificate(), &KeyPair::generate().unwrap());

    let client = Client::trusting(&ca).alpn(&["h2"]).showing(Some(&shown));
    let info = |done: crate::handshake::Established| TlsInfo::of_server(&done.server);
    let first = info(handshake(&client, &server, "A.example.com").unwrap());
    assert_eq!(first.version, "TLSv1.3");
    assert_eq!(first.cipher, "TLS_AES_256_GCM_SHA384");
    assert_eq!(first.server_name.as_deref(), Some("a.example.com"));
    assert_eq!(first.alpn.as_deref(), Some(&b"h2"[..]));
    assert!(!first.resumed);
    assert_eq!(first.peer.unwrap().chain(), shown.chain_der());
    assert!(info(handshake(&client, &server, "a.example.com").unwrap()).resumed);

    let suite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let old = Client::trusting(&ca).version(&version::TLS12).suites(&[suite]).showing(Some(&shown));
    let done = handshake(&old, &server, "a.example.com").unwrap();
    let theirs = TlsInfo::of(&done.client);
    assert_eq!((theirs.version, theirs.cipher), ("TLSv1.2", "ECDHE-RSA-AES128-GCM-SHA256"));
    assert_eq!(theirs.peer.unwrap().sans(), [SubjectAltName::Dns("a.example.com".to_owned())]);
}
