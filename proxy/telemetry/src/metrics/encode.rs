//! From the atomics to the text exposition.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

use crate::metrics::cluster::{ClusterMetrics, ConnectFailure, MirrorFailure};
use crate::metrics::destination::Destination;
use crate::metrics::histogram::{Histogram, Snapshot, Unit};
use crate::metrics::listener::{HandshakeFailure, ListenerMetrics};
use crate::metrics::series::{ConnectionKey, ConnectionTotals, RequestKey, RequestSeries};
use crate::metrics::store::{AllSeries, Store};
use crate::metrics::{Identity, Names};

/// The name, help and type of a metric family. Counters are named without their `_total`, infos
/// without their `_info`: the encoder adds those.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
}

/// Writes families one after the other.
pub(super) struct Families<'a, 'b>(pub(super) &'a mut DescriptorEncoder<'b>);

impl Families<'_, '_> {
    /// Writes `family` with what `each` writes for each item; nothing if there is no item.
    pub(super) fn write<T>(
        &mut self,
        family: Family,
        items: impl Iterator<Item = T>,
        mut each: impl FnMut(&mut MetricEncoder<'_>, T) -> fmt::Result,
    ) -> fmt::Result {
        let mut items = items.peekable();
        if items.peek().is_none() {
            return Ok(());
        }
        let mut metric = self.0.encode_descriptor(family.name, family.help, None, family.kind)?;
        items.try_for_each(|item| each(&mut metric, item))
    }

    /// Writes a counter with its labels.
    pub(super) fn counter(
        metric: &mut MetricEncoder<'_>,
        labels: &impl EncodeLabelSet,
        value: u64,
    ) -> fmt::Result {
        metric.encode_family(labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
    }
}

/// Labels of a request series, in Istio's words.
struct RequestLabels<'a> {
    identity: &'a Identity,
    destination: &'a Destination,
    key: RequestKey,
}

impl EncodeLabelSet for RequestLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        common_labels(encoder, self.identity, self.destination)?;
        let mut digits = itoa::Buffer::new();
        let grpc = self.key.grpc_status.map_or("", |status| digits.format(status.code()));
        label(encoder, "request_protocol", self.key.protocol.label())?;
        label(encoder, "response_code", itoa::Buffer::new().format(self.key.response_code))?;
        label(encoder, "grpc_response_status", grpc)?;
        label(encoder, "response_flags", &self.key.response_flags.to_string())?;
        label(encoder, "connection_security_policy", "unknown")
    }
}

/// Labels of a connection series, in Istio's words.
struct ConnectionLabels<'a> {
    identity: &'a Identity,
    destination: &'a Destination,
    key: ConnectionKey,
}

impl EncodeLabelSet for ConnectionLabels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        common_labels(encoder, self.identity, self.destination)?;
        label(encoder, "request_protocol", "tcp")?;
        label(encoder, "response_flags", &self.key.response_flags.to_string())?;
        label(encoder, "connection_security_policy", "unknown")
    }
}

fn common_labels(
    encoder: &mut LabelSetEncoder<'_>,
    identity: &Identity,
    destination: &Destination,
) -> fmt::Result {
    let labels = destination.labels();
    label(encoder, "reporter", "source")?;
    label(encoder, "source_workload", &identity.workload)?;
    label(encoder, "source_workload_namespace", &identity.namespace)?;
    label(encoder, "destination_service", &labels.service)?;
    label(encoder, "destination_service_name", &labels.name)?;
    label(encoder, "destination_service_namespace", &labels.namespace)
}

fn label(encoder: &mut LabelSetEncoder<'_>, name: &str, value: &str) -> fmt::Result {
    use prometheus_client::encoding::EncodeLabel;
    (name, value).encode(encoder.encode_label())
}

/// Writes the series of all destinations.
#[derive(Debug)]
pub(super) struct SeriesCollector {
    pub(super) store: Arc<Store>,
    pub(super) identity: Identity,
}

impl Collector for SeriesCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        // The lock is not held while text is made: a worker may be waiting for a new series.
        let series = self.store.series();
        let mut families = Families(&mut encoder);
        self.requests(&mut families, &series)?;
        self.connections(&mut families, &series)
    }
}

