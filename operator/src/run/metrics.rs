//! The operator's own metrics.

use std::fmt::Write as _;
use std::time::Duration;

use postern_api::meta::ObjectKey;
use postern_translate::IngressName;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// The type of what [`Metrics::render`] returns.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfIngress {
    namespace: String,
    ingress: String,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    served: Family<OfKind, Histogram, fn() -> Histogram>,
    translation: Histogram,
    writing: Histogram,
    retries: Counter,
    watch_failures: Family<OfKind, Counter>,
    statuses: Family<OfKind, Counter>,
    proxies: Family<OfIngress, Gauge>,
    up_to_date: Family<OfIngress, Gauge>,
    leads: Gauge,
}

/// From 10 ms to 41 s.
fn seconds() -> Histogram {
    Histogram::new([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 40.0])
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            served: Family::new_with_constructor(seconds),
            translation: seconds(),
            writing: seconds(),
            retries: Counter::default(),
            watch_failures: Family::default(),
            statuses: Family::default(),
            proxies: Family::default(),
            up_to_date: Family::default(),
            leads: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register_with_unit(
            "postern_change_served",
            "From the moment that the operator saw a generation of an object until every ready proxy served it",
            Unit::Seconds,
            self.served.clone(),
        );
        registry.register_with_unit(
            "postern_translation",
            "From objects to what each ingress is to be",
            Unit::Seconds,
            self.translation.clone(),
        );
        registry.register_with_unit(
            "postern_writing",
            "Writing what differs of all ingresses",
            Unit::Seconds,
            self.writing.clone(),
        );
        registry.register(
            "postern_retries",
            "Rounds in which a write failed, so that it is tried again",
            self.retries.clone(),
        );
        registry.register(
            "postern_watch_failures",
            "Watches that failed and were begun anew",
            self.watch_failures.clone(),
        );
        registry.register("postern_status_writes", "Statuses that were written", self.statuses.clone());
        registry.register("postern_proxies", "Proxies that get traffic", self.proxies.clone());
        registry.register(
            "postern_proxies_up_to_date",
            "Proxies that get traffic and serve the newest snapshot",
            self.up_to_date.clone(),
        );
        registry.register("postern_leader", "1 if this operator is the one that writes", self.leads.clone());
    }

    /// Every ready proxy serves a change of this object.
    pub(super) fn served(&self, key: &ObjectKey, after: Duration) {
        self.served.get_or_create(&of(key)).observe(after.as_secs_f64());
    }

    pub(super) fn translated(&self, took: Duration) {
        self.translation.observe(took.as_secs_f64());
    }

    pub(super) fn written(&self, took: Duration) {
        self.writing.observe(took.as_secs_f64());
    }

    pub(super) fn tried_again(&self) {
        self.retries.inc();
    }

    pub(super) fn watch_failed(&self, kind: &str) {
        self.watch_failures.get_or_create(&OfKind { kind: kind.to_owned() }).inc();
    }

    pub(super) fn status_written(&self, key: &ObjectKey) {
        self.statuses.get_or_create(&of(key)).inc();
    }

    /// The ingresses as they are now: how many proxies each has, and how many of them serve the newest.
    pub(super) fn ingresses<'a>(&self, ingresses: impl Iterator<Item = (&'a IngressName, usize, usize)>) {
        self.proxies.clear();
        self.up_to_date.clear();
        for (name, proxies, up_to_date) in ingresses {
            let label = OfIngress { namespace: name.namespace.clone(), ingress: name.name.clone() };
            self.proxies.get_or_create(&label).set(i64::try_from(proxies).unwrap_or(i64::MAX));
            self.up_to_date.get_or_create(&label).set(i64::try_from(up_to_date).unwrap_or(i64::MAX));
        }
    }

    pub(super) fn leads(&self, leads: bool) {
        self.leads.set(leads.into());
    }

    /// As Prometheus reads them.
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        if let Err(error) = text::encode(&mut text, &self.registry) {
            text.clear();
            let _ = writeln!(text, "# {error}");
        }
        text
    }
}

fn of(key: &ObjectKey) -> OfKind {
    OfKind { kind: key.kind.name.to_owned() }
}
