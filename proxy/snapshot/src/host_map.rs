//! A map from host patterns to values, searched by a concrete name.

use std::collections::HashMap;

use crate::HostPattern;

/// Values by [`HostPattern`]; the most specific pattern that covers a name wins: the exact name, then the longest
/// `*.suffix`, then `*`. This is the order in which Istio and Envoy choose a filter chain by server name and a
/// virtual host by authority, and the Gateway API a listener by hostname.
///
/// A search costs one hash lookup, and one more for each label of the name that may start a suffix; how many
/// patterns there are does not matter. Nothing is allocated.
#[derive(Debug, Clone)]
pub struct HostMap<T> {
    exact: HashMap<Box<str>, T>,
    /// By the suffix with its leading dot, as in [`HostPattern::Suffix`].
    suffixes: HashMap<Box<str>, T>,
    /// The shortest and the longest suffix in bytes: what is outside needs no lookup.
    suffix_lengths: Option<(usize, usize)>,
    any: Option<T>,
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), suffixes: HashMap::new(), suffix_lengths: None, any: None }
    }
}

impl<T> HostMap<T> {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts `value` under `pattern`. Returns the value that was there before.
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Option<T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name.as_str().into(), value),
            HostPattern::Suffix(suffix) => {
                let length = suffix.len();
                let (shortest, longest) = self.suffix_lengths.unwrap_or((length, length));
                self.suffix_lengths = Some((shortest.min(length), longest.max(length)));
                self.suffixes.insert(suffix.as_str().into(), value)
            }
            HostPattern::Any => self.any.replace(value),
        }
    }

    /// The value under exactly this pattern.
    #[must_use]
    pub fn get(&self, pattern: &HostPattern) -> Option<&T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get(name.as_str()),
            HostPattern::Suffix(suffix) => self.suffixes.get(suffix.as_str()),
            HostPattern::Any => self.any.as_ref(),
        }
    }

    /// As [`get`](Self::get), to change it.
    pub fn get_mut(&mut self, pattern: &HostPattern) -> Option<&mut T> {
        match pattern {
            HostPattern::Exact(name) => self.exact.get_mut(name.as_str()),
            HostPattern::Suffix(suffix) => self.suffixes.get_mut(suffix.as_str()),
            HostPattern::Any => self.any.as_mut(),
        }
    }

    /// The value of the most specific pattern that covers this name: lower case, without port and trailing dot.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&T> {
        self.exact.get(name).or_else(|| self.find_suffix(name)).or(self.any.as_ref())
    }

    /// The value of `*`: what a client gets that names no host.
    #[must_use]
    pub fn any(&self) -> Option<&T> {
        self.any.as_ref()
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.exact.len() + self.suffixes.len() + usize::from(self.any.is_some())
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All values, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.suffixes.values()).chain(&self.any)
    }

    fn find_suffix(&self, name: &str) -> Option<&T> {
        let (shortest, longest) = self.suffix_lengths?;
        // From left to right, so the longest suffix comes first. A suffix is shorter than the name.
        name.match_indices('.')
            .filter(|(at, _)| *at > 0)
            .map(|(at, _)| name.split_at(at).1)
            .skip_while(|suffix| suffix.len() > longest)
            .take_while(|suffix| suffix.len() >= shortest)
            .find_map(|suffix| self.suffixes.get(suffix))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::HostMap;
    use crate::HostPattern;

    fn map(patterns: &[&str]) -> HostMap<String> {
        let mut map = HostMap::new();
        for pattern in patterns {
            map.insert(&pattern.parse().unwrap(), (*pattern).to_owned());
        }
        map
    }

    #[test]
    fn the_most_specific_pattern_wins() {
        let map = map(&["*", "*.example.com", "*.b.example.com", "example.com", "a.b.example.com"]);
        let find = |name| map.find(name).map(String::as_str);
        assert_eq!(find("a.b.example.com"), Some("a.b.example.com"));
        assert_eq!(find("c.b.example.com"), Some("*.b.example.com"));
        assert_eq!(find("b.example.com"), Some("*.example.com"));
        assert_eq!(find("x.y.z.example.com"), Some("*.example.com"));
        assert_eq!(find("example.com"), Some("example.com"));
        assert_eq!(find("example.org"), Some("*"));
        assert_eq!(find(""), Some("*"));
        assert_eq!(map.any().map(String::as_str), Some("*"));
        assert_eq!(map.len(), 5);
        assert_eq!(map.values().count(), 5);
    }

    #[test]
    fn without_a_star_unknown_names_find_nothing() {
        let map = map(&["*.example.com"]);
        for name in ["", ".", "example.com", ".example.com", "com", "aexample.com", "a.example.com."] {
            assert_eq!(map.find(name), None, "{name}");
        }
        assert_eq!(map.any(), None);
    }

    #[test]
    fn a_second_value_replaces_the_first() {
        let mut map = map(&["*.example.com"]);
        let pattern: HostPattern = "*.EXAMPLE.com".parse().unwrap();
        assert_eq!(map.insert(&pattern, "second".to_owned()).as_deref(), Some("*.example.com"));
        *map.get_mut(&pattern).unwrap() += "!";
        assert_eq!(map.get(&pattern).unwrap(), "second!");
        assert_eq!(map.len(), 1);
        assert!(HostMap::<()>::new().is_empty());
    }

    /// Few labels, so that names and patterns meet often.
    fn name() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "cc"]), 1..5)
            .prop_map(|labels| labels.join("."))
    }

    fn pattern() -> impl Strategy<Value = HostPattern> {
        prop_oneof![
            3 => name().prop_map(HostPattern::Exact),
            3 => name().prop_map(|name| HostPattern::Suffix(format!(".{name}"))),
            1 => Just(HostPattern::Any),
        ]
    }

    /// The rule in words: of those that match, the exact one, else the longest suffix, else any.
    fn oracle<'a>(patterns: &'a [HostPattern], name: &str) -> Option<&'a HostPattern> {
        patterns.iter().filter(|pattern| pattern.matches(name)).max_by_key(|pattern| match pattern {
            HostPattern::Exact(_) => usize::MAX,
            HostPattern::Suffix(suffix) => suffix.len(),
            HostPattern::Any => 0,
        })
    }

    proptest! {
        #[test]
        fn finds_what_the_oracle_finds(patterns in prop::collection::vec(pattern(), 0..12), name in name()) {
            let mut map = HostMap::new();
            for pattern in &patterns {
                map.insert(pattern, pattern.clone());
            }
            prop_assert_eq!(map.find(&name), oracle(&patterns, &name));
        }
    }
}