type PickHistogram = fn(&RequestSeries) -> &Histogram;
type PickTotal = fn(&ConnectionTotals) -> u64;

impl SeriesCollector {
    fn requests(&self, families: &mut Families<'_, '_>, all: &AllSeries) -> fmt::Result {
        let labelled = || {
            all.requests.iter().filter_map(|(key, shares)| {
                let destination = all.destinations.get(&key.destination)?;
                Some((RequestLabels { identity: &self.identity, destination, key: *key }, shares))
            })
        };
        families.write(
            Family { name: "istio_requests", help: "Requests that were handled", kind: MetricType::Counter },
            labelled(),
            |metric, (labels, shares)| {
                let count = shares.iter().map(|share| share.duration.count()).sum();
                Families::counter(metric, &labels, count)
            },
        )?;
        let histograms: [(&str, &str, Unit, PickHistogram); 3] = [
            (
                "istio_request_duration_milliseconds",
                "Time from the first byte of a request to the last of its response",
                Unit::Milliseconds,
                |series| &series.duration,
            ),
            ("istio_request_bytes", "Sizes of request bodies", Unit::Bytes, |series| &series.request_bytes),
            ("istio_response_bytes", "Sizes of response bodies", Unit::Bytes, |series| {
                &series.response_bytes
            }),
        ];
        for (name, help, unit, pick) in histograms {
            let family = Family { name, help, kind: MetricType::Histogram };
            families.write(family, labelled(), |metric, (labels, shares)| {
                let snapshot = Snapshot::of(unit, shares.iter().map(|share| pick(share)));
                metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                    snapshot.sum,
                    snapshot.count,
                    &snapshot.buckets,
                    None,
                )
            })?;
        }
        Ok(())
    }

    fn connections(&self, families: &mut Families<'_, '_>, all: &AllSeries) -> fmt::Result {
        let counters: [(&str, &str, PickTotal); 4] = [
            ("istio_tcp_connections_opened", "TCP connections that were opened", |totals| totals.opened),
            ("istio_tcp_connections_closed", "TCP connections that were closed", |totals| totals.closed),
            ("istio_tcp_sent_bytes", "Bytes sent to clients on TCP connections", |totals| totals.sent),
            ("istio_tcp_received_bytes", "Bytes received from clients on TCP connections", |totals| {
                totals.received
            }),
        ];
        for (name, help, pick) in counters {
            let labelled = all.connections.iter().filter_map(|(key, shares)| {
                let destination = all.destinations.get(&key.destination)?;
                let value = pick(&ConnectionTotals::of(shares.iter().map(Arc::as_ref)));
                // Flags are known when a connection ends; what is counted before can only be zero.
                let shown = value > 0 || key.response_flags.is_empty();
                shown
                    .then_some((ConnectionLabels { identity: &self.identity, destination, key: *key }, value))
            });
            families.write(
                Family { name, help, kind: MetricType::Counter },
                labelled,
                |metric, (labels, value)| Families::counter(metric, &labels, value),
            )?;
        }
        Ok(())
    }
}

/// Writes the counters of the listeners.
#[derive(Debug)]
pub(super) struct ListenerCollector(pub(super) Arc<Names<ListenerMetrics>>);

impl Collector for ListenerCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = self.0.all();
        let mut families = Families(&mut encoder);
        connections(&mut families, &LISTENER_CONNECTIONS, "listener", &listeners, |listener| {
            (listener.total.load(Relaxed), listener.active())
        })?;
        failures(
            &mut families,
            Family {
                name: "postern_tls_handshake_failures",
                help: "TLS handshakes with clients that failed",
                kind: MetricType::Counter,
            },
            "listener",
            &listeners,
            |listener| {
                (HandshakeFailure::ALL.iter().map(|failure| failure.label()), &listener.handshake_failures)
            },
        )
    }
}

const LISTENER_CONNECTIONS: [(&str, &str); 2] = [
    ("postern_downstream_connections", "Connections that were accepted"),
    ("postern_downstream_connections_active", "Connections with clients that are open"),
];

