//! Names and small values that are parsed once, when they enter, and need no check afterwards.

use std::{borrow::Borrow, fmt, num::NonZeroU16, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a valid {what}: {why}")]
pub struct InvalidName {
    /// What was expected, for example `host`.
    pub what: &'static str,
    /// What was given.
    pub value: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

/// A port of TCP or UDP, 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(NonZeroU16);

impl Port {
    /// The port with this number; `None` for 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number, 1 to 65535.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0.get()
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A host that a server or a virtual host answers to: a DNS name, a name with a leading `*.` wildcard, or `*`.
///
/// Always lower case (Istio lower-cases hosts of servers). `*.example.com` covers `a.example.com` and
/// `a.b.example.com` but not `example.com` (Istio, Envoy). An IP address literal counts as an exact name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum HostPattern {
    /// This name only.
    Exact(String),
    /// All names that end with this suffix, which starts with a dot: `.example.com` for `*.example.com`.
    Suffix(String),
    /// Every name, also none.
    Any,
}

impl HostPattern {
    /// Does it cover this lower-case name without port?
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Any => true,
        }
    }

    /// Are all names that `other` covers covered by this one?
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Exact(_), Self::Suffix(_)) => false,
            (Self::Suffix(_), Self::Exact(name)) => self.matches(name),
            (Self::Suffix(a), Self::Suffix(b)) => b.ends_with(a.as_str()),
        }
    }

    /// The narrower of two patterns when one covers the other; `None` when they have no name in common.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        if self.covers(other) {
            Some(other.clone())
        } else if other.covers(self) {
            Some(self.clone())
        } else {
            None
        }
    }
}

impl FromStr for HostPattern {
    type Err = InvalidName;

    fn from_str(value: &str) -> Result<Self, InvalidName> {
        let invalid = |why| InvalidName { what: "host", value: value.to_owned(), why };
        let lower = value.to_ascii_lowercase();
        if lower == "*" {
            return Ok(Self::Any);
        }
        let (name, wildcard) = match lower.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (lower.as_str(), false),
        };
        if !wildcard && lower.parse::<std::net::IpAddr>().is_ok() {
            return Ok(Self::Exact(lower));
        }
        if name.is_empty() || name.len() > 253 {
            return Err(invalid("a name has 1 to 253 characters"));
        }
        for label in name.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(invalid("each label between dots has 1 to 63 characters"));
            }
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(invalid(
                    "only letters, digits, - and _ are allowed, and * as the whole first label",
                ));
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(invalid("a label does not start or end with -"));
            }
        }
        Ok(if wildcard { Self::Suffix(format!(".{name}")) } else { Self::Exact(lower) })
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Any => f.write_str("*"),
        }
    }
}

impl TryFrom<String> for HostPattern {
    type Error = InvalidName;

    fn try_from(value: String) -> Result<Self, InvalidName> {
        value.parse()
    }
}

impl From<HostPattern> for String {
    fn from(value: HostPattern) -> Self {
        value.to_string()
    }
}

/// A name that refers from one part of the snapshot to another; any text will do.
macro_rules! reference_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name with this text.
            pub fn new(name: impl Into<String>) -> Self {
                Self(name.into())
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

reference_name! {
    /// The name of a cluster, in Istio's form: `outbound|80|subset|app-service.default.svc.cluster.local`.
    ClusterName
}
reference_name! {
    /// The name of a route table, in Istio's form: `http.80` or `https.443.https.web-gateway.istio-system`.
    RouteTableName
}
reference_name! {
    /// The name of a server certificate: the Secret `namespace/name` it came from, or a hash for files.
    CertificateName
}
reference_name! {
    /// The name of a bundle of certificate authorities: the Secret or ConfigMap `namespace/name` it came from.
    CaName
}
reference_name! {
    /// What a private key is found by: `sha256:` and the hexadecimal SHA-256 of its PEM text.
    KeyId
}
