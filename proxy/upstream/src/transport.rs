//! How an endpoint is spoken with.

use std::{fmt, sync::Arc};

use postern_snapshot::model::{self, UpstreamProtocol, UpstreamTls};
use postern_tls::{CertificateStore, Fingerprint, TlsError};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

/// What is spoken with an endpoint, and TLS beneath it. Connections are only shared within one transport.
pub struct Transport {
    protocol: UpstreamProtocol,
    tls: Option<ClientTls>,
}

/// The client's side of TLS.
struct ClientTls {
    config: Arc<ClientConfig>,
    settings: UpstreamTls,
    /// What the ClientHello names; `None`: the request's host.
    server_name: Option<ServerName<'static>>,
}

/// All that a transport depends on: those with equal identities are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TransportId {
    protocol: UpstreamProtocol,
    tls: Option<Fingerprint>,
}

impl TransportId {
    /// Of the transport that these settings ask for.
    pub(crate) fn of(settings: &model::Cluster, certificates: &CertificateStore) -> Self {
        let tls = settings.tls.as_ref();
        Self {
            protocol: settings.protocol,
            tls: tls.map(|tls| postern_tls::client_fingerprint(tls, alpn(settings.protocol), certificates)),
        }
    }
}

/// What is offered in the TLS handshake. As Istio has it, nothing but for HTTP/2: the cluster may be one for TCP.
const fn alpn(protocol: UpstreamProtocol) -> &'static [&'static str] {
    match protocol {
        UpstreamProtocol::Http1 | UpstreamProtocol::Udp => &[],
        UpstreamProtocol::Http2 => &["h2"],
    }
}

impl Transport {
    pub(crate) fn new(settings: &model::Cluster, certificates: &CertificateStore) -> Result<Self, TlsError> {
        let tls = match &settings.tls {
            None => None,
            Some(tls) => Some(ClientTls {
                config: postern_tls::client_config(tls, alpn(settings.protocol), certificates)?,
                server_name: tls.sni.as_deref().map(|sni| postern_tls::server_name(tls, sni)).transpose()?,
                settings: tls.clone(),
            }),
        };
        Ok(Self { protocol: settings.protocol, tls })
    }

    /// HTTP/1.1, HTTP/2 or datagrams.
    #[must_use]
    pub const fn protocol(&self) -> UpstreamProtocol {
        self.protocol
    }

    /// Is TLS beneath it?
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) fn tls_config(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref().map(|tls| &tls.config)
    }

    /// The cluster's own name for the TLS handshake.
    pub(crate) fn server_name(&self) -> Option<&ServerName<'static>> {
        self.tls.as_ref().and_then(|tls| tls.server_name.as_ref())
    }

    /// The name for the TLS handshake if it comes from the request, so that connections for different hosts differ;
    /// an error when the request has none that will do.
    pub(crate) fn name_from(&self, host: Option<&str>) -> Option<Result<ServerName<'static>, TlsError>> {
        match &self.tls {
            Some(ClientTls { server_name: None, settings, .. }) => {
                Some(postern_tls::server_name(settings, host.unwrap_or_default()))
            }
            _ => None,
        }
    }

    #[cfg(test)]
    pub(crate) fn plaintext_for_tests() -> Arc<Self> {
        Arc::new(Self { protocol: UpstreamProtocol::Http1, tls: None })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("protocol", &self.protocol)
            .field("tls", &self.is_tls())
            .finish_non_exhaustive()
    }
}
