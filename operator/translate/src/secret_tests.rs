use super::*;
use k8s_openapi::ByteString;

const CERT: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN EC PRIVATE KEY-----\nMA==\n-----END EC PRIVATE KEY-----\n";
const CRL: &str = "-----BEGIN X509 CRL-----\nMA==\n-----END X509 CRL-----\n";

fn secret(data: &[(&str, &str)]) -> Secret {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
    Secret { data: Some(data.collect()), ..Secret::default() }
}

#[test]
fn reads_both_styles() {
    for (cert, key) in [("cert", "key"), ("tls.crt", "tls.key")] {
        let found = server_certificate(&secret(&[(cert, CERT), (key, KEY)])).unwrap();
        assert_eq!((found.chain.as_str(), found.key.as_str(), found.ocsp_staple), (CERT, KEY, None));
    }
    let staple =
        server_certificate(&secret(&[("tls.crt", CERT), ("tls.key", KEY), ("tls.ocsp-staple", "ab")]));
    assert_eq!(staple.unwrap().ocsp_staple.as_deref(), Some("YWI="));
    for (ca, crl) in [("cacert", "crl"), ("ca.crt", "ca.crl")] {
        let found = authorities(&secret(&[(ca, CERT), (crl, CRL)])).unwrap();
        assert_eq!((found.certificates.as_str(), found.crl.as_deref()), (CERT, Some(CRL)));
    }
}

#[test]
fn string_data_goes_before_data() {
    let mut both = secret(&[("tls.crt", "x"), ("tls.key", KEY)]);
    both.string_data = Some([("tls.crt".to_owned(), CERT.to_owned())].into());
    assert_eq!(server_certificate(&both).unwrap().chain, CERT);
}

#[test]
fn says_what_is_missing() {
    let certificate = |data: &[(&str, &str)]| server_certificate(&secret(data)).unwrap_err().to_string();
    assert_eq!(certificate(&[]), "it has neither tls.crt and tls.key nor cert and key");
    assert_eq!(certificate(&[("tls.crt", CERT)]), "it has tls.crt but no tls.key");
    assert_eq!(certificate(&[("tls.crt", ""), ("tls.key", KEY)]), "it has tls.key but no tls.crt");
    assert_eq!(
        certificate(&[("tls.crt", CERT), ("tls.key", CERT)]),
        "its tls.key holds no PEM block PRIVATE KEY"
    );
    let cut = CERT.replace("-----END", "---");
    assert_eq!(
        certificate(&[("tls.crt", &cut), ("tls.key", KEY)]),
        "its tls.crt holds no PEM block CERTIFICATE"
    );
    assert_eq!(authorities(&secret(&[("tls.crt", CERT)])).unwrap_err(), SecretError::NoAuthorities);
}
