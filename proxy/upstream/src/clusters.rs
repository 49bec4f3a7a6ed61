//! All clusters of a snapshot.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashSet, btree_map},
    hash::{Hash, Hasher},
    iter::Peekable,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use postern_snapshot::{
    ClusterName,
    model::{self, Endpoints},
};
use postern_tls::{CertificateStore, TlsError};

use crate::{Cluster, Endpoint, registry::Registry};

/// All clusters of a snapshot, shared by the workers.
#[derive(Debug, Default)]
pub struct Clusters {
    by_name: HashSet<ByName>,
    /// The same, as sorted as endpoints are in a snapshot, so that both can be walked side by side.
    sorted: Vec<Arc<Cluster>>,
    /// Shared with what was compiled before and after; only compiling locks it.
    registry: Arc<Mutex<Registry>>,
    /// Grows with each change, over all that was compiled one after the other.
    generation: AtomicU64,
}

/// A cluster that cannot be used as it is described.
#[derive(Debug, thiserror::Error)]
#[error("cluster {name}: {reason}")]
pub struct RefusedCluster {
    /// Which one.
    pub name: ClusterName,
    /// Why: a certificate or a name for its TLS.
    #[source]
    pub reason: TlsError,
}

impl Clusters {
    /// Compiles what the parts `routes` and `endpoints` say.
    ///
    /// A cluster whose settings (and certificates) are as in `previous` stays the same object; an endpoint whose
    /// address and transport are as before keeps its counters, its set-aside mark and its connections. New endpoints
    /// of such a cluster take effect at once, also for those who hold it through `previous`: they are where the
    /// service is.
    ///
    /// A cluster that is refused, because of its TLS, stays as it is in `previous` if it is there with these
    /// settings, and else is missing. The others are not affected.
    #[must_use]
    pub fn compile(
        clusters: &BTreeMap<ClusterName, model::Cluster>,
        endpoints: &Endpoints,
        certificates: &CertificateStore,
        previous: Option<&Self>,
    ) -> (Self, Vec<RefusedCluster>) {
        let registry = previous.map(|previous| Arc::clone(&previous.registry)).unwrap_or_default();
        let mut compiled = Self {
            by_name: HashSet::with_capacity(clusters.len()),
            sorted: Vec::with_capacity(clusters.len()),
            registry,
            generation: AtomicU64::new(0),
        };
        let mut endpoints = EndpointsInOrder::new(endpoints);
        let mut refused = Vec::new();
        for (name, settings) in clusters {
            let kept = previous.and_then(|previous| previous.by_name.get(name)).map(|ByName(kept)| kept);
            let kept = kept.filter(|kept| kept.settings() == settings);
            let transport = compiled.registry().transport(settings, certificates);
            let cluster = match (transport, kept) {
                (Ok(transport), Some(kept)) if Arc::ptr_eq(&transport, kept.transport()) => Arc::clone(kept),
                (Ok(transport), _) => Arc::new(Cluster::new(name.clone(), settings.clone(), transport)),
                (Err(reason), kept) => {
                    refused.push(RefusedCluster { name: name.clone(), reason });
                    let Some(kept) = kept else { continue };
                    Arc::clone(kept)
                }
            };
            compiled.update(&cluster, endpoints.of(name));
            compiled.sorted.push(Arc::clone(&cluster));
            compiled.by_name.insert(ByName(cluster));
        }
        compiled.enter_generation();
        (compiled, refused)
    }

    /// Takes over other endpoints; all else stays. Costs a comparison for each cluster whose endpoints are the same.
    ///
    /// Returns how many clusters changed.
    pub fn update_endpoints(&self, endpoints: &Endpoints) -> usize {
        let mut endpoints = EndpointsInOrder::new(endpoints);
        let update = |cluster: &&Arc<Cluster>| self.update(cluster, endpoints.of(cluster.name()));
        let changed = self.sorted.iter().filter(update).count();
        if changed > 0 {
            self.enter_generation();
        }
        changed
    }

    /// The endpoints of now become a generation of their own, so that pools can tell which are gone.
    fn enter_generation(&self) {
        let generation = self.registry().next_generation();
        self.sorted.iter().for_each(|cluster| cluster.enter(generation));
        self.generation.store(generation, Relaxed);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Relaxed)
    }

    /// The cluster with this name.
    #[must_use]
    pub fn get(&self, name: &ClusterName) -> Option<Arc<Cluster>> {
        self.by_name.get(name).map(|ByName(cluster)| Arc::clone(cluster))
    }

    /// Does one of them have this endpoint, or will a later generation of them?
    #[must_use]
    pub fn have(&self, endpoint: &Endpoint) -> bool {
        endpoint.is_in(self.generation())
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Cluster>> {
        self.sorted.iter()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Are there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // The registry is never left half changed.
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, cluster: &Cluster, source: &[model::Endpoint]) -> bool {
        cluster.set_endpoints(source, |address| self.registry().endpoint(address, cluster.transport()))
    }
}

/// A cluster that is found by its name.
#[derive(Debug)]
struct ByName(Arc<Cluster>);

impl Borrow<ClusterName> for ByName {
    fn borrow(&self) -> &ClusterName {
        self.0.name()
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name() == other.0.name()
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.name().hash(state);
    }
}

/// Finds the endpoints of clusters that are asked for in the order of their names.
struct EndpointsInOrder<'a>(Peekable<btree_map::Iter<'a, ClusterName, Vec<model::Endpoint>>>);

impl<'a> EndpointsInOrder<'a> {
    fn new(endpoints: &'a Endpoints) -> Self {
        Self(endpoints.0.iter().peekable())
    }

    fn of(&mut self, cluster: &ClusterName) -> &'a [model::Endpoint] {
        while self.0.next_if(|(name, _)| *name < cluster).is_some() {}
        self.0.next_if(|(name, _)| *name == cluster).map_or(&[], |(_, endpoints)| endpoints.as_slice())
    }
}
