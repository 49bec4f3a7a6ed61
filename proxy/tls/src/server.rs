//! The proxy as TLS server.

mod certificates;
mod client_auth;
mod pins;
mod resumption;

use std::sync::Arc;

use postern_snapshot::{
    CertificateName,
    model::{ServerTls, TlsVersion},
};
use rustls::{
    ServerConfig, SupportedProtocolVersion,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
    version,
};

pub use self::resumption::SessionResumption;
use self::{certificates::CertificatesByKind, client_auth::ClientAuthVerifier};
use crate::{CertificateStore, Fingerprint, TlsError, provider::provider_for};

/// What a chain needs to terminate TLS.
#[derive(Debug, Clone)]
pub struct ServerSide {
    /// For `tokio_rustls::TlsAcceptor`; shared by all workers.
    pub config: Arc<ServerConfig>,
    /// Certificates that it does without, because the store has none of these names.
    pub missing: Vec<CertificateName>,
}

/// The settings of a terminating chain.
///
/// * The first certificate that suits the client's signature algorithms is shown. If only some of the certificates
///   are there, it is served with those.
/// * TLS 1.2 and 1.3 unless limited. Named cipher suites are for TLS 1.2, in the server's order of preference; those
///   of TLS 1.3 always stay on.
/// * Client certificates as [`ClientAuth`](postern_snapshot::model::ClientAuth) says.
/// * Sessions can be resumed, also after a reload, as long as everything but the content of the certificates is
///   the same: see [`SessionResumption`].
///
/// # Errors
/// No certificate is usable, the authorities are missing, no version is left, a pin is malformed.
pub fn server_config(
    tls: &ServerTls,
    store: &CertificateStore,
    resumption: &SessionResumption,
) -> Result<ServerSide, TlsError> {
    let versions = versions(tls)?;
    let provider = provider_for(&versions, &tls.cipher_suites);
    let (certificates, missing) = CertificatesByKind::find(&tls.certificates, store, &provider)?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| TlsError::Refused(error.to_string()))?
        .with_client_cert_verifier(client_verifier(tls, store)?)
        .with_cert_resolver(Arc::new(certificates));
    config.ignore_client_order = !tls.cipher_suites.is_empty();
    config.alpn_protocols = alpn(&tls.alpn);
    let scope = settings_fingerprint(tls, store);
    config.session_storage = resumption.sessions(scope);
    config.ticketer = resumption.tickets(scope);
    Ok(ServerSide { config: Arc::new(config), missing })
}

/// Over everything that [`server_config`] looks at: as long as it stays the same, so does the result.
#[must_use]
pub fn server_fingerprint(tls: &ServerTls, store: &CertificateStore) -> Fingerprint {
    let settings = settings_fingerprint(tls, store);
    let certificates = tls.certificates.iter().filter_map(|name| store.certificate(name));
    let contents: Vec<_> = std::iter::once(settings).chain(certificates.map(|c| c.content())).collect();
    Fingerprint::of_parts(contents.iter().map(|content| content.as_bytes().as_slice()))
}

/// Over the settings and who is trusted, but not the content of the certificates that are shown.
fn settings_fingerprint(tls: &ServerTls, store: &CertificateStore) -> Fingerprint {
    let ca = tls.client_auth.as_ref().and_then(|auth| auth.ca.as_ref());
    let trusted = ca.and_then(|ca| store.authorities(ca)).map(|authorities| authorities.content());
    let trusted = trusted.as_ref().map_or(&[][..], |content| content.as_bytes());
    // `Debug` shows every field and is compared only within this process.
    Fingerprint::of_parts([format!("{tls:?}").as_bytes(), trusted])
}

fn versions(tls: &ServerTls) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let min = tls.min_version.unwrap_or(TlsVersion::V1_2);
    let max = tls.max_version.unwrap_or(TlsVersion::V1_3);
    let all = [(TlsVersion::V1_3, &version::TLS13), (TlsVersion::V1_2, &version::TLS12)];
    let within: Vec<_> = all.into_iter().filter(|(v, _)| (min..=max).contains(v)).map(|(_, v)| v).collect();
    if within.is_empty() { Err(TlsError::NoVersion { min, max }) } else { Ok(within) }
}

fn client_verifier(
    tls: &ServerTls,
    store: &CertificateStore,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    match &tls.client_auth {
        None => Ok(WebPkiClientVerifier::no_client_auth()),
        Some(auth) => Ok(Arc::new(ClientAuthVerifier::new(auth, store)?)),
    }
}

/// What speaks HTTP/1.1 also speaks HTTP/1.0 (RFC 9110 section 2.5); a client that offers only that (`curl --http1.0`)
/// would otherwise be refused with `no_application_protocol`.
fn alpn(protocols: &[String]) -> Vec<Vec<u8>> {
    let http10 = protocols.iter().any(|protocol| protocol == "http/1.1").then(|| b"http/1.0".to_vec());
    protocols.iter().map(|protocol| protocol.clone().into_bytes()).chain(http10).collect()
}
