//! Handshakes in memory.

use std::{io, sync::Arc};

use postern_tls::provider;
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, ConnectionCommon, Error, RootCertStore, ServerConfig,
    ServerConnection, SideData, SupportedProtocolVersion,
    client::WebPkiServerVerifier,
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName},
};

use crate::pki::{Authority, Issued};

/// Both ends of a connection whose handshake is done.
pub struct Established {
    pub client: ClientConnection,
    pub server: ServerConnection,
}

/// Who gave up, and why.
#[derive(Debug)]
pub enum Failure {
    Client(Error),
    Server(Error),
}

impl Established {
    pub fn server_certificate(&self) -> CertificateDer<'static> {
        self.client.peer_certificates().unwrap()[0].clone()
    }

    pub fn client_certificate(&self) -> Option<CertificateDer<'static>> {
        Some(self.server.peer_certificates()?[0].clone())
    }

    pub fn suite(&self) -> CipherSuite {
        self.server.negotiated_cipher_suite().unwrap().suite()
    }

    pub fn resumed(&self) -> bool {
        let kind = self.server.handshake_kind();
        assert_eq!(kind, self.client.handshake_kind());
        kind == Some(rustls::HandshakeKind::Resumed)
    }
}

/// Passes bytes back and forth until there are no more (that is after the tickets, and after the server has looked at
/// the client's certificate).
pub fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &str,
) -> Result<Established, Failure> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(client.clone(), name).unwrap();
    let mut server = ServerConnection::new(server.clone()).unwrap();
    loop {
        let there = transfer(&mut client, &mut server).map_err(Failure::Server)?;
        let back = transfer(&mut server, &mut client).map_err(Failure::Client)?;
        if !there && !back {
            break;
        }
    }
    assert!(!client.is_handshaking() && !server.is_handshaking());
    Ok(Established { client, server })
}

fn transfer<A: SideData, B: SideData>(
    from: &mut ConnectionCommon<A>,
    to: &mut ConnectionCommon<B>,
) -> Result<bool, Error> {
    let mut bytes = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut bytes).unwrap();
    }
    let mut rest = io::Cursor::new(&bytes);
    while rest.position() < bytes.len() as u64 {
        to.read_tls(&mut rest).unwrap();
        to.process_new_packets()?;
    }
    Ok(!bytes.is_empty())
}

/// A client of the servers under test.
pub struct Client {
    roots: RootCertStore,
    provider: CryptoProvider,
    versions: Vec<&'static SupportedProtocolVersion>,
    alpn: Vec<Vec<u8>>,
}

impl Client {
    pub fn trusting(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let versions = rustls::ALL_VERSIONS.to_vec();
        Self { roots, provider: (*provider()).clone(), versions, alpn: Vec::new() }
    }

    pub fn version(mut self, version: &'static SupportedProtocolVersion) -> Self {
        self.versions = vec![version];
        self
    }

    pub fn suites(mut self, suites: &[CipherSuite]) -> Self {
        self.provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
        self
    }

    /// Verifies only signatures whose name holds this text.
    pub fn signatures(mut self, text: &str) -> Self {
        let algorithms = &mut self.provider.signature_verification_algorithms;
        let mapping = algorithms.mapping.iter().filter(|(scheme, _)| format!("{scheme:?}").contains(text));
        algorithms.mapping = Box::leak(mapping.copied().collect());
        self
    }

    pub fn alpn(mut self, protocols: &[&str]) -> Self {
        self.alpn = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        self
    }

    pub fn showing(self, certificate: Option<&Issued>) -> Arc<ClientConfig> {
        let provider = Arc::new(self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots), provider.clone());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_webpki_verifier(verifier.build().unwrap());
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => builder.with_client_auth_cert(issued.chain_der(), issued.key_der()).unwrap(),
        };
        config.alpn_protocols = self.alpn;
        Arc::new(config)
    }

    pub fn config(self) -> Arc<ClientConfig> {
        self.showing(None)
    }
}
