//! The proxy as TLS client of its upstreams.

mod system;
mod verify;

use std::{net::IpAddr, sync::Arc};

use postern_snapshot::model::{UpstreamTls, UpstreamTrust};
use rustls::{ClientConfig, client::danger::ServerCertVerifier, sign::SingleCertAndKey};
use rustls_pki_types::ServerName;

use self::verify::{AuthorityVerifier, NoVerification};
use crate::{CertificateStore, Fingerprint, LoadedAuthorities, TlsError, provider};

/// The settings towards an upstream, TLS 1.2 and 1.3, offering these protocols by ALPN (empty: no ALPN).
///
/// The server's certificate must be signed by who is trusted, and hold one of
/// [`subject_alt_names`](UpstreamTls::subject_alt_names), or without those the name that [`server_name`] gives.
/// [`InsecureSkipVerify`](UpstreamTrust::InsecureSkipVerify) skips both (Istio). Sessions are resumed among the
/// connections made with one configuration: keep it while [`client_fingerprint`] stays the same.
///
/// # Errors
/// Authorities or client certificate are missing, a wanted name is no name.
pub fn client_config(
    tls: &UpstreamTls,
    alpn: &[&str],
    store: &CertificateStore,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| TlsError::Refused(error.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(verifier(tls, store)?);
    let mut config = match &tls.client_certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let found = store.certificate(name);
            let certificate = found.ok_or_else(|| TlsError::NoCertificate(vec![name.clone()]))?;
            let key = SingleCertAndKey::from(certificate.certified_key().clone());
            builder.with_client_cert_resolver(Arc::new(key))
        }
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// Over everything that [`client_config`] looks at: as long as it stays the same, so does the result. It also tells
/// connections apart that must not share a pool.
#[must_use]
pub fn client_fingerprint(tls: &UpstreamTls, alpn: &[&str], store: &CertificateStore) -> Fingerprint {
    let trusted = match &tls.trust {
        UpstreamTrust::Ca(name) => store.authorities(name).map(|authorities| authorities.content()),
        UpstreamTrust::System | UpstreamTrust::InsecureSkipVerify => None,
    };
    let certificate = tls.client_certificate.as_ref().and_then(|name| store.certificate(name));
    let contents = [trusted, certificate.map(|certificate| certificate.content())];
    // `Debug` shows every field and is compared only within this process.
    let settings = format!("{tls:?} {alpn:?} {contents:?}");
    Fingerprint::of(settings.as_bytes())
}

/// What the ClientHello names (an IP address is not sent) and, without `subject_alt_names`, what the certificate must
/// hold: `sni`, or else the host of the request, whose port and brackets are dropped.
///
/// # Errors
/// It is neither a DNS name nor an IP address.
pub fn server_name(tls: &UpstreamTls, request_host: &str) -> Result<ServerName<'static>, TlsError> {
    let name = tls.sni.as_deref().unwrap_or_else(|| without_port(request_host));
    parse_name(name)
}

fn parse_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).map_err(|_| TlsError::InvalidServerName(name.to_owned()))
}

fn without_port(host: &str) -> &str {
    if let Some(bracketed) = host.strip_prefix('[') {
        return bracketed.split_once(']').map_or(host, |(address, _)| address);
    }
    if host.parse::<IpAddr>().is_ok() {
        return host;
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn verifier(tls: &UpstreamTls, store: &CertificateStore) -> Result<Arc<dyn ServerCertVerifier>, TlsError> {
    let authorities: Arc<LoadedAuthorities> = match &tls.trust {
        UpstreamTrust::InsecureSkipVerify => return Ok(Arc::new(NoVerification::default())),
        UpstreamTrust::Ca(name) => {
            store.authorities(name).ok_or_else(|| TlsError::NoAuthorities(name.clone()))?.clone()
        }
        UpstreamTrust::System => system::authorities()?,
    };
    Ok(Arc::new(AuthorityVerifier::new(authorities, &tls.subject_alt_names)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(sni: Option<&str>) -> UpstreamTls {
        UpstreamTls {
            sni: sni.map(str::to_owned),
            trust: UpstreamTrust::InsecureSkipVerify,
            subject_alt_names: Vec::new(),
            client_certificate: None,
        }
    }

    #[test]
    fn the_server_name_is_the_sni_or_the_host_without_port() {
        let name = |sni, host| server_name(&upstream(sni), host).map(|name| name.to_str().into_owned());
        assert_eq!(name(Some("a.example.com"), "b.example.com"), Ok("a.example.com".to_owned()));
        assert_eq!(name(None, "b.example.com:8443"), Ok("b.example.com".to_owned()));
        assert_eq!(name(None, "b.example.com"), Ok("b.example.com".to_owned()));
        assert_eq!(name(None, "10.0.0.1:443"), Ok("10.0.0.1".to_owned()));
        assert_eq!(name(None, "[::1]:443"), Ok("::1".to_owned()));
        assert_eq!(name(None, "[::1]"), Ok("::1".to_owned()));
        assert_eq!(name(None, "::1"), Ok("::1".to_owned()));
        for bad in ["", "a b", "[::1", ":443", "-"] {
            assert!(name(None, bad).is_err(), "{bad}");
        }
    }
}
