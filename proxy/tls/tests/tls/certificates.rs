//! What the store takes, refuses, and keeps.

use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use postern_snapshot::{
    CaName, CertificateName, KeyId,
    model::{CertificateSource, PemSource},
};
use postern_tls::{
    CertificateProblem, CertificateStore, Instead, Piece, RefusedCertificate, Subject, WarningKind,
};
use rcgen::{KeyPair, date_time_ymd};
use rustls::sign::CertifiedKey;

use crate::pki::{Authority, Issued, Parts, leaf};

fn key_of<'a>(store: &'a CertificateStore, name: &str) -> &'a Arc<CertifiedKey> {
    store.certificate(&CertificateName::new(name)).unwrap().certified_key()
}

/// What the only refusal says.
fn only(refused: Vec<RefusedCertificate>) -> (CertificateProblem, Instead) {
    let [refused] = <[_; 1]>::try_from(refused).unwrap();
    (refused.problem, refused.instead)
}

fn refused(parts: &Parts) -> CertificateProblem {
    let (store, refused) = parts.build(None);
    assert_eq!(store.certificates().count(), 0);
    let (problem, instead) = only(refused);
    assert_eq!(instead, Instead::Nothing);
    problem
}

fn malformed(piece: Piece) -> impl Fn(&CertificateProblem) -> bool {
    move |problem| matches!(problem, CertificateProblem::Malformed { piece: p, .. } if *p == piece)
}

#[test]
fn what_did_not_change_is_shared() {
    let ca = Authority::new("ca");
    let parts = Parts::default()
        .certificate("a", &ca.issue(&["a.example.com"]))
        .certificate("b", &ca.issue(&["b.example.com"]))
        .authorities("ca", &ca.pem(), None);
    let first = parts.store();
    let renewed = parts.certificate("b", &ca.issue(&["b.example.com"]));
    let (second, refused) = renewed.build(Some(&first));
    assert_eq!(refused, []);
    assert!(Arc::ptr_eq(key_of(&first, "a"), key_of(&second, "a")));
    assert!(!Arc::ptr_eq(key_of(&first, "b"), key_of(&second, "b")));
    let ca = CaName::new("ca");
    assert!(Arc::ptr_eq(first.authorities(&ca).unwrap(), second.authorities(&ca).unwrap()));
}

#[test]
fn the_whole_chain_is_kept_in_order() {
    let ca = Authority::new("ca");
    let mut issued = ca.issue(&["a.example.com"]);
    issued.chain += &ca.pem();
    let store = Parts::default().certificate("a", &issued).store();
    assert_eq!(key_of(&store, "a").cert, [issued.der(), ca.der()]);
}

#[test]
fn keys_of_every_usual_form_are_taken() {
    let ca = Authority::new("ca");
    for algorithm in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_ED25519,
    ] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        Parts::default().certificate("a", &ca.sign(&leaf(&["a.example.com"]), &key)).store();
    }
    Parts::default().certificate("a", &ca.issue_rsa(&["a.example.com"])).store();
}

#[test]
fn a_key_of_another_certificate_is_refused_by_name_and_origin() {
    let ca = Authority::new("ca");
    let (one, other) = (ca.issue(&["a.example.com"]), ca.issue_rsa(&["a.example.com"]));
    let (store, refused) =
        Parts::default().inline("wrong", &one.chain, &other.key, None).certificate("good", &one).build(None);
    assert_eq!(
        refused,
        [RefusedCertificate {
            subject: Subject::Certificate(CertificateName::new("wrong")),
            origin: "Secret/test/wrong".to_owned(),
            problem: CertificateProblem::KeyMismatch,
            instead: Instead::Nothing,
        }]
    );
    assert_eq!(
        refused[0].to_string(),
        "certificate wrong (Secret/test/wrong): the private key does not belong to the certificate"
    );
    assert!(store.certificate(&CertificateName::new("wrong")).is_none());
    assert!(store.certificate(&CertificateName::new("good")).is_some());
}

