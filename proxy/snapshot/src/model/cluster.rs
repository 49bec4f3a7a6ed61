//! Upstreams: how to reach a service. Where its endpoints are is in the part `endpoints`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{OutlierDetection, millis};
use crate::{CaName, CertificateName};

/// A group of equal endpoints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cluster {
    /// The object whose TLS settings it has, for the status: `DestinationRule/default/app`. Empty: none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// The service, for metrics.
    pub service: ServiceIdentity,
    /// What is spoken with it.
    #[serde(default)]
    pub protocol: UpstreamProtocol,
    /// Which endpoint is next.
    #[serde(default)]
    pub load_balancing: LoadBalancing,
    /// How long a connection may take to be made. Istio's default is 10 s.
    #[serde(with = "millis", rename = "connectTimeoutMs")]
    pub connect_timeout: Duration,
    /// TLS towards the upstream; absent: plaintext.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<UpstreamTls>,
    /// So much of it at a time, and no more; absent: no limits (Istio).
    #[serde(default, skip_serializing_if = "CircuitBreakers::is_default")]
    pub circuit_breakers: CircuitBreakers,
    /// Endpoints that fail are passed over; absent: only those that cannot be connected to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
}

/// Limits on what is under way to a cluster at a time, counted within each proxy process
/// (`envoy.config.cluster.v3.CircuitBreakers.Thresholds` of the default priority). Absent: no limit (Istio; Envoy's own
/// defaults are 1024, 1024, 1024 and 3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CircuitBreakers {
    /// Connections. Requests that find none wait; an endpoint that has none gets one nevertheless (Envoy). A TCP
    /// connection too many is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection; those too many get 503, flag UO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_pending_requests: Option<u32>,
    /// Requests under way; those too many get 503, flag UO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests: Option<u32>,
    /// Retries under way; instead of one too many, the answer to the try before is passed on, with flag UO.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
}

impl CircuitBreakers {
    /// Is there no limit?
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a cluster is called in metrics (Istio's `destination_service*` labels).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ServiceIdentity {
    /// `app-service.default.svc.cluster.local`
    pub host: String,
    /// `app-service`
    pub name: String,
    /// `default`
    pub namespace: String,
}

/// What is spoken with an upstream.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamProtocol {
    /// HTTP/1.1; also for TCP, where nothing is spoken.
    #[default]
    Http1,
    /// HTTP/2 with prior knowledge, or by ALPN under TLS (Service ports `http2`, `grpc`, appProtocol
    /// `kubernetes.io/h2c`).
    Http2,
    /// Datagrams: for UDP listeners only.
    Udp,
}

/// How an endpoint is chosen (Istio's `loadBalancer.simple`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum LoadBalancing {
    /// Of two random ones that with fewer requests under way. Istio's default.
    #[default]
    LeastRequest,
    /// One after the other.
    RoundRobin,
    /// Any.
    Random,
}

/// How the proxy plays the TLS client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpstreamTls {
    /// What the ClientHello names; absent: the request's host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Whose signature is trusted.
    pub trust: UpstreamTrust,
    /// The server's certificate names one of these; empty: what the ClientHello named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<ServerIdentity>,
    /// What the proxy shows when asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<CertificateName>,
}

/// Whose signature under an upstream's certificate is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UpstreamTrust {
    /// These authorities'.
    Ca(CaName),
    /// The authorities of the proxy's image (the system's).
    System,
    /// Anybody's (Istio's `insecureSkipVerify`).
    InsecureSkipVerify,
}

/// A name in a server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServerIdentity {
    /// A DNS name.
    Dns(String),
    /// A URI, for example a SPIFFE ID.
    Uri(String),
}
