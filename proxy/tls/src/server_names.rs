//! Which chain answers to a server name.

use postern_snapshot::{HostMap, HostPattern};

/// Values (the chains of a listener) by server name. Istio's and Envoy's rule: the exact name, then the longest
/// wildcard, then `*`, which alone takes clients that name no server.
#[derive(Debug, Clone)]
pub struct ServerNames<T>(HostMap<T>);

impl<T> Default for ServerNames<T> {
    fn default() -> Self {
        Self(HostMap::new())
    }
}

impl<T> ServerNames<T> {
    /// Without any name.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `value` answer to `pattern`; returns what did so before (the contract says that no two chains share a
    /// name).
    pub fn insert(&mut self, pattern: &HostPattern, value: T) -> Option<T> {
        self.0.insert(pattern, value)
    }

    /// Who answers to this name, as [`ClientHello::server_name`](crate::client_hello::ClientHello::server_name) has
    /// it: lower case, no trailing dot; `None` when the client named none.
    #[must_use]
    pub fn find(&self, server_name: Option<&str>) -> Option<&T> {
        match server_name {
            Some(name) => self.0.find(name),
            None => self.0.any(),
        }
    }

    /// All values, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use super::ServerNames;

    #[test]
    fn without_a_name_only_the_star_answers() {
        let mut names = ServerNames::new();
        names.insert(&"example.com".parse().unwrap(), 1);
        names.insert(&"*.example.com".parse().unwrap(), 2);
        assert_eq!(names.find(None), None);
        assert_eq!(names.find(Some("example.com")), Some(&1));
        assert_eq!(names.find(Some("a.example.com")), Some(&2));
        assert_eq!(names.find(Some("example.org")), None);
        names.insert(&"*".parse().unwrap(), 3);
        assert_eq!(names.find(None), Some(&3));
        assert_eq!(names.find(Some("example.org")), Some(&3));
        assert_eq!(names.values().count(), 3);
    }
}