#[test]
fn a_missing_key_is_refused() {
    let issued = Authority::new("ca").issue(&["a.example.com"]);
    let mut parts = Parts::default().certificate("a", &issued);
    parts.keys.0.clear();
    assert_eq!(refused(&parts), CertificateProblem::NoKey(KeyId::new("key of a")));
}

#[test]
fn damaged_text_is_refused() {
    let Issued { chain, key } = Authority::new("ca").issue(&["a.example.com"]);
    let with_chain = |chain: &str| refused(&Parts::default().inline("a", chain, &key, None));
    let with_key = |key: &str| refused(&Parts::default().inline("a", &chain, key, None));
    let certificate = malformed(Piece::Certificates);
    for text in ["", "nonsense", &key, &chain[..chain.len() / 2], &chain.replace("MII", "M!I")] {
        assert!(certificate(&with_chain(text)), "{text}");
    }
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert!(certificate(&with_chain(garbage)));
    for text in ["", "nonsense", &chain, &key[..key.len() / 2], include_str!("../data/encrypted.key")] {
        assert!(malformed(Piece::Key)(&with_key(text)), "{text}");
    }
    let garbage = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(with_key(garbage), CertificateProblem::UnsupportedKey);
}

#[test]
fn no_text_shows_key_material() {
    let Issued { chain, key } = Authority::new("ca").issue(&["a.example.com"]);
    let secret = key.lines().nth(1).unwrap().to_owned();
    let broken = [
        key.replace('\n', " "),
        key.replace('\n', ""),
        key.replacen("-----\n", "----", 1),
        key.replace("-----END", "----END"),
        key.replacen(&secret[4..5], "!", 1),
        key.replace(" PRIVATE KEY", " RSA PRIVATE KEY"),
        format!("-----BEGIN {}", &key["-----BEGIN PRIVATE KEY-----\n".len()..]),
    ];
    for key in broken {
        let (store, refused) = Parts::default().inline("a", &chain, &key, None).build(None);
        assert_eq!(refused.len(), 1, "{key}");
        let shown = format!("{store:?} {refused:?} {}", refused[0]);
        // Neither as text nor as a list of bytes.
        let bytes = format!("{:?}", &secret.as_bytes()[8..16]).replace(['[', ']'], "");
        assert!(!shown.contains(&secret[8..16]) && !shown.contains(&bytes), "{shown}");
    }
    let store = Parts::default().inline("a", &chain, &key, None).store();
    assert!(!format!("{store:?}").contains(&secret[8..16]));
}

#[test]
fn the_last_good_certificate_stays_until_there_is_a_better_one() {
    let ca = Authority::new("ca");
    let good = Parts::default().certificate("a", &ca.issue(&["a.example.com"]));
    let first = good.store();

    let bad = good.clone().inline("a", "nonsense", "", None);
    let (second, refused) = bad.build(Some(&first));
    assert_eq!(refused[0].instead, Instead::Previous);
    assert!(refused[0].to_string().ends_with("; the last good one stays in use"));
    assert!(Arc::ptr_eq(key_of(&first, "a"), key_of(&second, "a")));

    let (third, refused) = bad.build(Some(&second));
    assert_eq!(only(refused).1, Instead::Previous, "it is reported again at the next reload");
    assert!(Arc::ptr_eq(key_of(&first, "a"), key_of(&third, "a")));

    let renewed = ca.issue(&["a.example.com"]);
    let (fourth, refused) = good.certificate("a", &renewed).build(Some(&third));
    assert_eq!(refused, []);
    assert_eq!(key_of(&fourth, "a").cert, [renewed.der()]);
}

