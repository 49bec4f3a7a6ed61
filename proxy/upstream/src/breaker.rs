//! Circuit breakers: so much may be under way to a cluster at a time, over all workers
//! (`envoy.config.cluster.v3.CircuitBreakers`).

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};

use postern_snapshot::model::CircuitBreakers;

/// What there is a limit on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Connections, those that are being made among them.
    Connections,
    /// Requests that wait for a connection.
    PendingRequests,
    /// Requests under way.
    Requests,
    /// Retries under way.
    Retries,
}

/// The limit is reached (Envoy: UO).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a circuit breaker of the cluster is open")]
pub struct Overflow;

/// The right to one of a [`Resource`], for as long as it lives. Costs nothing where there is no limit.
#[derive(Debug, Default)]
pub struct Permit(Option<(Arc<Breakers>, Resource)>);

/// The limits of a cluster, and what is under way.
#[derive(Debug)]
pub(crate) struct Breakers {
    limits: CircuitBreakers,
    connections: AtomicU32,
    pending_requests: AtomicU32,
    requests: AtomicU32,
    retries: AtomicU32,
}

impl Breakers {
    /// `None` without limits.
    pub(crate) fn new(limits: CircuitBreakers) -> Option<Arc<Self>> {
        let count = AtomicU32::default;
        (!limits.is_default()).then(|| {
            Arc::new(Self {
                limits,
                connections: count(),
                pending_requests: count(),
                requests: count(),
                retries: count(),
            })
        })
    }

    const fn limit(&self, resource: Resource) -> Option<u32> {
        match resource {
            Resource::Connections => self.limits.max_connections,
            Resource::PendingRequests => self.limits.max_pending_requests,
            Resource::Requests => self.limits.max_requests,
            Resource::Retries => self.limits.max_retries,
        }
    }

    const fn count(&self, resource: Resource) -> &AtomicU32 {
        match resource {
            Resource::Connections => &self.connections,
            Resource::PendingRequests => &self.pending_requests,
            Resource::Requests => &self.requests,
            Resource::Retries => &self.retries,
        }
    }

    pub(crate) fn acquire(self: &Arc<Self>, resource: Resource) -> Result<Permit, Overflow> {
        let Some(limit) = self.limit(resource) else { return Ok(Permit::default()) };
        let more = |count: u32| (count < limit).then(|| count + 1);
        match self.count(resource).fetch_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(Permit(Some((Arc::clone(self), resource)))),
            Err(_) => Err(Overflow),
        }
    }

    /// Also beyond the limit.
    pub(crate) fn acquire_anyway(self: &Arc<Self>, resource: Resource) -> Permit {
        if self.limit(resource).is_none() {
            return Permit::default();
        }
        self.count(resource).fetch_add(1, Relaxed);
        Permit(Some((Arc::clone(self), resource)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((breakers, resource)) = &self.0 {
            breakers.count(*resource).fetch_sub(1, Relaxed);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn permits_count_for_as_long_as_they_live() {
        let limits = CircuitBreakers { max_requests: Some(2), ..CircuitBreakers::default() };
        let breakers = Breakers::new(limits).unwrap();
        let first = breakers.acquire(Resource::Requests).unwrap();
        let second = breakers.acquire(Resource::Requests).unwrap();
        assert!(breakers.acquire(Resource::Requests).is_err());
        let third = breakers.acquire_anyway(Resource::Requests);
        drop(first);
        assert!(breakers.acquire(Resource::Requests).is_err(), "still two");
        drop((second, third));
        assert!(breakers.acquire(Resource::Requests).is_ok());
        // Another resource has no limit.
        let many: Vec<_> = (0..100).map(|_| breakers.acquire(Resource::Retries).unwrap()).collect();
        assert!(many.iter().all(|permit| permit.0.is_none()));
    }

    #[test]
    fn without_limits_there_is_nothing() {
        assert!(Breakers::new(CircuitBreakers::default()).is_none());
    }
}
