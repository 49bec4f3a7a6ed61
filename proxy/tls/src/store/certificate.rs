//! One certificate to show: its chain, its key, its staple.

use std::{borrow::Cow, fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use postern_snapshot::model::{CertificateSource, Keys};
use rustls::sign::{CertifiedKey, SigningKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem;
use crate::{CertificateProblem, Fingerprint, Piece, provider};

/// A chain and its key, known to belong together.
pub struct LoadedCertificate {
    key: Arc<CertifiedKey>,
    validity: Option<Validity>,
    content: Fingerprint,
    flaw: Option<CertificateProblem>,
}

/// When a certificate may be used, in seconds since 1970, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// From here.
    pub not_before: i64,
    /// To here.
    pub not_after: i64,
}

impl LoadedCertificate {
    /// The chain and the key as rustls wants them.
    #[must_use]
    pub fn certified_key(&self) -> &Arc<CertifiedKey> {
        &self.key
    }

    /// When the first certificate of the chain may be used; `None` when it does not say so in a readable way.
    #[must_use]
    pub fn validity(&self) -> Option<Validity> {
        self.validity
    }

    /// Over chain, key and staple.
    #[must_use]
    pub fn content(&self) -> Fingerprint {
        self.content
    }

    pub(super) fn flaw(&self) -> Option<&CertificateProblem> {
        self.flaw.as_ref()
    }
}

impl fmt::Debug for LoadedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadedCertificate").field("validity", &self.validity).finish_non_exhaustive()
    }
}

/// Reads and checks it; what did not change is `last`.
pub(super) fn load(
    source: &CertificateSource,
    keys: &Keys,
    last: Option<&Arc<LoadedCertificate>>,
) -> Result<Arc<LoadedCertificate>, CertificateProblem> {
    let text = Text::read(source, keys)?;
    let content = text.fingerprint();
    match last.filter(|last| last.content == content) {
        Some(last) => Ok(last.clone()),
        None => text.parse(content).map(Arc::new),
    }
}

struct Text<'a> {
    chain: Cow<'a, [u8]>,
    key: Cow<'a, [u8]>,
    ocsp_staple: Option<&'a str>,
}

impl<'a> Text<'a> {
    fn read(source: &'a CertificateSource, keys: &'a Keys) -> Result<Self, CertificateProblem> {
        match source {
            CertificateSource::Inline { chain, key, ocsp_staple } => {
                let Some(pem) = keys.0.get(key) else { return Err(CertificateProblem::NoKey(key.clone())) };
                Ok(Self {
                    chain: Cow::Borrowed(chain.as_bytes()),
                    key: Cow::Borrowed(pem.as_bytes()),
                    ocsp_staple: ocsp_staple.as_deref(),
                })
            }
            CertificateSource::Files { chain, key } => Ok(Self {
                chain: Cow::Owned(pem::read(chain, Piece::Certificates)?),
                key: Cow::Owned(pem::read(key, Piece::Key)?),
                ocsp_staple: None,
            }),
        }
    }

    fn fingerprint(&self) -> Fingerprint {
        let staple = self.ocsp_staple.unwrap_or_default().as_bytes();
        Fingerprint::of_parts([&*self.chain, &*self.key, staple])
    }

    fn parse(&self, content: Fingerprint) -> Result<LoadedCertificate, CertificateProblem> {
        let chain: Vec<CertificateDer<'static>> = pem::sections(&self.chain, Piece::Certificates)?;
        let key: PrivateKeyDer<'static> = pem::section(&self.key, Piece::Key)?;
        let key =
            provider().key_provider.load_private_key(key).map_err(|_| CertificateProblem::UnsupportedKey)?;
        let leaf = chain.first().and_then(|leaf| X509Certificate::from_der(leaf).ok()).map(|(_, leaf)| leaf);
        check_key(&chain, leaf.as_ref(), &key)?;
        let validity = leaf.as_ref().map(|leaf| Validity {
            not_before: leaf.validity().not_before.timestamp(),
            not_after: leaf.validity().not_after.timestamp(),
        });
        let (ocsp, flaw) = match self.ocsp_staple.map(|text| STANDARD.decode(text.trim())) {
            None => (None, None),
            Some(Ok(staple)) => (Some(staple), None),
            Some(Err(_)) => {
                let piece = Piece::OcspStaple;
                (None, Some(CertificateProblem::Malformed { piece, problem: "not base64" }))
            }
        };
        let mut certified = CertifiedKey::new(chain, key);
        certified.ocsp = ocsp;
        Ok(LoadedCertificate { key: Arc::new(certified), validity, content, flaw })
    }
}

/// Does the key belong to the first certificate of the chain?
///
/// Not by [`CertifiedKey::keys_match`] alone: it takes only X.509 version 3, and `openssl x509 -req` without
/// extensions, as in Istio's own tasks, makes version 1, which clients accept.
fn check_key(
    chain: &[CertificateDer<'_>],
    leaf: Option<&X509Certificate<'_>>,
    key: &Arc<dyn SigningKey>,
) -> Result<(), CertificateProblem> {
    const UNREADABLE: CertificateProblem =
        CertificateProblem::Malformed { piece: Piece::Certificates, problem: "not an X.509 certificate" };
    let Some(expected) = key.public_key() else { return Err(CertificateProblem::UnsupportedKey) };
    let matches = match leaf {
        Some(leaf) => leaf.public_key().raw == expected.as_ref(),
        None => {
            let der = chain.first().ok_or(UNREADABLE)?;
            let leaf = webpki::EndEntityCert::try_from(der).map_err(|_| UNREADABLE)?;
            leaf.subject_public_key_info() == expected
        }
    };
    if matches { Ok(()) } else { Err(CertificateProblem::KeyMismatch) }
}
