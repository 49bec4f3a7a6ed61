//! How HTTP is served on a connection: Envoy's HttpConnectionManager
//! (`envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager`).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{AccessLog, HttpFilters, millis};
use crate::RouteTableName;

/// How HTTP is served on a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpChain {
    /// Where its virtual hosts are.
    pub route_table: RouteTableName,
    /// Limits and timeouts.
    #[serde(default, skip_serializing_if = "HttpSettings::is_default")]
    pub settings: HttpSettings,
    /// What requests and responses pass through.
    #[serde(default, skip_serializing_if = "HttpFilters::is_empty")]
    pub filters: HttpFilters,
}

impl HttpChain {
    /// With the default settings and without filters.
    #[must_use]
    pub fn new(route_table: RouteTableName) -> Self {
        Self { route_table, settings: HttpSettings::default(), filters: HttpFilters::default() }
    }
}

/// The connection manager's settings, with Envoy's names; absent means the default that is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpSettings {
    /// How many proxies in front of this one are trusted to have set `x-forwarded-for` (Envoy's
    /// `xff_num_trusted_hops`). Default 0: the peer's address is the client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xff_trusted_hops: Option<u32>,
    /// Is the peer the client, or a proxy whose headers are believed? (Envoy's `use_remote_address`.) Default true, as
    /// Istio sets it at gateways. False: the client's address is what `x-forwarded-for` says, and that, as
    /// `x-forwarded-proto` and `x-request-id`, goes on as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub use_remote_address: Option<bool>,
    /// Close a connection without requests after this long (`common_http_protocol_options.idle_timeout`). Default 1 h
    /// (Envoy); 0: never.
    #[serde(with = "millis::optional", rename = "idleTimeoutMs", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// End a request on which nothing moved in either direction for this long: 408 before the response began, a reset
    /// after (`stream_idle_timeout`). A client that does not read is not noticed. Default: never (Istio; Envoy's own is
    /// 5 min); 0: never.
    #[serde(
        with = "millis::optional",
        rename = "streamIdleTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub stream_idle_timeout: Option<Duration>,
    /// The whole request, body included, must have arrived after this long, unless the response has begun before; then
    /// 408 (`request_timeout`). Default: never (Envoy); 0: never.
    #[serde(with = "millis::optional", rename = "requestTimeoutMs", skip_serializing_if = "Option::is_none")]
    pub request_timeout: Option<Duration>,
    /// The whole of the request's headers must have arrived after this long (`request_headers_timeout`). Default 30 s;
    /// 0: never.
    #[serde(
        with = "millis::optional",
        rename = "requestHeadersTimeoutMs",
        skip_serializing_if = "Option::is_none"
    )]
    pub request_headers_timeout: Option<Duration>,
    /// The largest request head in KiB, 1 to 8192. Default 60 (Envoy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_request_headers_kb: Option<u32>,
    /// HTTP/2 streams at a time on one connection (`http2_protocol_options.max_concurrent_streams`). Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrent_streams: Option<u32>,
    /// What the `server` response header says (`server_name`). Default `postern`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// What becomes of an upstream's `server` header (`server_header_transformation`). Default
    /// [`AppendIfAbsent`](ServerHeader::AppendIfAbsent); Envoy's own is `OVERWRITE`, so whoever translates a
    /// `server_name` of Envoy's says which is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_header: Option<ServerHeader>,
    /// RFC 3986 normalization of the path (`normalize_path`). Default true (Istio's `BASE`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalize_path: Option<bool>,
    /// Slashes that follow one another count as one (`merge_slashes`). Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merge_slashes: bool,
    /// What becomes of `%2F` and `%5C` in a path (`path_with_escaped_slashes_action`). Default: nothing.
    #[serde(skip_serializing_if = "EscapedSlashes::is_default")]
    pub escaped_slashes: EscapedSlashes,
    /// How its requests are logged. Absent: as the proxy is set up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<AccessLog>,
}

impl HttpSettings {
    /// Is nothing set?
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Envoy's `server_header_transformation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ServerHeader {
    /// `OVERWRITE`: it is replaced by the proxy's.
    Overwrite,
    /// `APPEND_IF_ABSENT`: it stays; without one, the proxy's is set.
    AppendIfAbsent,
    /// `PASS_THROUGH`: it stays; without one there is none. Answers that the proxy makes have the proxy's.
    PassThrough,
}

/// Envoy's `path_with_escaped_slashes_action`: what becomes of `%2F`, `%2f`, `%5C` and `%5c` in a path, before it is
/// normalized.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EscapedSlashes {
    /// `KEEP_UNCHANGED`.
    #[default]
    KeepUnchanged,
    /// `REJECT_REQUEST`: 400.
    RejectRequest,
    /// `UNESCAPE_AND_REDIRECT`: a 307 to the path with slashes.
    UnescapeAndRedirect,
    /// `UNESCAPE_AND_FORWARD`: they count as slashes, and the upstream gets slashes.
    UnescapeAndForward,
}

impl EscapedSlashes {
    /// Is it [`KeepUnchanged`](Self::KeepUnchanged)?
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
