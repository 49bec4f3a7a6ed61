//! Trying again.

use serde::{Deserialize, Serialize};

use crate::value::{Duration, non_empty};

/// When and how often a request is tried again. Without this there are 2 retries with the defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRetry {
    /// How often it is tried again; 0 (or nothing) never.
    pub attempts: u32,
    /// The limit for each try, the first included; the default is the route's timeout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_try_timeout: Option<Duration>,
    /// Conditions, separated by commas: Envoy's names and status codes. See [`Self::conditions`].
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<String>,
    /// Whether endpoints in other localities are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_remote_localities: Option<bool>,
    /// As written; see [`Self::ignores_previous_hosts`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_ignore_previous_hosts: Option<bool>,
    /// The base of the exponential wait between tries; the default is 25ms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff: Option<Duration>,
}

impl HttpRetry {
    /// What Istio retries on if `retryOn` is left out.
    pub const DEFAULT_RETRY_ON: &'static str = "connect-failure,refused-stream,unavailable,cancelled";

    /// The conditions one by one.
    pub fn conditions(&self) -> impl Iterator<Item = &str> {
        self.retry_on
            .as_deref()
            .unwrap_or(Self::DEFAULT_RETRY_ON)
            .split(',')
            .map(str::trim)
            .filter(|condition| !condition.is_empty())
    }

    /// Whether a retry goes to another endpoint than the tries before; true by default.
    #[must_use]
    pub fn ignores_previous_hosts(&self) -> bool {
        self.retry_ignore_previous_hosts.unwrap_or(true)
    }
}
