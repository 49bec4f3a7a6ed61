//! How an endpoint is chosen.

use serde::{Deserialize, Serialize};

use super::{LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting};
use crate::value::{Duration, Percent, non_empty};

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

/// The same endpoint for the same key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "ConsistentHashFields", into = "ConsistentHashFields")]
pub struct ConsistentHashLb {
    /// What is hashed; nothing means at random.
    pub key: Option<HashKey>,
    /// How; see [`Self::algorithm`].
    pub algorithm: Option<ConsistentHashAlgorithm>,
    /// Deprecated: `ringHash.minimumRingSize`.
    pub minimum_ring_size: Option<u64>,
}

impl ConsistentHashLb {
    /// How it is hashed; a ring of at least 1024 entries (or the deprecated `minimumRingSize`) if it is
    /// left out.
    #[must_use]
    pub fn algorithm(&self) -> ConsistentHashAlgorithm {
        self.algorithm
            .unwrap_or(ConsistentHashAlgorithm::RingHash { minimum_ring_size: self.minimum_ring_size })
    }
}

/// What is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashKey {
    /// The header of this name.
    HttpHeaderName(String),
    /// A cookie.
    HttpCookie(HttpCookie),
    /// The client's address, if true.
    UseSourceIp(bool),
    /// The query parameter of this name.
    HttpQueryParameterName(String),
}

/// How it is hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsistentHashAlgorithm {
    /// A ring, as Ketama.
    RingHash {
        /// How many entries it has at least; 1024 if it is left out.
        minimum_ring_size: Option<u64>,
    },
    /// Maglev's table.
    Maglev {
        /// How many entries it has, a prime number; 65537 if it is left out.
        table_size: Option<u64>,
    },
}

/// A cookie that is hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpCookie {
    /// Its name.
    pub name: String,
    /// The path for which it is set.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// If it is there, a missing cookie is set, for this long; 0s means for the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Duration>,
    /// More attributes of the cookie that is set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attributes: Vec<CookieAttribute>,
}

/// An attribute of a cookie: `SameSite=Lax`, or `Secure` without a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CookieAttribute {
    /// Its name.
    pub name: String,
    /// Its value.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RingHashFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_ring_size: Option<u64>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct MaglevFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    table_size: Option<u64>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ConsistentHashFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_header_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_cookie: Option<HttpCookie>,
    #[serde(skip_serializing_if = "Option::is_none")]
    use_source_ip: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_query_parameter_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ring_hash: Option<RingHashFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    maglev: Option<MaglevFields>,
    #[serde(skip_serializing_if = "Option::is_none")]
    minimum_ring_size: Option<u64>,
}

impl ConsistentHashFields {
    fn key(&mut self) -> Result<Option<HashKey>, &'static str> {
        let keys = [
            self.http_header_name.take().map(HashKey::HttpHeaderName),
            self.http_cookie.take().map(HashKey::HttpCookie),
            self.use_source_ip.take().map(HashKey::UseSourceIp),
            self.http_query_parameter_name.take().map(HashKey::HttpQueryParameterName),
        ];
        let mut keys = keys.into_iter().flatten();
        match (keys.next(), keys.next()) {
            (key, None) => Ok(key),
            _ => Err(
                "only one of httpHeaderName, httpCookie, useSourceIp and httpQueryParameterName may be set",
            ),
        }
    }

    fn algorithm(&mut self) -> Result<Option<ConsistentHashAlgorithm>, &'static str> {
        match (self.ring_hash.take(), self.maglev.take()) {
            (None, None) => Ok(None),
            (Some(ring), None) => {
                Ok(Some(ConsistentHashAlgorithm::RingHash { minimum_ring_size: ring.minimum_ring_size }))
            }
            (None, Some(maglev)) => {
                Ok(Some(ConsistentHashAlgorithm::Maglev { table_size: maglev.table_size }))
            }
            (Some(_), Some(_)) => Err("only one of ringHash and maglev may be set"),
        }
    }
}

impl TryFrom<ConsistentHashFields> for ConsistentHashLb {
    type Error = &'static str;

    fn try_from(mut fields: ConsistentHashFields) -> Result<Self, &'static str> {
        Ok(Self {
            key: fields.key()?,
            algorithm: fields.algorithm()?,
            minimum_ring_size: fields.minimum_ring_size,
        })
    }
}

impl From<ConsistentHashLb> for ConsistentHashFields {
    fn from(hash: ConsistentHashLb) -> Self {
        let mut fields = Self { minimum_ring_size: hash.minimum_ring_size, ..Self::default() };
        match hash.key {
            None => {}
            Some(HashKey::HttpHeaderName(name)) => fields.http_header_name = Some(name),
            Some(HashKey::HttpCookie(cookie)) => fields.http_cookie = Some(cookie),
            Some(HashKey::UseSourceIp(on)) => fields.use_source_ip = Some(on),
            Some(HashKey::HttpQueryParameterName(name)) => {
                fields.http_query_parameter_name = Some(name);
            }
        }
        match hash.algorithm {
            None => {}
            Some(ConsistentHashAlgorithm::RingHash { minimum_ring_size }) => {
                fields.ring_hash = Some(RingHashFields { minimum_ring_size });
            }
            Some(ConsistentHashAlgorithm::Maglev { table_size }) => {
                fields.maglev = Some(MaglevFields { table_size });
            }
        }
        fields
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
        let hash: ConsistentHashLb = serde_json::from_value(json!({"minimumRingSize": 5})).unwrap();
        assert_eq!(hash.algorithm(), ConsistentHashAlgorithm::RingHash { minimum_ring_size: Some(5) });
    }
}
