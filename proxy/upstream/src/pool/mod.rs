//! One worker's connections.

mod body;
mod config;
mod host;
mod http1;
mod http2;
mod lease;
mod send;
mod slot;
mod sweep;
mod upgrade;

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    fmt,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
    sync::Arc,
};

use fastrand::Rng;
use hyper::body::Body;
use rustls_pki_types::ServerName;

pub use body::ResponseBody;
pub use config::PoolConfig;
use send::Unanswered;
pub use send::UpstreamResponse;
pub use upgrade::{Upgrade, UpgradedStream};

use crate::{Cause, Cluster, Endpoint, EndpointId, PoolObserver, Tried};
use host::Host;

/// Memory for requests is kept up to this size.
const MOST_MEMORY: usize = 64 * 1024;

/// One worker's connections to all upstreams, for requests with bodies of type `B`.
///
/// Cheap to clone; all clones are the same pool. It lives on one thread, within a [`tokio::task::LocalSet`] (or a
/// local runtime), which runs its connections.
pub struct Pool<B>(Rc<Inner<B>>);

impl<B> Clone for Pool<B> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<B> fmt::Debug for Pool<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("hosts", &self.0.hosts.borrow().len()).finish_non_exhaustive()
    }
}

struct Inner<B> {
    shared: Rc<Shared>,
    rng: RefCell<Rng>,
    hosts: RefCell<Hosts<B>>,
    sweeping: Cell<bool>,
}

/// What all hosts of a pool have in common.
struct Shared {
    config: PoolConfig,
    observer: Box<dyn PoolObserver>,
    /// Counts the sweeps: a clock for idle connections that costs nothing to read.
    sweeps: Cell<u32>,
    arena: Rc<http1::Arena>,
    /// For the heads of requests.
    memory: Cell<Vec<u8>>,
    /// The generation of the clusters that the worker uses.
    generation: Cell<u64>,
}

impl Shared {
    /// Memory to encode a request into; empty.
    fn take_memory(&self) -> Vec<u8> {
        self.memory.take()
    }

    /// Memory for the next request, which does not give it away if it has grown.
    fn give_memory(&self, memory: Vec<u8>) {
        if memory.capacity() <= MOST_MEMORY {
            self.memory.set(memory);
        }
    }
}

/// The connections to each endpoint. Those over TLS that name the request's host are told apart by it.
struct Hosts<B> {
    fixed: HashMap<EndpointId, Rc<Host<B>>, IdHash>,
    by_name: HashMap<(EndpointId, ServerName<'static>), Rc<Host<B>>>,
}

impl<B> Hosts<B> {
    fn len(&self) -> usize {
        self.fixed.len() + self.by_name.len()
    }
}

impl<B> Pool<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    /// An empty pool.
    pub fn new(config: PoolConfig, observer: impl PoolObserver) -> Self {
        let rng = config.seed.map_or_else(Rng::new, Rng::with_seed);
        let shared = Rc::new(Shared {
            config,
            observer: Box::new(observer),
            sweeps: Cell::new(0),
            arena: Rc::default(),
            memory: Cell::default(),
            generation: Cell::new(0),
        });
        Self(Rc::new(Inner {
            shared,
            rng: RefCell::new(rng),
            hosts: RefCell::new(Hosts { fixed: HashMap::default(), by_name: HashMap::new() }),
            sweeping: Cell::new(false),
        }))
    }

    pub(crate) fn choose(&self, cluster: &Cluster, tried: &Tried) -> Option<Arc<Endpoint>> {
        cluster.choose(&mut self.0.rng.borrow_mut(), tried)
    }

    /// The connections to this endpoint, under the name that its TLS handshakes ask for.
    fn host(&self, endpoint: &Arc<Endpoint>, name: Option<&ServerName<'static>>) -> Rc<Host<B>> {
        let mut hosts = self.0.hosts.borrow_mut();
        let new = |name| Rc::new(Host::new(Arc::clone(endpoint), name, Rc::clone(&self.0.shared)));
        match name {
            None => {
                if let Some(host) = hosts.fixed.get(&endpoint.id()) {
                    return Rc::clone(host);
                }
                self.start_sweeping();
                Rc::clone(hosts.fixed.entry(endpoint.id()).or_insert_with(|| new(None)))
            }
            Some(name) => {
                self.start_sweeping();
                let key = (endpoint.id(), name.clone());
                Rc::clone(hosts.by_name.entry(key).or_insert_with(|| new(Some(name.clone()))))
            }
        }
    }
}

/// Hashes the one number that an [`EndpointId`] is.
#[derive(Default)]
struct IdHasher(u64);

type IdHash = BuildHasherDefault<IdHasher>;

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: successive numbers are spread over the high and the low bits.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    }
}
