//! Policies for connections to a service.

use serde::{Deserialize, Serialize};

use super::{ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection};
use crate::istio::virtual_service::PortSelector;
use crate::value::{Duration, Percent, Port, non_empty};

/// How connections are made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// How an endpoint is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS to the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTlsSettings>,
    /// For single ports. They replace the four settings above as a whole, also those they leave out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub port_level_settings: Vec<PortTrafficPolicy>,
    /// Reach the service through a CONNECT proxy. Only for sidecars' and egress routes of TLS and TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel: Option<TunnelSettings>,
    /// Begin each connection with a header of the PROXY protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Limit retries relative to the requests under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_budget: Option<RetryBudget>,
}

/// Policies for one port.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PortTrafficPolicy {
    /// The port of the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<PortSelector>,
    /// How an endpoint is chosen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancerSettings>,
    /// Limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool: Option<ConnectionPoolSettings>,
    /// When an endpoint is set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outlier_detection: Option<OutlierDetection>,
    /// TLS to the endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<ClientTlsSettings>,
}

/// TLS to the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClientTlsSettings {
    /// As written; see [`Self::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<ClientTlsMode>,
    /// The path of the client certificate, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<String>,
    /// The path of the private key, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// The path of the certificates that may sign the server's, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<String>,
    /// The Secret (in the proxy's namespace) with client certificate, key and CA.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub credential_name: Option<String>,
    /// The names of which the server's certificate must have one; none means the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
    /// The server name (SNI).
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub sni: Option<String>,
    /// Take any certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// The path of the list of revoked server certificates, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_crl: Option<String>,
}

impl ClientTlsSettings {
    /// The mode; DISABLE if it is left out.
    #[must_use]
    pub fn mode(&self) -> ClientTlsMode {
        self.mode.unwrap_or(ClientTlsMode::Disable)
    }
}

/// Whether, and how, there is TLS to the endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClientTlsMode {
    /// No TLS.
    Disable,
    /// TLS.
    Simple,
    /// TLS with a client certificate.
    Mutual,
    /// TLS with the mesh's own certificates.
    IstioMutual,
}

/// A CONNECT proxy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TunnelSettings {
    /// `CONNECT` (the default) or `POST`.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// The host that the proxy is asked to connect to.
    pub target_host: String,
    /// Its port.
    pub target_port: Port,
}

/// The PROXY protocol towards the endpoints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyProtocol {
    /// As written; see [`Self::version`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<ProxyProtocolVersion>,
}

impl ProxyProtocol {
    /// The version; V1 if it is left out.
    #[must_use]
    pub fn version(&self) -> ProxyProtocolVersion {
        self.version.unwrap_or(ProxyProtocolVersion::V1)
    }
}

/// A version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyProtocolVersion {
    /// In text.
    V1,
    /// In binary.
    V2,
}

/// How many retries there may be at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RetryBudget {
    /// As written; see [`Self::percent`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// As written; see [`Self::min_retry_concurrency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_retry_concurrency: Option<u32>,
    /// The span over which requests are counted; none counts those under way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget_interval: Option<Duration>,
}

impl RetryBudget {
    /// The share of the requests that may be retries; 20 % if it is left out.
    #[must_use]
    pub fn percent(&self) -> f64 {
        self.percent.map_or(20.0, Percent::get)
    }

    /// How many retries there may be in any case; 3 if it is left out (or 0).
    #[must_use]
    pub fn min_retry_concurrency(&self) -> u32 {
        self.min_retry_concurrency.filter(|retries| *retries > 0).unwrap_or(3)
    }
}
