//! Host names of listeners and routes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::value::{HostPattern, is_dns_label};

/// A DNS name, or one with the wildcard `*.` in place of its first label (`Hostname`). `*.example.com` covers
/// `a.example.com` and `a.b.example.com`, not `example.com`. Never an IP address, never `*` alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hostname(HostPattern);

/// A text that is no [`Hostname`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a hostname; write a DNS name of 253 characters at most, which may begin with \"*.\", and no IP address"
)]
pub struct HostnameError(String);

impl Hostname {
    /// As a pattern: exact, or a suffix.
    #[must_use]
    pub const fn pattern(&self) -> &HostPattern {
        &self.0
    }
}

impl fmt::Display for Hostname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Hostname {
    type Err = HostnameError;

    fn from_str(text: &str) -> Result<Self, HostnameError> {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("*.").unwrap_or(&lower);
        let good = lower.len() <= 253 && name.split('.').all(is_dns_label) && name.parse::<IpAddr>().is_err();
        if !good {
            return Err(HostnameError(text.to_owned()));
        }
        Ok(Self(match lower.strip_prefix('*') {
            Some(suffix) => HostPattern::Suffix(suffix.to_owned()),
            None => HostPattern::Exact(lower),
        }))
    }
}

crate::value::string_serde!(Hostname);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wildcards_are_hostnames() {
        for (text, pattern) in [
            ("example.com", HostPattern::Exact("example.com".to_owned())),
            ("WWW.example.com", HostPattern::Exact("www.example.com".to_owned())),
            ("localhost", HostPattern::Exact("localhost".to_owned())),
            ("*.example.com", HostPattern::Suffix(".example.com".to_owned())),
        ] {
            assert_eq!(text.parse::<Hostname>().map(|it| it.pattern().clone()), Ok(pattern), "{text}");
        }
    }

    #[test]
    fn other_texts_are_not() {
        let long = format!("{}.com", "a.".repeat(130));
        for text in
            ["", "*", "*.", "a.*.com", "*a.com", "10.0.0.1", "*.10.0.0.1", "a..b", "-a.com", "a b", &long]
        {
            assert!(text.parse::<Hostname>().is_err(), "{text}");
        }
    }
}
