//! A group of equal endpoints.

use std::{net::SocketAddr, sync::Arc};

use arc_swap::ArcSwap;
use fastrand::Rng;
use postern_snapshot::{
    ClusterName,
    model::{self, UpstreamProtocol},
};

use crate::{
    Endpoint, EndpointId, Outcome, Overflow, Permit, Resource, Transport, Tried, breaker::Breakers,
    endpoint_set::EndpointSet,
};

/// A handle that stays the same while the cluster's settings do; its endpoints change behind it.
#[derive(Debug)]
pub struct Cluster {
    name: ClusterName,
    settings: model::Cluster,
    transport: Arc<Transport>,
    endpoints: ArcSwap<EndpointSet>,
    /// `None`: there are no limits.
    breakers: Option<Arc<Breakers>>,
}

impl Cluster {
    /// Without endpoints yet.
    pub(crate) fn new(name: ClusterName, settings: model::Cluster, transport: Arc<Transport>) -> Self {
        let breakers = Breakers::new(settings.circuit_breakers);
        Self { name, settings, transport, endpoints: ArcSwap::default(), breakers }
    }

    /// Its name, in Istio's form.
    #[must_use]
    pub const fn name(&self) -> &ClusterName {
        &self.name
    }

    /// Its settings: the service for metrics, the connect timeout, ...
    #[must_use]
    pub const fn settings(&self) -> &model::Cluster {
        &self.settings
    }

    /// What requests to it must look like: HTTP/1.1 wants origin form, HTTP/2 a URI with scheme and authority.
    #[must_use]
    pub const fn protocol(&self) -> UpstreamProtocol {
        self.settings.protocol
    }

    /// How its endpoints are reached.
    #[must_use]
    pub const fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// The endpoints of now, for the admin interface.
    #[must_use]
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.endpoints.load().iter().cloned().collect()
    }

    /// How many endpoints it has now.
    #[must_use]
    pub fn endpoint_count(&self) -> usize {
        self.endpoints.load().len()
    }

    /// The right to one more of this.
    ///
    /// # Errors
    /// The limit of the cluster's circuit breaker is reached.
    pub fn acquire(&self, resource: Resource) -> Result<Permit, Overflow> {
        match &self.breakers {
            None => Ok(Permit::default()),
            Some(breakers) => breakers.acquire(resource),
        }
    }

    /// The same, also beyond the limit.
    pub(crate) fn acquire_anyway(&self, resource: Resource) -> Permit {
        self.breakers.as_ref().map_or_else(Permit::default, |breakers| breakers.acquire_anyway(resource))
    }

    /// Does it have a circuit breaker?
    pub(crate) const fn is_limited(&self) -> bool {
        self.breakers.is_some()
    }

    /// The next endpoint; `None` when there are none.
    pub(crate) fn choose(&self, rng: &mut Rng, tried: &Tried) -> Option<Arc<Endpoint>> {
        self.endpoints.load().choose(rng, tried).map(Arc::clone)
    }

    /// This generation of the clusters has its endpoints.
    pub(crate) fn enter(&self, generation: u64) {
        self.endpoints.load().iter().for_each(|endpoint| endpoint.enter(generation));
    }

    /// Replaces the endpoints if they differ from those of now.
    pub(crate) fn set_endpoints(
        &self,
        source: &[model::Endpoint],
        find: impl FnMut(SocketAddr) -> Arc<Endpoint>,
    ) -> bool {
        if self.endpoints.load().source() == source {
            return false;
        }
        let before = self.endpoints.load();
        self.endpoints.store(Arc::new(EndpointSet::new(source, &self.settings, &before, find)));
        true
    }

    /// Takes note of how a request or a connection went, for outlier detection. Nothing is done where there is none, or
    /// the endpoint is not the cluster's any more.
    pub fn report(&self, endpoint: EndpointId, outcome: Outcome) {
        if let Some(settings) = &self.settings.outlier_detection {
            self.endpoints.load().monitors().report(endpoint, outcome, settings);
        }
    }
}
