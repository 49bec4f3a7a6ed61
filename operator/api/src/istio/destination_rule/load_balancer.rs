//! How an endpoint is chosen.

use serde::{Deserialize, Serialize};

use super::{ConsistentHashLb, LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting};
use crate::value::{Duration, Percent};

/// How an endpoint is chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LoadBalancerFields", into = "LoadBalancerFields")]
pub struct LoadBalancerSettings {
    /// By which policy; see [`Self::policy`].
    pub policy: Option<LbPolicy>,
    /// Which localities are preferred.
    pub locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    /// Which zones are preferred.
    pub zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    /// Deprecated: `warmup.duration` alone.
    pub warmup_duration_secs: Option<Duration>,
    /// Give a new endpoint less at first.
    pub warmup: Option<WarmupConfiguration>,
}

impl LoadBalancerSettings {
    /// The policy; least request if it is left out or UNSPECIFIED. LEAST_CONN is an old name of it.
    #[must_use]
    pub fn policy(&self) -> LbPolicy {
        match &self.policy {
            None | Some(LbPolicy::Simple(SimpleLb::Unspecified | SimpleLb::LeastConn)) => {
                LbPolicy::Simple(SimpleLb::LeastRequest)
            }
            Some(policy) => policy.clone(),
        }
    }
}

/// A policy by which an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LbPolicy {
    /// One that needs nothing of the request.
    Simple(SimpleLb),
    /// The same endpoint for the same key.
    ConsistentHash(ConsistentHashLb),
}

/// A policy that needs nothing of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SimpleLb {
    /// Least request.
    Unspecified,
    /// Deprecated name of least request.
    LeastConn,
    /// At random.
    Random,
    /// The address that the client meant.
    Passthrough,
    /// One after the other.
    RoundRobin,
    /// The less busy one of two at random.
    LeastRequest,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct LoadBalancerFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    simple: Option<SimpleLb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    consistent_hash: Option<ConsistentHashLb>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locality_lb_setting: Option<LocalityLoadBalancerSetting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone_aware_lb_setting: Option<ZoneAwareLoadBalancerSetting>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup_duration_secs: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmup: Option<WarmupConfiguration>,
}

impl TryFrom<LoadBalancerFields> for LoadBalancerSettings {
    type Error = &'static str;

    fn try_from(fields: LoadBalancerFields) -> Result<Self, &'static str> {
        let policy = match (fields.simple, fields.consistent_hash) {
            (None, None) => None,
            (Some(simple), None) => Some(LbPolicy::Simple(simple)),
            (None, Some(hash)) => Some(LbPolicy::ConsistentHash(hash)),
            (Some(_), Some(_)) => return Err("only one of simple and consistentHash may be set"),
        };
        Ok(Self {
            policy,
            locality_lb_setting: fields.locality_lb_setting,
            zone_aware_lb_setting: fields.zone_aware_lb_setting,
            warmup_duration_secs: fields.warmup_duration_secs,
            warmup: fields.warmup,
        })
    }
}

impl From<LoadBalancerSettings> for LoadBalancerFields {
    fn from(settings: LoadBalancerSettings) -> Self {
        let (simple, consistent_hash) = match settings.policy {
            None => (None, None),
            Some(LbPolicy::Simple(simple)) => (Some(simple), None),
            Some(LbPolicy::ConsistentHash(hash)) => (None, Some(hash)),
        };
        Self {
            simple,
            consistent_hash,
            locality_lb_setting: settings.locality_lb_setting,
            zone_aware_lb_setting: settings.zone_aware_lb_setting,
            warmup_duration_secs: settings.warmup_duration_secs,
            warmup: settings.warmup,
        }
    }
}

/// Give a new endpoint less at first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WarmupConfiguration {
    /// For how long.
    pub duration: Duration,
    /// As written; see [`Self::minimum_percent`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_percent: Option<Percent>,
    /// As written; see [`Self::aggression`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aggression: Option<f64>,
}

impl WarmupConfiguration {
    /// The share of its weight that a new endpoint gets at least; 10 % if it is left out.
    #[must_use]
    pub fn minimum_percent(&self) -> f64 {
        self.minimum_percent.map_or(10.0, Percent::get)
    }

    /// How the share grows; 1 (linear) if it is left out.
    #[must_use]
    pub fn aggression(&self) -> f64 {
        self.aggression.unwrap_or(1.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn one_policy_one_key_one_algorithm() {
        let read = |value| serde_json::from_value::<LoadBalancerSettings>(value);
        assert!(read(json!({"simple": "RANDOM", "consistentHash": {}})).is_err());
        assert!(read(json!({"consistentHash": {"useSourceIp": true, "httpHeaderName": "a"}})).is_err());
        assert!(read(json!({"consistentHash": {"ringHash": {}, "maglev": {}}})).is_err());
    }

    #[test]
    fn defaults_are_istios() {
        let least_request = LbPolicy::Simple(SimpleLb::LeastRequest);
        assert_eq!(LoadBalancerSettings::default().policy(), least_request);
        let read = |value| serde_json::from_value::<LoadBalancerSettings>(value).unwrap();
        assert_eq!(read(json!({"simple": "LEAST_CONN"})).policy(), least_request);
    }
}
