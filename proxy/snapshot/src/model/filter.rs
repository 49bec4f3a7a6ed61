//! What requests and responses pass through, with the names of Envoy's HTTP filters.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{HeaderOps, millis};

/// The HTTP filters of a chain. Requests pass rate limits, then the buffer; responses pass compression.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HttpFilters {
    /// Each must let a request pass, in this order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_rate_limits: Vec<LocalRateLimit>,
    /// The one that suits the client best is used, at most one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub compressors: Vec<Compressor>,
    /// Requests reach the upstream whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<Buffer>,
}

impl HttpFilters {
    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a virtual host or a route changes about its chain's filters (Envoy's `typed_per_filter_config`). What a route
/// says goes before what its virtual host says. A filter that the chain does not have is not there for a route either.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteFilters {
    /// Each is in place of that of the same [`name`](LocalRateLimit::name) in the chain. One on a virtual host has one
    /// bucket for all of its routes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub local_rate_limits: Vec<LocalRateLimit>,
    /// In place of the chain's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<RouteBuffer>,
    /// Responses are (not) compressed (`CompressorPerRoute.disabled`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compressors_disabled: Option<bool>,
}

impl RouteFilters {
    /// Does it change nothing?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A limit on the rate of requests, counted within each proxy process, over all of its workers
/// (`envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LocalRateLimit {
    /// The filter's name, by which routes change it: `envoy.filters.http.local_ratelimit`.
    pub name: String,
    /// The object that says so, for the status: `EnvoyFilter/istio-system/rate-limit`.
    pub origin: String,
    /// Its label in the metrics (`stat_prefix`).
    pub stat_prefix: String,
    /// Absent: nothing is limited here (Envoy: no `token_bucket`, or `filter_enabled` of 0 %).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_bucket: Option<TokenBucket>,
    /// The answer to a request too many, 400 to 599 (`status`). Default 429.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Headers of that answer (`response_headers_to_add`).
    #[serde(default, skip_serializing_if = "HeaderOps::is_empty")]
    pub response_headers: HeaderOps,
    /// All responses say `x-ratelimit-limit`, `-remaining` and `-reset` (`enable_x_ratelimit_headers:
    /// DRAFT_VERSION_03`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub x_ratelimit_headers: bool,
    /// gRPC calls too many end with RESOURCE_EXHAUSTED (8) in place of UNAVAILABLE (14)
    /// (`rate_limited_as_resource_exhausted`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rate_limited_as_resource_exhausted: bool,
}

/// Each request takes a token (`envoy.type.v3.TokenBucket`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenBucket {
    /// So many are in it at most, and at first. At least 1.
    pub max_tokens: u32,
    /// So many are added each time. At least 1; Envoy's default is 1.
    pub tokens_per_fill: u32,
    /// How often. At least 50 ms (Envoy).
    #[serde(with = "millis", rename = "fillIntervalMs")]
    pub fill_interval: Duration,
}

/// Compresses responses for clients that accept it (`envoy.extensions.filters.http.compressor.v3.Compressor`, its
/// response direction).
///
/// As in Envoy, the client's `accept-encoding` chooses among the compressors of the chain: the highest quality value,
/// then the first that the client names. A response is left alone that has a `content-encoding`, neither
/// `content-length` nor `transfer-encoding: chunked`, or `cache-control: no-transform`; and one with status 206, whose
/// ranges are of what is not compressed (RFC 9110 section 14.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Compressor {
    /// What is done, and how hard.
    pub library: CompressorLibrary,
    /// Shorter responses are left alone, in bytes (`min_content_length`). Default 30 (Envoy).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_content_length: Option<u32>,
    /// Only these, without parameters and in lower case (`content_type`); a response without a type is compressed.
    /// Empty: Envoy's default (JavaScript, JSON, XHTML, SVG, CSS, HTML, plain text and XML).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_types: Vec<String>,
    /// A response with an `etag` is left alone (`disable_on_etag_header`). Otherwise a strong one is removed, and a
    /// weak one stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disable_on_etag_header: bool,
    /// The upstream does not get to see `accept-encoding` (`remove_accept_encoding_header`), so that it does not
    /// compress itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remove_accept_encoding_header: bool,
    /// Goes before the others where the client's quality values are equal (`choose_first`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub choose_first: bool,
}

/// Envoy's `compressor_library`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CompressorLibrary {
    /// `gzip` (RFC 1952).
    #[serde(rename_all = "camelCase")]
    Gzip {
        /// 1 (fastest) to 9 (smallest); absent: 6.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u32>,
    },
    /// `br` (RFC 7932).
    #[serde(rename_all = "camelCase")]
    Brotli {
        /// 0 (fastest) to 11 (smallest); absent: 3 (Envoy).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        quality: Option<u32>,
        /// Base two logarithm of the window's size, 10 to 24; absent: 18 (Envoy).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        window_bits: Option<u32>,
    },
    /// `zstd` (RFC 8878).
    #[serde(rename_all = "camelCase")]
    Zstd {
        /// 1 (fastest) to 19 (smallest); absent: 3.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        level: Option<u32>,
    },
}

/// A request is sent on when all of it is here, with its length; one that is too large gets 413
/// (`envoy.extensions.filters.http.buffer.v3.Buffer`). Upgrades (WebSocket) and CONNECT are not buffered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Buffer {
    /// The largest body, in bytes; at least 1.
    pub max_request_bytes: u32,
}

/// Envoy's `BufferPerRoute`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RouteBuffer {
    /// Requests stream, as without the filter.
    Disabled,
    /// Another size.
    Buffer(Buffer),
}