/// Writes the counters of the clusters.
#[derive(Debug)]
pub(super) struct ClusterCollector(pub(super) Arc<Names<ClusterMetrics>>);

impl Collector for ClusterCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let clusters = self.0.all();
        let mut families = Families(&mut encoder);
        connections(&mut families, &CLUSTER_CONNECTIONS, "cluster", &clusters, |cluster| {
            (cluster.total.load(Relaxed), cluster.active())
        })?;
        failures(
            &mut families,
            Family {
                name: "postern_upstream_connect_failures",
                help: "Connections to endpoints that could not be made",
                kind: MetricType::Counter,
            },
            "cluster",
            &clusters,
            |cluster| (ConnectFailure::ALL.iter().map(|failure| failure.label()), &cluster.connect_failures),
        )?;
        families.write(
            Family {
                name: "postern_upstream_retries",
                help: "Requests that were sent once more",
                kind: MetricType::Counter,
            },
            clusters.iter(),
            |metric, (name, cluster)| {
                Families::counter(metric, &[("cluster", &**name)], cluster.retries.load(Relaxed))
            },
        )?;
        mirrors(&mut families, &clusters)
    }
}

/// Only of those that are mirrors.
fn mirrors(families: &mut Families<'_, '_>, clusters: &[(Box<str>, Arc<ClusterMetrics>)]) -> fmt::Result {
    let mirrored = clusters.iter().filter_map(|(name, cluster)| {
        let count = cluster.mirrored.load(Relaxed);
        (count > 0).then_some((name, count))
    });
    families.write(
        Family {
            name: "postern_mirrored_requests",
            help: "Copies of requests that were sent",
            kind: MetricType::Counter,
        },
        mirrored,
        |metric, (name, count)| Families::counter(metric, &[("cluster", &**name)], count),
    )?;
    failures(
        families,
        Family {
            name: "postern_mirror_failures",
            help: "Copies of requests that were given up, or not answered",
            kind: MetricType::Counter,
        },
        "cluster",
        clusters,
        |cluster| (MirrorFailure::ALL.iter().map(|failure| failure.label()), &cluster.mirror_failures),
    )
}

const CLUSTER_CONNECTIONS: [(&str, &str); 2] = [
    ("postern_upstream_connections", "Connections to endpoints that were made"),
    ("postern_upstream_connections_active", "Connections to endpoints that are open"),
];

/// Writes the total and the active connections of each named thing.
fn connections<V>(
    families: &mut Families<'_, '_>,
    [(total, total_help), (active, active_help)]: &[(&'static str, &'static str); 2],
    label: &'static str,
    named: &[(Box<str>, Arc<V>)],
    read: impl Fn(&V) -> (u64, u64),
) -> fmt::Result {
    families.write(
        Family { name: total, help: total_help, kind: MetricType::Counter },
        named.iter(),
        |metric, (name, value)| Families::counter(metric, &[(label, &**name)], read(value).0),
    )?;
    families.write(
        Family { name: active, help: active_help, kind: MetricType::Gauge },
        named.iter(),
        |metric, (name, value)| metric.encode_family(&[(label, &**name)])?.encode_gauge(&read(value).1),
    )
}

/// Writes those failure counters of each named thing that have counted anything.
fn failures<'a, V, L: Iterator<Item = &'static str>>(
    families: &mut Families<'_, '_>,
    family: Family,
    label: &'static str,
    named: &'a [(Box<str>, Arc<V>)],
    read: impl Fn(&'a V) -> (L, &'a [AtomicU64]),
) -> fmt::Result {
    let counted = named.iter().flat_map(|(name, value)| {
        let (reasons, counters) = read(value);
        reasons.zip(counters).filter_map(move |(reason, counter)| {
            let count = counter.load(Relaxed);
            (count > 0).then_some((&**name, reason, count))
        })
    });
    families.write(family, counted, |metric, (name, reason, count)| {
        Families::counter(metric, &[(label, name), ("reason", reason)], count)
    })
}
