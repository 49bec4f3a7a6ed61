//! Authorities to trust, and what they have revoked.

use std::{collections::HashSet, sync::Arc};

use postern_snapshot::model::CaBundle;
use rustls::{
    CertificateError, DistinguishedName, Error, ExtendedKeyPurpose, RootCertStore,
    client::{VerifierBuilderError, WebPkiServerVerifier, danger::ServerCertVerifier},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::pem;
use crate::{CertificateProblem, Fingerprint, Piece, provider, version1::Issuers};

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
    issuers: Issuers,
    has_crl: bool,
    content: Fingerprint,
    flaw: Option<CertificateProblem>,
}

/// Whose certificate is looked at.
#[derive(Debug, Clone, Copy)]
enum Usage {
    Client,
    Server,
}

impl LoadedAuthorities {
    /// Over certificates and revocation lists.
    #[must_use]
    pub fn content(&self) -> Fingerprint {
        self.content
    }

    /// What clients are told about whom we trust.
    pub(crate) fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.clients.root_hint_subjects()
    }

    /// Does the chain of a client lead here?
    pub(crate) fn verify_client(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<(), Error> {
        let Err(error) = self.clients.verify_client_cert(leaf, intermediates, now) else { return Ok(()) };
        // What follows knows nothing of revocations.
        if self.has_crl {
            return Err(error);
        }
        if self.is_member(leaf) {
            return check_member(leaf, Usage::Client, now);
        }
        self.issuers.verify(leaf, now).unwrap_or(Err(error))
    }

    /// Does the chain of a server lead here? Its name is not looked at.
    pub(crate) fn verify_server(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        match self.servers.verify_server_cert(leaf, intermediates, server_name, &[], now) {
            // The name is looked at only once the chain is found good.
            Ok(_)
            | Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(()),
            Err(_) if !self.has_crl && self.is_member(leaf) => check_member(leaf, Usage::Server, now),
            Err(error) => Err(error),
        }
    }

    fn is_member(&self, leaf: &CertificateDer<'_>) -> bool {
        self.members.contains(&Fingerprint::of(leaf))
    }

    pub(super) fn flaw(&self) -> Option<&CertificateProblem> {
        self.flaw.as_ref()
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
            issuers: Issuers::of(certificates),
            has_crl: !crls.is_empty(),
            content,
            flaw: (unusable > 0).then_some(CertificateProblem::PartlyUnusable { unusable, total }),
        })
    }
}

/// Is a certificate of the bundle itself in its time, and not for another purpose?
fn check_member(leaf: &CertificateDer<'_>, usage: Usage, now: UnixTime) -> Result<(), Error> {
    let (_, leaf) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::BadEncoding)?;
    check_validity(&leaf, now)?;
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

/// Is the certificate in its time?
pub(crate) fn check_validity(certificate: &X509Certificate<'_>, now: UnixTime) -> Result<(), Error> {
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    if now > validity.not_after.timestamp() {
        Err(CertificateError::Expired.into())
    } else if now < validity.not_before.timestamp() {
        Err(CertificateError::NotValidYet.into())
    } else {
        Ok(())
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
