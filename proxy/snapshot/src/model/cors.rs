//! Which pages of other origins may use a route.

use serde::{Deserialize, Serialize};

use super::StringMatch;

/// Cross-origin resource sharing (the Fetch standard; `envoy.extensions.filters.http.cors.v3.CorsPolicy`).
///
/// A preflight is an OPTIONS request with `origin` and `access-control-request-method`. That of an origin that is allowed
/// is answered with 200 and what is allowed, and goes to no upstream. Other requests of such an origin are served as if
/// there were no policy; their responses, of whatever source, say that the origin may see them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsPolicy {
    /// Origins that are allowed, compared as they are sent. The exact text `*` allows all (Envoy). The origin itself is
    /// told to be allowed, never `*`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<StringMatch>,
    /// Methods for `access-control-allow-methods`. `*` alone: that which is asked for. None: nothing is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Names for `access-control-allow-headers`. `*` alone: those that are asked for. None: nothing is said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Names for `access-control-expose-headers`. A `*` is left out beside credentials, where it would be a name like any
    /// other (Fetch, section 3.3.5; the Gateway API).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long a preflight's answer may be kept, in seconds. Absent: nothing is said, which means 5 to browsers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// Requests may carry credentials.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_credentials: bool,
    /// The preflight of an origin that is not allowed is answered with 200 and nothing more; otherwise it is served like
    /// any request (Istio's `unmatchedPreflights: IGNORE`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_unmatched_preflights: bool,
}
