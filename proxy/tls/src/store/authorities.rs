//! Authorities to trust, and what they have revoked.

use std::{collections::HashSet, sync::Arc};

use postern_snapshot::model::CaBundle;
use rustls::{
    CertificateError, ExtendedKeyPurpose, RootCertStore,
    client::{VerifierBuilderError, WebPkiServerVerifier},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem;
use crate::{CertificateProblem, Fingerprint, Piece, provider};

/// A bundle of authorities as the verifiers of both sides.
///
/// With revocation lists, as Envoy has it, each certificate of a chain must be covered by a list that is not out of
/// date. As BoringSSL has it, a certificate that is itself in the bundle is trusted although it is no authority's
/// work, or is an authority (`openssl req -x509` makes such ones, and people use them for servers).
#[derive(Debug)]
pub struct LoadedAuthorities {
    clients: Arc<dyn ClientCertVerifier>,
    servers: Arc<WebPkiServerVerifier>,
    members: HashSet<Fingerprint>,
    has_crl: bool,
    content: Fingerprint,
    flaw: Option<CertificateProblem>,
}

/// Whose certificate is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Usage {
    Client,
    Server,
}

impl LoadedAuthorities {
    /// Over certificates and revocation lists.
    #[must_use]
    pub fn content(&self) -> Fingerprint {
        self.content
    }

    pub(crate) fn clients(&self) -> &Arc<dyn ClientCertVerifier> {
        &self.clients
    }

    pub(crate) fn servers(&self) -> &Arc<WebPkiServerVerifier> {
        &self.servers
    }

    pub(super) fn flaw(&self) -> Option<&CertificateProblem> {
        self.flaw.as_ref()
    }

    /// Second thoughts about a certificate whose chain was refused with `error`: it is fine if it is in the bundle
    /// itself, in its time, and not for another purpose.
    pub(crate) fn accept_member(
        &self,
        leaf: &CertificateDer<'_>,
        usage: Usage,
        now: UnixTime,
        error: rustls::Error,
    ) -> Result<(), rustls::Error> {
        if self.has_crl || !self.members.contains(&Fingerprint::of(leaf)) {
            return Err(error);
        }
        let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return Err(error) };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now > leaf.validity().not_after.timestamp() {
            return Err(CertificateError::Expired.into());
        }
        if now < leaf.validity().not_before.timestamp() {
            return Err(CertificateError::NotValidYet.into());
        }
        let purpose = leaf.extended_key_usage().map_err(|_| CertificateError::BadEncoding)?;
        let (fits, required) = match usage {
            Usage::Client => {
                (purpose.is_none_or(|p| p.value.any || p.value.client_auth), ExtendedKeyPurpose::ClientAuth)
            }
            Usage::Server => {
                (purpose.is_none_or(|p| p.value.any || p.value.server_auth), ExtendedKeyPurpose::ServerAuth)
            }
        };
        if fits {
            Ok(())
        } else {
            Err(CertificateError::InvalidPurposeContext { required, presented: Vec::new() }.into())
        }
    }

    /// From certificates that are already there.
    pub(crate) fn new(
        certificates: &[CertificateDer<'static>],
        crls: &[CertificateRevocationListDer<'static>],
        content: Fingerprint,
    ) -> Result<Self, CertificateProblem> {
        let mut roots = RootCertStore::empty();
        let (_, unusable) = roots.add_parsable_certificates(certificates.iter().cloned());
        let roots = Arc::new(roots);
        let clients = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider())
            .with_crls(crls.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| problem(&error))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .with_crls(crls.iter().cloned())
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| problem(&error))?;
        let total = certificates.len();
        Ok(Self {
            clients,
            servers,
            members: certificates.iter().map(|der| Fingerprint::of(der)).collect(),
            has_crl: !crls.is_empty(),
            content,
            flaw: (unusable > 0).then_some(CertificateProblem::PartlyUnusable { unusable, total }),
        })
    }
}

fn problem(error: &VerifierBuilderError) -> CertificateProblem {
    match error {
        VerifierBuilderError::InvalidCrl(_) => CertificateProblem::Malformed {
            piece: Piece::Crl,
            problem: "not an X.509 revocation list of version 2, or one with unsupported critical extensions",
        },
        _ => CertificateProblem::Malformed {
            piece: Piece::Certificates,
            problem: "none can be used as an authority",
        },
    }
}

/// Reads and checks it; what did not change is `last`.
pub(super) fn load(
    bundle: &CaBundle,
    last: Option<&Arc<LoadedAuthorities>>,
) -> Result<Arc<LoadedAuthorities>, CertificateProblem> {
    let certificates = pem::text(&bundle.certificates, Piece::Certificates)?;
    let crl = bundle.crl.as_ref().map(|crl| pem::text(crl, Piece::Crl)).transpose()?;
    let content =
        Fingerprint::of_parts([Some(&certificates), crl.as_ref()].into_iter().flatten().map(|c| &**c));
    if let Some(last) = last.filter(|last| last.content == content) {
        return Ok(last.clone());
    }
    let certificates: Vec<_> = pem::sections(&certificates, Piece::Certificates)?;
    let crls = match &crl {
        Some(text) => pem::sections(text, Piece::Crl)?,
        None => Vec::new(),
    };
    LoadedAuthorities::new(&certificates, &crls, content).map(Arc::new)
}
