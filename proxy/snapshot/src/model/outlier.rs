//! Which endpoints are passed over for a while because they fail.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::millis;

/// When an endpoint is ejected, and for how long (Istio's `outlierDetection`; `envoy.config.cluster.v3.OutlierDetection`).
/// Counted within each proxy process. Where all that are left are ejected, they are used nevertheless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OutlierDetection {
    /// After so many errors in a row: a status of [`Self::error_codes`], or no answer at all. 0 is never.
    #[serde(rename = "consecutive5xx")]
    pub consecutive_5xx: u32,
    /// After so many of 502, 503, 504 in a row, or no answer at all. 0 is never.
    pub consecutive_gateway_failure: u32,
    /// When set, no answer at all counts here only, and so many in a row eject; 0 is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_local_origin_failure: Option<u32>,
    /// A time in use as long as this takes back one of the former ejections.
    #[serde(with = "millis", rename = "intervalMs")]
    pub interval: Duration,
    /// For how long, times how often it was ejected before; 300 s at most, or this if it is longer.
    #[serde(with = "millis", rename = "baseEjectionTimeMs")]
    pub base_ejection_time: Duration,
    /// No more of the endpoints than this are ejected at a time, in percent.
    pub max_ejection_percent: u32,
    /// While fewer than this are not ejected, in percent, all are used.
    pub min_health_percent: u32,
    /// Statuses that are errors; none: 500 to 599.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_codes: Vec<u16>,
}

impl Default for OutlierDetection {
    /// Istio's, where `outlierDetection` is there and says nothing.
    fn default() -> Self {
        Self {
            consecutive_5xx: 5,
            consecutive_gateway_failure: 0,
            consecutive_local_origin_failure: None,
            interval: Duration::from_secs(10),
            base_ejection_time: Duration::from_secs(30),
            max_ejection_percent: 10,
            min_health_percent: 0,
            error_codes: Vec::new(),
        }
    }
}
