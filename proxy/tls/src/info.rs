//! What logs say about a TLS connection.

use std::sync::Arc;

use rustls::{CipherSuite, CommonState, HandshakeKind, ProtocolVersion, ServerConnection};

use crate::PeerCertificate;

/// The facts of a connection after its handshake. Cheap to make, and meant to be made once for each connection.
#[derive(Debug, Clone)]
pub struct TlsInfo {
    /// As Envoy's `%DOWNSTREAM_TLS_VERSION%`: `TLSv1.3`.
    pub version: &'static str,
    /// As Envoy's `%DOWNSTREAM_TLS_CIPHER%`: `TLS_AES_128_GCM_SHA256`, `ECDHE-RSA-AES128-GCM-SHA256`.
    pub cipher: &'static str,
    /// What the client called us, in lower case (Envoy's `%REQUESTED_SERVER_NAME%`).
    pub server_name: Option<Arc<str>>,
    /// What was agreed on by ALPN.
    pub alpn: Option<Vec<u8>>,
    /// Was a session resumed?
    pub resumed: bool,
    /// What the peer has shown, if anything.
    pub peer: Option<Arc<PeerCertificate>>,
}

impl TlsInfo {
    /// Of a connection that a client has made to us.
    #[must_use]
    pub fn of_server(connection: &ServerConnection) -> Self {
        Self { server_name: connection.server_name().map(Arc::from), ..Self::of(connection) }
    }

    /// Of any connection; without the server name.
    #[must_use]
    pub fn of(connection: &CommonState) -> Self {
        let cipher = connection.negotiated_cipher_suite().map(|suite| suite.suite());
        let peer = connection.peer_certificates().and_then(PeerCertificate::new);
        Self {
            version: connection.protocol_version().map_or("", version_name),
            cipher: cipher.map_or("", cipher_name),
            server_name: None,
            alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            peer: peer.map(Arc::new),
        }
    }
}

/// OpenSSL's and so Envoy's name of a version, `TLSv1.3`; empty for what this crate does not speak.
#[must_use]
pub const fn version_name(version: ProtocolVersion) -> &'static str {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2",
        ProtocolVersion::TLSv1_3 => "TLSv1.3",
        _ => "",
    }
}

/// OpenSSL's and so Envoy's name of a cipher suite; empty for what this crate does not speak.
#[must_use]
pub const fn cipher_name(suite: CipherSuite) -> &'static str {
    match suite {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_and_version_that_is_spoken_has_a_name() {
        for suite in &crate::provider().cipher_suites {
            assert_ne!(cipher_name(suite.suite()), "", "{suite:?}");
        }
        for version in rustls::ALL_VERSIONS {
            assert_ne!(version_name(version.version), "", "{version:?}");
        }
    }
}
