//! The connection manager's settings with their defaults filled in.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use postern_snapshot::model::{AccessLog, AccessLogFormat, HttpSettings, ServerHeader};
use postern_telemetry::access_log::{Format, FormatError};

use super::{forwarded::Trust, normalize::PathRules, rate_limit::Problem};

/// Compiled [`HttpSettings`].
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) trust: Trust,
    pub(super) path: PathRules,
    /// `None`: never.
    pub(super) idle_timeout: Option<Duration>,
    /// `None`: never.
    pub(super) stream_idle_timeout: Option<Duration>,
    /// `None`: never.
    pub(super) request_timeout: Option<Duration>,
    /// `None`: never.
    pub(super) request_headers_timeout: Option<Duration>,
    /// In bytes.
    pub(super) max_request_headers: u32,
    pub(super) max_concurrent_streams: u32,
    pub(super) server_name: HeaderValue,
    pub(super) server_header: ServerHeader,
    /// `None`: as the proxy is set up.
    pub(super) access_log: Option<Arc<Format>>,
}

impl Settings {
    /// What is wrong is added to `problems`, with the object that says it.
    pub(super) fn compile(from: &HttpSettings, problems: &mut Vec<Problem>) -> Self {
        let server_name = from.server_name.as_deref().and_then(|name| HeaderValue::from_str(name).ok());
        Self {
            trust: Trust {
                peer_is_client: from.use_remote_address.unwrap_or(true),
                hops: from.xff_trusted_hops.unwrap_or(0),
            },
            path: PathRules {
                normalize: from.normalize_path.unwrap_or(true),
                merge_slashes: from.merge_slashes,
                escaped_slashes: from.escaped_slashes,
            },
            idle_timeout: timeout(from.idle_timeout, Some(Duration::from_secs(3600))),
            stream_idle_timeout: timeout(from.stream_idle_timeout, None),
            request_timeout: timeout(from.request_timeout, None),
            request_headers_timeout: timeout(from.request_headers_timeout, Some(Duration::from_secs(30))),
            max_request_headers: from.max_request_headers_kb.unwrap_or(60).clamp(1, 8192) * 1024,
            max_concurrent_streams: from.max_concurrent_streams.unwrap_or(100).max(1),
            server_name: server_name.unwrap_or(HeaderValue::from_static("postern")),
            server_header: from.server_header.unwrap_or(ServerHeader::AppendIfAbsent),
            access_log: from.access_log.as_ref().and_then(|log| access_log(log, problems)),
        }
    }
}

/// 0 means none (Envoy).
fn timeout(from: Option<Duration>, default: Option<Duration>) -> Option<Duration> {
    from.or(default).filter(|timeout| !timeout.is_zero())
}

fn access_log(from: &AccessLog, problems: &mut Vec<Problem>) -> Option<Arc<Format>> {
    match format(&from.format) {
        Ok(format) => Some(Arc::new(format)),
        Err(error) => {
            problems.push(Problem { origin: from.origin.clone(), what: format!("access log: {error}") });
            None
        }
    }
}

fn format(from: &AccessLogFormat) -> Result<Format, FormatError> {
    let hostname = std::env::var("HOSTNAME").unwrap_or_default();
    match from {
        AccessLogFormat::Text(text) => Format::text(text, &hostname),
        AccessLogFormat::Json(fields) => Format::json_template(fields, &hostname),
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::compile(&HttpSettings::default(), &mut Vec::new())
    }
}
