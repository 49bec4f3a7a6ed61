//! UDP sessions and datagrams, by listener: Envoy's statistics of `udp_proxy`.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::metrics::Names;
use crate::metrics::encode::{Families, Family};
use crate::metrics::histogram::add;
use crate::metrics::listener::failures;

failures! {
    /// Why a datagram of a client was not passed on, or one of an endpoint not: the label `reason` of
    /// `postern_udp_datagrams_dropped_total`.
    DatagramDrop {
        /// It is the share of a backend that does not exist or may not be used (Envoy: `downstream_sess_no_route`).
        NoRoute = "no_route",
        /// The cluster has no endpoint (Envoy: `upstream_cx_none_healthy`).
        NoneHealthy = "none_healthy",
        /// There are as many sessions as there may be.
        SessionOverflow = "session_overflow",
        /// The circuit breaker of the cluster is open (Envoy: `upstream_cx_overflow`).
        UpstreamOverflow = "upstream_overflow",
        /// Nobody listens at the endpoint (ICMP port unreachable).
        Refused = "refused",
        /// No way to the endpoint.
        Unreachable = "unreachable",
        /// The proxy lacks a socket, a port or a file descriptor for a session.
        Local = "local",
        /// The endpoint was sent to in vain: it is too long, or too much at a time (Envoy: `sess_tx_errors`).
        UpstreamSend = "upstream_send",
        /// The client was sent to in vain (Envoy: `downstream_sess_tx_errors`).
        DownstreamSend = "downstream_send",
        /// The proxy is about to end, and this would have begun a session.
        Draining = "draining",
    }
}

/// The counters of one UDP listener. Made by [`Metrics::udp`](super::Metrics::udp).
#[derive(Debug, Default)]
pub struct UdpMetrics {
    shares: Mutex<Vec<Arc<UdpShare>>>,
}

/// What one worker counted of a UDP listener. It alone writes here, so counting costs no more than adding.
#[derive(Debug, Default)]
pub struct UdpShare {
    begun: AtomicU64,
    ended: AtomicU64,
    idle: AtomicU64,
    received: AtomicU64,
    received_bytes: AtomicU64,
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    dropped: [AtomicU64; DatagramDrop::ALL.len()],
}

impl UdpMetrics {
    /// A share for a worker. Takes a lock: when a socket is bound, not for datagrams.
    pub fn share(&self) -> Arc<UdpShare> {
        let share = Arc::new(UdpShare::default());
        self.lock().push(Arc::clone(&share));
        share
    }

    /// What all workers counted.
    fn totals(&self) -> UdpTotals {
        let mut totals = UdpTotals::default();
        for share in self.lock().iter() {
            let read = |counter: &AtomicU64| counter.load(Relaxed);
            totals.sessions += read(&share.begun);
            totals.active += read(&share.begun).saturating_sub(read(&share.ended));
            totals.idle += read(&share.idle);
            totals.received += read(&share.received);
            totals.received_bytes += read(&share.received_bytes);
            totals.sent += read(&share.sent);
            totals.sent_bytes += read(&share.sent_bytes);
            for (total, counter) in totals.dropped.iter_mut().zip(&share.dropped) {
                *total += read(counter);
            }
        }
        totals
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<UdpShare>>> {
        // A list that is added to is never half changed.
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The sums over all workers.
#[derive(Debug, Default)]
struct UdpTotals {
    sessions: u64,
    active: u64,
    idle: u64,
    received: u64,
    received_bytes: u64,
    sent: u64,
    sent_bytes: u64,
    dropped: [u64; DatagramDrop::ALL.len()],
}

impl UdpShare {
    /// Counts a session, until [`session_ended`](Self::session_ended).
    pub fn session_begun(&self) {
        add(&self.begun, 1);
    }

    /// Counts the end of a session.
    pub fn session_ended(&self) {
        add(&self.ended, 1);
    }

    /// Counts a session that ends because it was silent.
    pub fn idle_timeout(&self) {
        add(&self.idle, 1);
    }

    /// Counts a datagram from a client.
    pub fn received(&self, bytes: usize) {
        add(&self.received, 1);
        add(&self.received_bytes, bytes as u64);
    }

    /// Counts a datagram to a client.
    pub fn sent(&self, bytes: usize) {
        add(&self.sent, 1);
        add(&self.sent_bytes, bytes as u64);
    }

    /// Counts a datagram that got lost here.
    pub fn dropped(&self, why: DatagramDrop) {
        if let Some(counter) = self.dropped.get(why as usize) {
            add(counter, 1);
        }
    }
}

/// Writes the counters of the UDP listeners.
#[derive(Debug)]
pub(super) struct UdpCollector(pub(super) Arc<Names<UdpMetrics>>);

type PickUdp = fn(&UdpTotals) -> u64;

const UDP_COUNTERS: [(&str, &str, PickUdp); 6] = [
    ("postern_udp_downstream_sess", "UDP sessions that began", |totals| totals.sessions),
    ("postern_udp_downstream_sess_rx_datagrams", "Datagrams from clients", |totals| totals.received),
    ("postern_udp_downstream_sess_rx_bytes", "Bytes of datagrams from clients", |totals| {
        totals.received_bytes
    }),
    ("postern_udp_downstream_sess_tx_datagrams", "Datagrams to clients", |totals| totals.sent),
    ("postern_udp_downstream_sess_tx_bytes", "Bytes of datagrams to clients", |totals| totals.sent_bytes),
    ("postern_udp_idle_timeout", "UDP sessions that ended because they were silent", |totals| totals.idle),
];

impl Collector for UdpCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let listeners = self.0.all();
        let totals: Vec<_> = listeners.iter().map(|(name, udp)| (&**name, udp.totals())).collect();
        let mut families = Families(&mut encoder);
        for (name, help, pick) in UDP_COUNTERS {
            let family = Family { name, help, kind: MetricType::Counter };
            families.write(family, totals.iter(), |metric, (listener, totals)| {
                Families::counter(metric, &[("listener", *listener)], pick(totals))
            })?;
        }
        families.write(
            Family {
                name: "postern_udp_downstream_sess_active",
                help: "UDP sessions that are open",
                kind: MetricType::Gauge,
            },
            totals.iter(),
            |metric, (listener, totals)| {
                metric.encode_family(&[("listener", *listener)])?.encode_gauge(&totals.active)
            },
        )?;
        let dropped = totals.iter().flat_map(|(listener, totals)| {
            let reasons = DatagramDrop::ALL.iter().map(|reason| reason.label()).zip(&totals.dropped);
            reasons.filter(|(_, count)| **count > 0).map(move |(reason, count)| (*listener, reason, *count))
        });
        families.write(
            Family {
                name: "postern_udp_datagrams_dropped",
                help: "Datagrams that were not passed on",
                kind: MetricType::Counter,
            },
            dropped,
            |metric, (listener, reason, count)| {
                Families::counter(metric, &[("listener", listener), ("reason", reason)], count)
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_added_up_also_those_of_workers_that_are_gone() {
        let metrics = UdpMetrics::default();
        for _ in 0..2 {
            let share = metrics.share();
            share.session_begun();
            share.session_begun();
            share.session_ended();
            share.received(10);
            share.dropped(DatagramDrop::NoRoute);
        }
        let totals = metrics.totals();
        assert_eq!((totals.sessions, totals.active, totals.received, totals.received_bytes), (4, 2, 2, 20));
        assert_eq!(totals.dropped.iter().sum::<u64>(), 2);
    }
}
