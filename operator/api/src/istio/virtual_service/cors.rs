//! Cross-origin resource sharing.

use serde::{Deserialize, Serialize};

use super::StringMatch;
use crate::value::Duration;

/// Which pages of other origins may send requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CorsPolicy {
    /// Deprecated: origins that are allowed, exactly; `*` allows all. See [`Self::origins`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origin: Vec<String>,
    /// Origins that are allowed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<StringMatch>,
    /// Methods for `access-control-allow-methods`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers for `access-control-allow-headers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers for `access-control-expose-headers`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long a preflight's answer may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
    /// Whether requests may carry credentials; false by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// As written; see [`Self::forwards_unmatched_preflights`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unmatched_preflights: Option<UnmatchedPreflights>,
}

impl CorsPolicy {
    /// The origins that are allowed: `allowOrigins`, or else the deprecated `allowOrigin`.
    #[must_use]
    pub fn origins(&self) -> Vec<StringMatch> {
        if !self.allow_origins.is_empty() {
            return self.allow_origins.clone();
        }
        self.allow_origin
            .iter()
            .map(|origin| match origin.as_str() {
                "*" => StringMatch::Regex(".*".to_owned()),
                origin => StringMatch::Exact(origin.to_owned()),
            })
            .collect()
    }

    /// Whether a preflight of an origin that is not allowed goes to the destination; true by default.
    #[must_use]
    pub fn forwards_unmatched_preflights(&self) -> bool {
        self.unmatched_preflights != Some(UnmatchedPreflights::Ignore)
    }
}

/// What becomes of a preflight of an origin that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum UnmatchedPreflights {
    /// The default, FORWARD.
    Unspecified,
    /// It goes to the destination.
    Forward,
    /// It is answered without the CORS headers.
    Ignore,
}
