//! Where a request was sent already.

use crate::EndpointId;

/// The endpoints that one request was sent to without success.
///
/// The pool adds those that failed; the caller adds those whose response was not good enough, and passes it to the
/// next try, so that an endpoint that was not tried yet is preferred (Istio's `retryIgnorePreviousHosts`).
/// An empty one allocates nothing.
#[derive(Debug, Default, Clone)]
pub struct Tried {
    failed: Vec<EndpointId>,
    current: Option<EndpointId>,
}

impl Tried {
    /// Nothing yet.
    #[must_use]
    pub const fn new() -> Self {
        Self { failed: Vec::new(), current: None }
    }

    /// Remembers this one.
    pub fn add(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.failed.push(endpoint);
        }
    }

    /// The one that the request is at now, or was at last: it is known also when it does not answer in time.
    #[must_use]
    pub const fn current(&self) -> Option<EndpointId> {
        self.current
    }

    pub(crate) const fn is_at(&mut self, endpoint: EndpointId) {
        self.current = Some(endpoint);
    }

    /// Was it tried?
    #[must_use]
    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.failed.contains(&endpoint)
    }

    /// Forgets all (Istio's `retryIgnorePreviousHosts: false`).
    pub fn clear(&mut self) {
        self.failed.clear();
    }
}
