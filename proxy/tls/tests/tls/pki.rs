//! Authorities, certificates, and the parts of a snapshot that hold them.

use postern_snapshot::{
    CaName, CertificateName, KeyId,
    model::{CaBundle, Certificate, CertificateSource, Certificates, Keys, PemSource},
};
use postern_tls::{CertificateStore, RefusedCertificate};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RevokedCertParams,
    RsaKeySize, SanType, SerialNumber, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// An authority with an ECDSA key.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.0.der().clone()
    }

    /// A certificate with an ECDSA key for these DNS names.
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(&leaf(names), &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    pub fn issue_rsa(&self, names: &[&str]) -> Issued {
        self.sign(&leaf(names), &KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap())
    }

    pub fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Issued {
        Issued { chain: params.signed_by(key, &*self.0).unwrap().pem(), key: key.serialize_pem() }
    }

    /// A revocation list with these serial numbers, good until the first of January of a year.
    pub fn revoke(&self, serials: &[u64], next_update: i32) -> String {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(next_update, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.0).unwrap().pem().unwrap()
    }
}

/// What a certificate for these DNS names is made from.
pub fn leaf(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "leaf");
    params
}

/// The same with a URI in place of DNS names.
pub fn leaf_with_uri(uri: &str) -> CertificateParams {
    let mut params = leaf(&[]);
    params.subject_alt_names = vec![SanType::URI(uri.try_into().unwrap())];
    params
}

/// A self-signed certificate that says it is an authority, as `openssl req -x509` makes them.
pub fn self_signed_authority(names: &[&str], not_after: i32) -> Issued {
    let mut params = leaf(names);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.not_after = date_time_ymd(not_after, 1, 1);
    let key = KeyPair::generate().unwrap();
    Issued { chain: params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
}

/// A certificate and its key, as PEM.
#[derive(Clone)]
pub struct Issued {
    pub chain: String,
    pub key: String,
}

impl Issued {
    pub fn chain_der(&self) -> Vec<CertificateDer<'static>> {
        CertificateDer::pem_slice_iter(self.chain.as_bytes()).map(Result::unwrap).collect()
    }

    pub fn der(&self) -> CertificateDer<'static> {
        self.chain_der().remove(0)
    }

    pub fn key_der(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap()
    }
}

/// The parts `certificates` and `keys` of a snapshot.
#[derive(Default, Clone)]
pub struct Parts {
    pub certificates: Certificates,
    pub keys: Keys,
}

impl Parts {
    pub fn certificate(self, name: &str, issued: &Issued) -> Self {
        self.inline(name, &issued.chain, &issued.key, None)
    }

    pub fn inline(mut self, name: &str, chain: &str, key: &str, staple: Option<&str>) -> Self {
        let id = KeyId::new(format!("key of {name}"));
        self.keys.0.insert(id.clone(), key.to_owned());
        let ocsp_staple = staple.map(str::to_owned);
        self.source(name, CertificateSource::Inline { chain: chain.to_owned(), key: id, ocsp_staple })
    }

    pub fn source(mut self, name: &str, source: CertificateSource) -> Self {
        let certificate = Certificate { origin: format!("Secret/test/{name}"), source };
        self.certificates.certificates.insert(CertificateName::new(name), certificate);
        self
    }

    pub fn authorities(mut self, name: &str, pem: &str, crl: Option<&str>) -> Self {
        let bundle = CaBundle {
            origin: format!("ConfigMap/test/{name}"),
            certificates: PemSource::Inline(pem.to_owned()),
            crl: crl.map(|crl| PemSource::Inline(crl.to_owned())),
        };
        self.certificates.authorities.insert(CaName::new(name), bundle);
        self
    }

    pub fn build(&self, previous: Option<&CertificateStore>) -> (CertificateStore, Vec<RefusedCertificate>) {
        CertificateStore::build(&self.certificates, &self.keys, previous)
    }

    /// The store, in which nothing may be refused.
    pub fn store(&self) -> CertificateStore {
        let (store, refused) = self.build(None);
        assert_eq!(refused, []);
        store
    }
}
