//! Where the ingress listens, and what happens to a connection before there is a request.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};

use super::{HttpChain, WeightedTarget, millis};
use crate::{CaName, CertificateName, HostPattern, Port};

/// One socket address on which the proxy accepts connections, or takes datagrams.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Istio's and Envoy's form, for logs and metrics: `0.0.0.0_443`, for UDP `udp_0.0.0.0_53`. No two have the same.
    pub name: String,
    /// The address to bind (`bind` of an Istio server); absent: the proxy's default, all addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The port that the proxy binds.
    pub port: Port,
    /// The port that clients know: `port.number` of the Istio server, a port of the ingress's Service.
    pub service_port: Port,
    /// The objects and servers that it stands for, for the status, sorted: `Gateway/istio-system/web-gateway/http`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// Connections begin with the PROXY protocol's header, before TLS; absent: they do not. Datagrams never do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What is spoken there.
    pub protocol: ListenerProtocol,
}

/// What a load balancer in front says about each connection (`envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol`;
/// versions 1 and 2). The address that it names is the client's from then on; a connection without a valid header is closed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyProtocol {
    /// A connection that does not begin with such a header is served as it is. Only where nobody but trusted load
    /// balancers can connect: anybody else could name any address (Envoy says the same).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_requests_without_proxy_protocol: bool,
}

/// What a listener does with a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ListenerProtocol {
    /// Plaintext HTTP/1.1, or HTTP/2 with prior knowledge.
    Http(HttpChain),
    /// Bytes, to a cluster.
    Tcp(TcpForward),
    /// TLS: the chain is chosen by the server name of the ClientHello (SNI): exact, then the longest wildcard,
    /// then `*`. Without a match the handshake is refused.
    Tls {
        /// No two chains share a server name.
        chains: Vec<TlsChain>,
    },
    /// Datagrams, to a cluster. UDP has ports of its own: a listener for TCP may have the same address and port.
    Udp(UdpForward),
}

impl ListenerProtocol {
    /// Whose ports it has.
    #[must_use]
    pub const fn transport(&self) -> TransportProtocol {
        match self {
            Self::Http(_) | Self::Tcp(_) | Self::Tls { .. } => TransportProtocol::Tcp,
            Self::Udp(_) => TransportProtocol::Udp,
        }
    }
}

/// Each has ports of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TransportProtocol {
    /// TCP, RFC 9293.
    Tcp,
    /// UDP, RFC 768.
    Udp,
}

impl TransportProtocol {
    /// Its name in Kubernetes: `TCP` or `UDP`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// Where the bytes of a TCP or passed-through TLS connection go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TcpForward {
    /// The object that says so, for the status: `VirtualService/istio-system/web-routing`.
    pub origin: String,
    /// Chosen by weight, once a connection.
    pub targets: Vec<WeightedTarget>,
    /// Close when no byte moved for this long. Default 1 h (Envoy).
    #[serde(
        default,
        with = "millis::optional",
        rename = "idleTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub idle_timeout: Option<Duration>,
}

/// Where the datagrams of UDP clients go, as Envoy's `udp_proxy` has it. All datagrams of one client address are a
/// *session*: it has an endpoint, whose datagrams go back to that client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UdpForward {
    /// The object that says so, for the status: `UDPRoute/default/dns`.
    pub origin: String,
    /// Chosen by weight, once a session. Datagrams whose share is an unavailable target are dropped.
    pub targets: Vec<WeightedTarget>,
    /// A session ends when no datagram passed in either direction for this long. Default 60 s (Envoy).
    #[serde(
        default,
        with = "millis::optional",
        rename = "idleTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub idle_timeout: Option<Duration>,
}

/// What happens to TLS connections for some server names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsChain {
    /// The object and server that it stands for, for the status: `Gateway/istio-system/web-gateway/https`.
    pub origin: String,
    /// What the ClientHello's server name is compared with. `*` also takes a ClientHello without one.
    pub server_names: Vec<HostPattern>,
    /// Terminate or pass on.
    pub action: TlsAction,
}

/// Who speaks TLS with the client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TlsAction {
    /// The proxy.
    Terminate {
        /// Certificates and rules.
        tls: Box<ServerTls>,
        /// What is inside.
        then: Terminated,
    },
    /// The upstream: the bytes pass unread.
    Passthrough(TcpForward),
}

/// What is spoken inside of a terminated TLS connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Terminated {
    /// HTTP/1.1 or HTTP/2, as ALPN says.
    Http(HttpChain),
    /// Any bytes.
    Tcp(TcpForward),
}

/// How the proxy plays the TLS server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerTls {
    /// One certificate, or one for each kind of key (RSA and ECDSA): the first that suits the client is used.
    pub certificates: Vec<CertificateName>,
    /// Whether clients show a certificate; absent: they are not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_auth: Option<ClientAuth>,
    /// Default TLS 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// Default TLS 1.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_version: Option<TlsVersion>,
    /// For TLS 1.2, in order of preference; empty: all that are supported. Those of TLS 1.3 are always on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<CipherSuite>,
    /// What is offered by ALPN, in order of preference: `h2`, `http/1.1`. Empty: no ALPN.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alpn: Vec<String>,
}

/// A version of TLS that the proxy speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// TLS 1.3, RFC 8446.
    #[serde(rename = "TLSV1_3")]
    V1_3,
}

/// A cipher suite of TLS 1.2 that the proxy speaks, in OpenSSL's and so Istio's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CipherSuite {
    /// TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    #[serde(rename = "ECDHE-ECDSA-AES128-GCM-SHA256")]
    EcdheEcdsaAes128Gcm,
    /// TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384
    #[serde(rename = "ECDHE-ECDSA-AES256-GCM-SHA384")]
    EcdheEcdsaAes256Gcm,
    /// TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
    #[serde(rename = "ECDHE-ECDSA-CHACHA20-POLY1305")]
    EcdheEcdsaChaCha20,
    /// TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
    #[serde(rename = "ECDHE-RSA-AES128-GCM-SHA256")]
    EcdheRsaAes128Gcm,
    /// TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    #[serde(rename = "ECDHE-RSA-AES256-GCM-SHA384")]
    EcdheRsaAes256Gcm,
    /// TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    #[serde(rename = "ECDHE-RSA-CHACHA20-POLY1305")]
    EcdheRsaChaCha20,
}

/// Certificates of clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientAuth {
    /// Must a client show one?
    pub mode: ClientAuthMode,
    /// Who must have signed it. Absent: nobody vouches for it, only the pins below (Istio's
    /// `insecureSkipVerify`, the Gateway API's AllowInsecureFallback).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<CaName>,
    /// The certificate names one of these (DNS or URI name); empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
    /// Base64 of the SHA-256 of the public key (SPKI); with `hashes`, one of either list must fit. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spki: Vec<String>,
    /// Hexadecimal SHA-256 of the certificate (colons allowed). Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hashes: Vec<String>,
}

/// Istio's `MUTUAL` and `OPTIONAL_MUTUAL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ClientAuthMode {
    /// Without one the handshake fails.
    Required,
    /// One that is shown must be good; none is fine.
    Optional,
}
