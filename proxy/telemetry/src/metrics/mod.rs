//! Metrics: Istio's standard ones and the proxy's own, in the OpenMetrics text format.
//!
//! ## How a request is counted
//! Each worker has a share of its own of every series that it uses: plain atomics that only it
//! writes, found in a cache by a small key. A scrape adds the shares up. So workers neither wait for
//! each other nor for the scrape; a lock is taken only when a worker uses a series for the first time.
//!
//! ## How series end
//! A [`Destination`], [`ListenerMetrics`] or [`ClusterMetrics`] lives as long as someone holds it:
//! the runtime of a snapshot, a request under way, a pooled connection. When nobody has for
//! [`Options::retention`], its series are removed; what comes back later begins at zero. The number
//! of request and connection series is limited by [`Options::max_series`], so that no upstream can
//! fill the memory by inventing status codes; what finds no place is counted in
//! `postern_metrics_overflow_total`.

mod cluster;
mod destination;
mod encode;
mod histogram;
mod interned;
mod listener;
mod process;
mod reload;
mod series;
mod store;
mod udp;
mod worker;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

pub use cluster::{ClusterMetrics, ConnectFailure, MirrorFailure};
pub use destination::{Destination, DestinationLabels};
pub use listener::{ActiveConnection, HandshakeFailure, ListenerMetrics};
pub use reload::ReloadResult;
pub use series::RequestProtocol;
pub use udp::{DatagramDrop, UdpMetrics, UdpShare};
pub use worker::{RequestEnd, WorkerMetrics};

use encode::{ClusterCollector, ListenerCollector, SeriesCollector};
use interned::Interned;
use process::ProcessCollector;
use reload::Reloads;
use store::Store;
use udp::UdpCollector;

/// The `content-type` of what [`Metrics::render`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Who this proxy is, as Istio's labels and `postern_build_info` tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `source_workload`: the name of the ingress.
    pub workload: String,
    /// `source_workload_namespace`.
    pub namespace: String,
    /// The version of the program.
    pub version: String,
}

/// Limits of the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Most request and connection series together, over all destinations.
    pub max_series: usize,
    /// How long series are kept after their destination, listener or cluster was last in use. Longer
    /// than the slowest scrape interval, so that the last values are seen.
    pub retention: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_series: 16_384, retention: Duration::from_secs(600) }
    }
}

/// Shared values by name.
#[derive(Debug)]
struct Names<V>(Mutex<Interned<Box<str>, V>>);

impl<V: Default> Names<V> {
    fn named(&self, name: &str) -> Arc<V> {
        self.lock().get_or_insert(&name.into(), V::default)
    }

    fn all(&self) -> Vec<(Box<str>, Arc<V>)> {
        self.lock().iter().map(|(name, value)| (name.clone(), Arc::clone(value))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Interned<Box<str>, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<V> Default for Names<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

/// All metrics of the proxy. Shared by the workers and the server of `/stats/prometheus`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    store: Arc<Store>,
    unknown: Arc<Destination>,
    listeners: Arc<Names<ListenerMetrics>>,
    udp: Arc<Names<UdpMetrics>>,
    clusters: Arc<Names<ClusterMetrics>>,
    reloads: Arc<Reloads>,
    access_log_dropped: Counter,
    retention: Duration,
}

impl Metrics {
    /// Metrics in which nothing has been counted.
    #[must_use]
    pub fn new(identity: Identity, options: Options) -> Self {
        let store = Arc::new(Store::new(options.max_series, options.retention));
        let unknown = store.destination(&DestinationLabels::unknown());
        let listeners = Arc::new(Names::default());
        let udp = Arc::new(Names::default());
        let clusters = Arc::new(Names::default());
        let reloads = Arc::new(Reloads::default());
        let access_log_dropped = Counter::default();
        let mut registry = Registry::default();
        registry.register(
            "postern_build",
            "The program that is running",
            Info::new([("version", identity.version.clone())]),
        );
        registry.register(
            "postern_access_log_dropped",
            "Access log lines that were lost because the log could not be written fast enough, or at all",
            access_log_dropped.clone(),
        );
        registry.register(
            "postern_metrics_overflow",
            "Observations that were not counted because there were too many series",
            store.overflow.clone(),
        );
        registry.register_collector(Box::new(SeriesCollector { store: Arc::clone(&store), identity }));
        registry.register_collector(Box::new(ListenerCollector(Arc::clone(&listeners))));
        registry.register_collector(Box::new(UdpCollector(Arc::clone(&udp))));
        registry.register_collector(Box::new(ClusterCollector(Arc::clone(&clusters))));
        registry.register_collector(Box::new(Arc::clone(&reloads)));
        registry.register_collector(Box::new(ProcessCollector));
        Self {
            registry,
            store,
            unknown,
            listeners,
            udp,
            clusters,
            reloads,
            access_log_dropped,
            retention: options.retention,
        }
    }

    /// The counting hand of one worker; to be called in the worker's thread.
    #[must_use]
    pub fn worker(&self) -> WorkerMetrics {
        WorkerMetrics::new(Arc::clone(&self.store))
    }

    /// The destination with these labels. Takes a lock: for reloads, not for requests.
    #[must_use]
    pub fn destination(&self, labels: &DestinationLabels) -> Arc<Destination> {
        self.store.destination(labels)
    }

    /// The destination of requests that go nowhere (no route, redirects, ...).
    #[must_use]
    pub const fn unknown_destination(&self) -> &Arc<Destination> {
        &self.unknown
    }

    /// The counters of the listener with this name. Takes a lock: for reloads, not for connections.
    #[must_use]
    pub fn listener(&self, name: &str) -> Arc<ListenerMetrics> {
        self.listeners.named(name)
    }

    /// The counters of the UDP listener with this name. Takes a lock: for reloads, not for datagrams.
    #[must_use]
    pub fn udp(&self, name: &str) -> Arc<UdpMetrics> {
        self.udp.named(name)
    }

    /// The counters of the cluster with this name. Takes a lock: for reloads, not for requests.
    #[must_use]
    pub fn cluster(&self, name: &str) -> Arc<ClusterMetrics> {
        self.clusters.named(name)
    }

    /// The counter of lost log lines, for [`AccessLogSink::start`](crate::access_log::AccessLogSink::start).
    #[must_use]
    pub fn access_log_dropped(&self) -> Counter {
        self.access_log_dropped.clone()
    }

    /// Counts a reload that ended at `at`; `hash` is that of the snapshot that was read.
    pub fn reloaded(&self, result: ReloadResult, hash: &str, at: SystemTime) {
        self.reloads.record(result, hash, at);
        // Also without a scraper, what reloads leave behind must not pile up.
        self.sweep(Instant::now());
    }

    /// Removes the series of what has not been in use for the retention time, as of `now`. Happens by
    /// itself at each scrape and reload.
    pub fn sweep(&self, now: Instant) {
        self.store.sweep(now);
        self.listeners.lock().sweep(now, self.retention);
        self.udp.lock().sweep(now, self.retention);
        self.clusters.lock().sweep(now, self.retention);
    }

    /// All metrics in the OpenMetrics text format ([`CONTENT_TYPE`]), for `/stats/prometheus`.
    #[must_use]
    pub fn render(&self) -> String {
        let mut out = String::new();
        // Writing into a String does not fail.
        let _ = self.render_to(&mut out);
        out
    }

    /// As [`Metrics::render`], into a writer of one's own.
    ///
    /// # Errors
    /// The writer's.
    pub fn render_to(&self, out: &mut impl fmt::Write) -> fmt::Result {
        self.sweep(Instant::now());
        text::encode(out, &self.registry)
    }
}
