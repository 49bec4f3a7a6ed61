//! The connection manager's settings with their defaults filled in.

use std::time::Duration;

use http::HeaderValue;
use postern_snapshot::model::HttpSettings;

/// Compiled [`HttpSettings`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) trusted_hops: u32,
    /// `None`: never.
    pub(super) idle_timeout: Option<Duration>,
    /// `None`: never.
    pub(super) request_headers_timeout: Option<Duration>,
    /// In bytes.
    pub(super) max_request_headers: u32,
    pub(super) max_concurrent_streams: u32,
    pub(super) server_name: HeaderValue,
}

impl Settings {
    pub(super) fn compile(from: &HttpSettings) -> Self {
        let server_name = from.server_name.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
        Self {
            trusted_hops: from.xff_trusted_hops.unwrap_or(0),
            idle_timeout: timeout(from.idle_timeout, Duration::from_secs(3600)),
            request_headers_timeout: timeout(from.request_headers_timeout, Duration::from_secs(30)),
            max_request_headers: from.max_request_headers_kb.unwrap_or(60).clamp(1, 8192) * 1024,
            max_concurrent_streams: from.max_concurrent_streams.unwrap_or(100).max(1),
            server_name: server_name.unwrap_or(HeaderValue::from_static("postern")),
        }
    }
}

/// 0 means none (Envoy).
fn timeout(from: Option<Duration>, default: Duration) -> Option<Duration> {
    Some(from.unwrap_or(default)).filter(|timeout| !timeout.is_zero())
}

impl Default for Settings {
    fn default() -> Self {
        Self::compile(&HttpSettings::default())
    }
}
