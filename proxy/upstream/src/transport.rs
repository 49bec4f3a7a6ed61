//! How an endpoint is spoken with.

use std::{fmt, sync::Arc};

use postern_snapshot::model::UpstreamProtocol;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

/// What is spoken with an endpoint, and TLS beneath it. Connections are only shared within one transport.
pub struct Transport {
    protocol: UpstreamProtocol,
    tls: Option<ClientTls>,
}

/// The client's side of TLS.
pub(crate) struct ClientTls {
    pub(crate) config: Arc<ClientConfig>,
    /// What the ClientHello names; `None`: the request's host.
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Transport {
    pub(crate) const fn new(protocol: UpstreamProtocol, tls: Option<ClientTls>) -> Self {
        Self { protocol, tls }
    }

    /// HTTP/1.1 or HTTP/2.
    #[must_use]
    pub const fn protocol(&self) -> UpstreamProtocol {
        self.protocol
    }

    /// Is TLS beneath it?
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(crate) const fn tls(&self) -> Option<&ClientTls> {
        self.tls.as_ref()
    }

    /// Does the TLS server name come from each request, so that connections for different hosts differ?
    pub(crate) fn names_request_host(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.server_name.is_none())
    }

    #[cfg(test)]
    pub(crate) fn plaintext_for_tests() -> Arc<Self> {
        Arc::new(Self::new(UpstreamProtocol::Http1, None))
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
