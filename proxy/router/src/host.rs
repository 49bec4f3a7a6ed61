//! Which of many hosts a name belongs to.

use std::{borrow::Cow, collections::HashMap, net::Ipv6Addr};

use postern_snapshot::HostPattern;
use rustc_hash::FxBuildHasher;

/// The host of an authority in the form that patterns are compared with: no port, no brackets around an IPv6
/// address, no trailing dot, lower case. Allocates only when there is an upper-case letter.
///
/// The port is ignored as with Istio's `IgnorePortInHostMatching`; one trailing dot is dropped as with Envoy's
/// `strip_trailing_host_dot`.
#[must_use]
pub fn normalize_host(authority: &str) -> Cow<'_, str> {
    let host = without_port(authority);
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// What is no `host:port` is left as it is; it will match nothing but `*`.
fn without_port(authority: &str) -> &str {
    let is_port = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(bracketed) = authority.strip_prefix('[') {
        return match bracketed.split_once(']') {
            Some((address, "")) => address,
            Some((address, rest)) if rest.strip_prefix(':').is_some_and(is_port) => address,
            _ => authority,
        };
    }
    match authority.rsplit_once(':') {
        Some((host, port))
            if is_port(port) && (!host.contains(':') || authority.parse::<Ipv6Addr>().is_err()) =>
        {
            host
        }
        _ => authority,
    }
}

/// Values by host pattern. A name gets the value of the exact pattern, else of the longest wildcard, else of `*`
/// (Envoy, Istio).
///
/// A lookup costs one hash for the exact name and at most one for each label of the name, however many patterns
/// there are.
#[derive(Debug, Clone)]
pub struct HostMap<T> {
    /// Hashed without a secret: the names come from the configuration, requests only look them up.
    exact: HashMap<Box<str>, T, FxBuildHasher>,
    /// By suffix with its leading dot.
    suffixes: HashMap<Box<str>, T, FxBuildHasher>,
    /// The lengths that occur among the suffixes, longest first: only there is a lookup worth a hash.
    suffix_lengths: Vec<usize>,
    any: Option<T>,
}

impl<T> HostMap<T> {
    /// A map without patterns.
    #[must_use]
    pub fn new() -> Self {
        Self {
            exact: HashMap::default(),
            suffixes: HashMap::default(),
            suffix_lengths: Vec::new(),
            any: None,
        }
    }

    /// Gives a pattern a value; returns the one that it had.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name.as_str().into(), value),
            HostPattern::Suffix(suffix) => {
                let length = suffix.len();
                if let Err(place) = self.suffix_lengths.binary_search_by(|known| length.cmp(known)) {
                    self.suffix_lengths.insert(place, length);
                }
                self.suffixes.insert(suffix.as_str().into(), value)
            }
            HostPattern::Any => self.any.replace(value),
        }
    }

    /// The value of the narrowest pattern that covers this name, which must be in the form of [`normalize_host`].
    /// Without a name (the empty text) only `*` counts.
    #[must_use]
    pub fn get(&self, host: &str) -> Option<&T> {
        self.exact.get(host).or_else(|| self.get_suffix(host)).or(self.any.as_ref())
    }

    fn get_suffix(&self, host: &str) -> Option<&T> {
        let bytes = host.as_bytes();
        self.suffix_lengths.iter().find_map(|length| {
            // Something must stand before the dot: `*.example.com` does not cover `.example.com`.
            let start = bytes.len().checked_sub(*length).filter(|start| *start > 0)?;
            if bytes.get(start) != Some(&b'.') {
                return None;
            }
            self.suffixes.get(host.get(start..)?)
        })
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.suffixes.len() + usize::from(self.any.is_some())
    }

    /// Is there no pattern?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// Host patterns, compiled to answer whether one of them covers a name.
#[derive(Debug, Clone, Default)]
pub struct HostSet(HostMap<()>);

impl HostSet {
    /// Does a pattern cover this name, which must be in the form of [`normalize_host`]?
    #[must_use]
    pub fn contains(&self, host: &str) -> bool {
        self.0.get(host).is_some()
    }

    /// Is there no pattern?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'a> FromIterator<&'a HostPattern> for HostSet {
    fn from_iter<I: IntoIterator<Item = &'a HostPattern>>(patterns: I) -> Self {
        let mut map = HostMap::new();
        for pattern in patterns {
            map.insert(pattern, ());
        }
        Self(map)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "host_tests.rs"]
mod tests;
