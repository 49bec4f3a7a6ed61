//! Where a request was sent already.

use crate::EndpointId;

/// The endpoints that one request was sent to without success.
///
/// The pool adds those that failed; the caller adds those whose response was not good enough, and passes it to the
/// next try, so that an endpoint that was not tried yet is preferred (Istio's `retryIgnorePreviousHosts`).
/// An empty one allocates nothing.
#[derive(Debug, Default, Clone)]
pub struct Tried(Vec<EndpointId>);

impl Tried {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Remembers this one.
    pub fn add(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.0.push(endpoint);
        }
    }

    /// Was it tried?
    #[must_use]
    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.contains(&endpoint)
    }

    /// Forgets all (Istio's `retryIgnorePreviousHosts: false`).
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