#[test]
fn the_last_good_authorities_stay_too() {
    let ca = Authority::new("ca");
    let name = CaName::new("ca");
    let good = Parts::default().authorities("ca", &ca.pem(), None).store();
    for (pem, crl, piece) in [
        ("nonsense", None, Piece::Certificates),
        (&*ca.pem(), Some("nonsense"), Piece::Crl),
        (&ca.pem(), Some("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"), Piece::Crl),
    ] {
        let bad = Parts::default().authorities("ca", pem, crl);
        let (store, refused) = bad.build(Some(&good));
        assert_eq!(refused[0].subject, Subject::Authorities(name.clone()));
        assert_eq!(refused[0].origin, "ConfigMap/test/ca");
        let (problem, instead) = only(refused);
        assert!(malformed(piece)(&problem), "{problem}");
        assert_eq!(instead, Instead::Previous);
        assert!(Arc::ptr_eq(good.authorities(&name).unwrap(), store.authorities(&name).unwrap()));
        assert!(bad.build(None).0.authorities(&name).is_none(), "a bad revocation list must not be ignored");
    }
}

#[test]
fn a_bundle_is_used_without_what_is_no_certificate() {
    let ca = Authority::new("ca");
    let mixed = format!("{}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ca.pem());
    let parts = Parts::default().authorities("ca", &mixed, None);
    let (store, refused) = parts.build(None);
    let flaw = (CertificateProblem::PartlyUnusable { unusable: 1, total: 2 }, Instead::Rest);
    assert_eq!(only(refused), flaw);
    assert!(store.authorities(&CaName::new("ca")).is_some());
    assert_eq!(only(parts.build(Some(&store)).1), flaw, "also when it did not change");
}

#[test]
fn a_staple_is_kept_and_a_broken_one_left_out() {
    let issued = Authority::new("ca").issue(&["a.example.com"]);
    let staple = |text| Parts::default().inline("a", &issued.chain, &issued.key, Some(text));
    assert_eq!(key_of(&staple("AQID\n").store(), "a").ocsp.as_deref(), Some(&[1, 2, 3][..]));
    let (store, refused) = staple("?").build(None);
    let (problem, instead) = only(refused);
    assert!(malformed(Piece::OcspStaple)(&problem));
    assert_eq!(instead, Instead::Rest);
    assert_eq!(key_of(&store, "a").ocsp, None);
}

#[test]
fn an_expired_certificate_is_used_with_a_warning() {
    let mut params = leaf(&["a.example.com"]);
    params.not_after = date_time_ymd(2020, 1, 1);
    params.not_before = date_time_ymd(2019, 1, 1);
    let issued = Authority::new("ca").sign(&params, &KeyPair::generate().unwrap());
    let store = Parts::default().certificate("a", &issued).store();
    let (begin, end) = (1_546_300_800, 1_577_836_800);
    let kinds = |seconds| {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        store.warnings(now).into_iter().map(|warning| warning.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(begin - 1), [WarningKind::NotYetValid(1_546_300_800)]);
    assert_eq!(kinds(begin), []);
    assert_eq!(kinds(end), []);
    assert_eq!(kinds(end + 1), [WarningKind::Expired(1_577_836_800)]);
    let text = store.warnings(SystemTime::UNIX_EPOCH + Duration::from_secs(end + 1))[0].to_string();
    assert_eq!(text, "certificate a (Secret/test/a) expired at 1577836800 (seconds since 1970)");
}

#[test]
fn a_certificate_of_version_1_is_served() {
    let [chain, key] = [include_str!("../data/x509v1.crt"), include_str!("../data/x509v1.key")];
    let store = Parts::default().inline("v1", chain, key, None).store();
    let (_, origin, certificate) = store.certificates().next().unwrap();
    assert_eq!(origin, "Secret/test/v1");
    assert!(certificate.validity().is_some());
    let other = Authority::new("ca").issue(&["a.example.com"]).key;
    assert_eq!(refused(&Parts::default().inline("v1", chain, &other, None)), CertificateProblem::KeyMismatch);
}

#[test]
fn what_is_still_referred_to_is_kept_when_it_is_absent() {
    let ca = Authority::new("ca");
    let issue = || ca.issue(&["a.example.com"]);
    let before = Parts::default()
        .certificate("wanted", &issue())
        .certificate("gone", &issue())
        .certificate("still", &issue())
        .authorities("ca", &ca.pem(), None)
        .store();
    let mut now = Parts::default().certificate("still", &issue()).store();
    let still = key_of(&now, "still").clone();
    let wanted = ["wanted", "still", "unheard-of"].map(CertificateName::new);
    let kept = now.keep_absent(&before, &wanted, &[CaName::new("ca")]);
    let texts: Vec<_> = kept.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "certificate wanted (Secret/test/wanted): it is not in the snapshot; the last good one stays in use",
            "authorities ca (ConfigMap/test/ca): it is not in the snapshot; the last good one stays in use",
        ]
    );
    assert!(Arc::ptr_eq(key_of(&now, "wanted"), key_of(&before, "wanted")));
    assert!(Arc::ptr_eq(key_of(&now, "still"), &still));
    assert!(now.certificate(&CertificateName::new("gone")).is_none());
    assert!(now.authorities(&CaName::new("ca")).is_some());
}

