//! Host names, with wildcards and, in Gateways, with namespaces.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A host name, a wildcard or an IP address, in lower case (host names have no case, RFC 4343).
///
/// It stands in `hosts` of VirtualServices and ServiceEntries, in `sniHosts` and as DestinationRule's
/// `host`. Short names are allowed; the translator completes them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// `*`: every host.
    Any,
    /// `*.example.com`, kept as `.example.com`: every host that ends with this. Istio also takes
    /// `*-x.example.com`, kept as `-x.example.com`, outside of Gateways.
    Suffix(String),
    /// Exactly this host or address.
    Exact(String),
}

/// Why a text is not a host.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It breaks the rules of DNS names (RFC 1123) with Istio's wildcards.
    #[error(
        "{0:?} is not a host; write a DNS name (letters, digits and dashes between dots, 255 characters at most), \"*.\" with a DNS name, \"*\" or an IP address"
    )]
    Syntax(String),
    /// A Gateway needs whole names.
    #[error("{0:?} is a short name; a Gateway's host must be a whole DNS name (with a dot) or \"*\"")]
    Short(String),
    /// A Gateway has no wildcards within a label.
    #[error("{0:?} has a wildcard within a label; in a Gateway \"*\" may only be the whole first label")]
    PartialWildcard(String),
    /// The part before the slash is no namespace.
    #[error("{0:?} has a wrong namespace; before the slash must be \"*\", \".\" or the name of a namespace")]
    Namespace(String),
}

impl HostPattern {
    /// Whether a host, in lower case and without a port, is one of these.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            // The wildcard stands for at least one character: `.example.com` itself is no host.
            Self::Suffix(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
            Self::Exact(exact) => exact == host,
        }
    }

    /// Whether every host of `other` is one of these too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (_, Self::Any) => false,
            (Self::Suffix(wide), Self::Suffix(narrow)) => narrow.ends_with(wide.as_str()),
            (Self::Suffix(_), Self::Exact(host)) => self.matches(host),
            (Self::Exact(a), Self::Exact(b)) => a == b,
            (Self::Exact(_), Self::Suffix(_)) => false,
        }
    }

    /// The hosts that both have in common: the narrower of the two, `None` if there are none.
    #[must_use]
    pub fn intersect<'a>(&'a self, other: &'a Self) -> Option<&'a Self> {
        if self.covers(other) {
            Some(other)
        } else if other.covers(self) {
            Some(self)
        } else {
            None
        }
    }

    /// Whether this holds a `*`.
    #[must_use]
    pub const fn is_wildcard(&self) -> bool {
        !matches!(self, Self::Exact(_))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Suffix(suffix) => write!(f, "*{suffix}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Exact(address.to_string()));
        }
        let syntax = || HostError::Syntax(text.to_owned());
        if text.len() > 255 {
            return Err(syntax());
        }
        let lower = text.to_ascii_lowercase();
        let Some(suffix) = lower.strip_prefix('*') else {
            return if lower.split('.').all(is_dns_label) { Ok(Self::Exact(lower)) } else { Err(syntax()) };
        };
        // `*.example.com`, `*-x.example.com` and `*x.example.com` are Istio's forms.
        let rest = suffix.strip_prefix(['.', '-']).unwrap_or(suffix);
        if rest.split('.').all(is_dns_label) { Ok(Self::Suffix(suffix.to_owned())) } else { Err(syntax()) }
    }
}

super::string_serde!(HostPattern);

/// A host of a Gateway's server: `host`, or `namespace/host` which only VirtualServices of that
/// namespace may use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerHost {
    /// The namespaces whose VirtualServices may bind here.
    pub namespace: HostNamespace,
    /// The host.
    pub host: HostPattern,
}

/// The namespaces whose VirtualServices may bind to a [`ServerHost`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostNamespace {
    /// `*/`, or nothing: all.
    Any,
    /// `./`: the Gateway's own.
    Own,
    /// `~/`: none. Only the translation from Gateway API writes it.
    Nobody,
    /// This one.
    Named(String),
}

impl HostNamespace {
    /// Whether a VirtualService of `namespace` may bind to a Gateway of namespace `own`.
    #[must_use]
    pub fn admits(&self, own: &str, namespace: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Own => own == namespace,
            Self::Nobody => false,
            Self::Named(name) => name == namespace,
        }
    }
}

impl fmt::Display for ServerHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            // `*/host` and `host` are the same.
            HostNamespace::Any => self.host.fmt(f),
            HostNamespace::Own => write!(f, "./{}", self.host),
            HostNamespace::Nobody => write!(f, "~/{}", self.host),
            HostNamespace::Named(name) => write!(f, "{name}/{}", self.host),
        }
    }
}

impl FromStr for ServerHost {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        let (namespace, host_text) = match text.split_once('/') {
            None => (HostNamespace::Any, text),
            Some(("*", host)) => (HostNamespace::Any, host),
            Some((".", host)) => (HostNamespace::Own, host),
            Some(("~", host)) => (HostNamespace::Nobody, host),
            Some((name, host)) if is_dns_label(name) => (HostNamespace::Named(name.to_owned()), host),
            Some(_) => return Err(HostError::Namespace(text.to_owned())),
        };
        let host: HostPattern = host_text.parse().map_err(|_| HostError::Syntax(text.to_owned()))?;
        let is_address = host_text.parse::<IpAddr>().is_ok();
        match &host {
            HostPattern::Exact(name) if !name.contains('.') && !is_address => {
                Err(HostError::Short(text.to_owned()))
            }
            HostPattern::Suffix(suffix) if !suffix.starts_with('.') => {
                Err(HostError::PartialWildcard(text.to_owned()))
            }
            _ => Ok(Self { namespace, host }),
        }
    }
}

super::string_serde!(ServerHost);

/// Whether a text is a DNS label (RFC 1123; upper case is let through, as Istio does): letters, digits
/// and dashes, no dash at either end, 1 to 63 characters.
#[must_use]
pub fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && !text.starts_with('-')
        && !text.ends_with('-')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
