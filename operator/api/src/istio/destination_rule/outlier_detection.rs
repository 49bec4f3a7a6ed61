//! When an endpoint is set aside.

use serde::{Deserialize, Serialize};

use crate::value::{Duration, is_false};

/// When an endpoint is set aside (ejected), and for how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OutlierDetection {
    /// Deprecated: `consecutiveGatewayErrors` does this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_errors: Option<u32>,
    /// Count failures to connect apart from errors that the endpoint answers.
    #[serde(skip_serializing_if = "is_false")]
    pub split_external_local_origin_errors: bool,
    /// As written; see [`Self::consecutive_local_origin_failures`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_local_origin_failures: Option<u32>,
    /// After so many 502, 503 and 504 in a row; none (or 0) is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_gateway_errors: Option<u32>,
    /// As written; see [`Self::consecutive_5xx_errors`].
    #[serde(rename = "consecutive5xxErrors", skip_serializing_if = "Option::is_none")]
    pub consecutive_5xx_errors: Option<u32>,
    /// As written; see [`Self::interval`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
    /// As written; see [`Self::base_ejection_time`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_ejection_time: Option<Duration>,
    /// As written; see [`Self::max_ejection_percent`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ejection_percent: Option<u32>,
    /// Off while fewer than this many percent of the endpoints are well; 0 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_health_percent: Option<u32>,
    /// The status codes that count as errors, in place of 500 to 599.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outlier_detection_http_error_codes: Vec<u16>,
}

impl OutlierDetection {
    /// After so many failures to connect in a row, with `splitExternalLocalOriginErrors`; 5 by default.
    #[must_use]
    pub fn consecutive_local_origin_failures(&self) -> u32 {
        self.consecutive_local_origin_failures.unwrap_or(5)
    }

    /// After so many errors (5xx, or a failure to connect) in a row; 5 by default, 0 is never.
    #[must_use]
    pub fn consecutive_5xx_errors(&self) -> u32 {
        self.consecutive_5xx_errors.unwrap_or(5)
    }

    /// How often endpoints are looked at to take them back; 10 s by default.
    #[must_use]
    pub fn interval(&self) -> std::time::Duration {
        self.interval.map_or(std::time::Duration::from_secs(10), Duration::get)
    }

    /// For how long, times how often it was set aside before; 30 s by default.
    #[must_use]
    pub fn base_ejection_time(&self) -> std::time::Duration {
        self.base_ejection_time.map_or(std::time::Duration::from_secs(30), Duration::get)
    }

    /// How many percent of the endpoints may be set aside at a time; 10 by default (and for 0).
    #[must_use]
    pub fn max_ejection_percent(&self) -> u32 {
        self.max_ejection_percent.filter(|percent| *percent > 0).unwrap_or(10)
    }
}