fn files(directory: &Path) -> Parts {
    let [chain, key] = ["tls.crt", "tls.key"].map(|name| directory.join(name));
    Parts::default().source("files", CertificateSource::Files { chain, key })
}

#[test]
fn files_are_read_at_each_reload() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new("ca");
    let write = |issued: &Issued| {
        fs::write(directory.path().join("tls.crt"), &issued.chain).unwrap();
        fs::write(directory.path().join("tls.key"), &issued.key).unwrap();
    };
    let parts = files(directory.path());
    let unreadable = |problem: &CertificateProblem, piece| matches!(problem, CertificateProblem::Unreadable { piece: p, .. } if *p == piece);
    assert!(unreadable(&refused(&parts), Piece::Certificates));

    let [one, two] = [(); 2].map(|()| ca.issue(&["a.example.com"]));
    write(&one);
    let first = parts.store();
    let (same, _) = parts.build(Some(&first));
    assert!(Arc::ptr_eq(key_of(&first, "files"), key_of(&same, "files")));
    write(&two);
    let (second, _) = parts.build(Some(&first));
    assert_eq!(key_of(&second, "files").cert, [two.der()]);

    fs::remove_file(directory.path().join("tls.key")).unwrap();
    let (third, refused) = parts.build(Some(&second));
    let (problem, instead) = only(refused);
    assert!(unreadable(&problem, Piece::Key) && problem.to_string().contains("tls.key"), "{problem}");
    assert_eq!(instead, Instead::Previous);
    assert_eq!(key_of(&third, "files").cert, [two.der()]);
}

#[test]
fn only_regular_files_of_a_sane_size_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let chain = directory.path().join("tls.crt");
    let problem = || match refused(&files(directory.path())) {
        CertificateProblem::Unreadable { problem, .. } => problem,
        other => panic!("{other}"),
    };
    let file = fs::File::create(&chain).unwrap();
    file.set_len(CertificateStore::MAX_FILE_BYTES + 1).unwrap();
    assert_eq!(problem(), "larger than 4194304 bytes");
    fs::remove_file(&chain).unwrap();
    fs::create_dir(&chain).unwrap();
    assert_eq!(problem(), "not a regular file");
}

#[test]
fn authorities_come_from_files_too() {
    let directory = tempfile::tempdir().unwrap();
    let ca = Authority::new("ca");
    let path = directory.path().join("ca.crt");
    fs::write(&path, ca.pem()).unwrap();
    let mut parts = Parts::default().authorities("ca", "", None);
    for bundle in parts.certificates.authorities.values_mut() {
        bundle.certificates = PemSource::File(path.clone());
    }
    let inline = Parts::default().authorities("ca", &ca.pem(), None).store();
    let name = CaName::new("ca");
    let content = |store: &CertificateStore| store.authorities(&name).unwrap().content();
    assert_eq!(content(&parts.store()), content(&inline));
}
