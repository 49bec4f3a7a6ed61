//! Choosing the same endpoint for the same key.

use serde::{Deserialize, Serialize};

use crate::value::{Duration, non_empty};

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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn the_old_ring_size_counts_without_an_algorithm() {
        let hash: ConsistentHashLb = serde_json::from_value(json!({"minimumRingSize": 5})).unwrap();
        assert_eq!(hash.algorithm(), ConsistentHashAlgorithm::RingHash { minimum_ring_size: Some(5) });
        let hash: ConsistentHashLb = serde_json::from_value(json!({"maglev": {}})).unwrap();
        assert_eq!(hash.algorithm(), ConsistentHashAlgorithm::Maglev { table_size: None });
    }
}
