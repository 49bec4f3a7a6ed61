//! Limits on connections and requests.

use serde::{Deserialize, Serialize};

use crate::value::{Duration, is_false};

/// Limits on connections and requests to a service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ConnectionPoolSettings {
    /// For every connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp: Option<TcpSettings>,
    /// For HTTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpSettings>,
}

/// Limits for every connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TcpSettings {
    /// How many connections there may be; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// As written; see [`Self::connect_timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// SO_KEEPALIVE; none leaves it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_keepalive: Option<TcpKeepalive>,
    /// How old a connection may get; none is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connection_duration: Option<Duration>,
    /// As written; see [`Self::idle_timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
}

impl TcpSettings {
    /// How long connecting may take; 10 s if it is left out.
    #[must_use]
    pub fn connect_timeout(&self) -> std::time::Duration {
        self.connect_timeout.map_or(std::time::Duration::from_secs(10), Duration::get)
    }

    /// How long a TCP connection may be silent; 1 h if it is left out, `None` (no limit) for 0s.
    #[must_use]
    pub fn idle_timeout(&self) -> Option<std::time::Duration> {
        match self.idle_timeout {
            None => Some(std::time::Duration::from_secs(3600)),
            Some(timeout) if timeout.is_zero() => None,
            Some(timeout) => Some(timeout.get()),
        }
    }
}

/// SO_KEEPALIVE. What is left out is the operating system's default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TcpKeepalive {
    /// How many probes may go unanswered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<u32>,
    /// How long a connection must be idle before the first probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Duration>,
    /// The time between probes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// Limits for HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpSettings {
    /// How many requests may wait for a connection; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http1_max_pending_requests: Option<u32>,
    /// How many requests may be under way, over HTTP/1.1 too; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2_max_requests: Option<u32>,
    /// How many requests a connection takes before it is closed; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_requests_per_connection: Option<u32>,
    /// How many retries may be under way; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_retries: Option<u32>,
    /// As written; see [`Self::idle_timeout`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// Whether HTTP/1.1 requests go on as HTTP/2; the default is the mesh's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub h2_upgrade_policy: Option<H2UpgradePolicy>,
    /// Speak to the endpoint the version of HTTP that the client speaks.
    #[serde(skip_serializing_if = "is_false")]
    pub use_client_protocol: bool,
    /// How many requests may share an HTTP/2 connection; none (or 0) is Envoy's default, 2^31-1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_streams: Option<u32>,
    /// Pings on HTTP/2 connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http2_keep_alive: Option<Http2KeepAlive>,
}

impl HttpSettings {
    /// How long a connection without requests is kept; 1 h if it is left out.
    #[must_use]
    pub fn idle_timeout(&self) -> std::time::Duration {
        self.idle_timeout.map_or(std::time::Duration::from_secs(3600), Duration::get)
    }
}

/// Whether HTTP/1.1 requests go on as HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum H2UpgradePolicy {
    /// As the mesh says.
    Default,
    /// No.
    DoNotUpgrade,
    /// Yes.
    Upgrade,
}

/// Pings on HTTP/2 connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http2KeepAlive {
    /// The time between pings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// How long an answer may take before the connection is closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
}
