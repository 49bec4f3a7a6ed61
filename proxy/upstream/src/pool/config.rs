//! The pool's settings.

use std::time::Duration;

/// A pool's settings. The default suits production.
#[derive(Debug, Clone)]
pub struct PoolConfig {
    /// A connection without a request for this long is closed. Default: 1 h (Envoy, Istio).
    pub idle_timeout: Duration,
    /// How often idle connections are looked at, at least 1 ms. Default: 5 s.
    pub sweep_interval: Duration,
    /// How many idle HTTP/1.1 connections to one endpoint are kept. Default: 1024.
    pub max_idle_per_endpoint: usize,
    /// How many streams share one HTTP/2 connection when the peer allows more. Default: 1024.
    pub max_streams_per_connection: usize,
    /// An HTTP/2 connection with streams that is silent for this long is pinged; a peer that then stays silent for
    /// 20 s is gone. `None`: never. Default: 30 s.
    pub http2_ping_interval: Option<Duration>,
    /// For the random choices, in tests. Default: from the system.
    pub seed: Option<u64>,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            idle_timeout: Duration::from_secs(3600),
            sweep_interval: Duration::from_secs(5),
            max_idle_per_endpoint: 1024,
            max_streams_per_connection: 1024,
            http2_ping_interval: Some(Duration::from_secs(30)),
            seed: None,
        }
    }
}
