//! All series, behind a lock that is taken for the first use of a series and for reading them.

use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;

use crate::metrics::destination::{Destination, DestinationLabels};
use crate::metrics::interned::Interned;
use crate::metrics::series::{ConnectionKey, ConnectionSeries, RequestKey, RequestSeries};

/// The series of all destinations, each with one share per worker.
#[derive(Debug)]
pub(super) struct Store {
    tables: Mutex<Tables>,
    max_series: usize,
    retention: Duration,
    /// Changes when series are removed, so that workers forget what they have cached of them.
    generation: AtomicU64,
    /// Observations that had no place because of `max_series`.
    pub(super) overflow: Counter,
}

#[derive(Debug, Default)]
struct Tables {
    destinations: Interned<DestinationLabels, Destination>,
    next_id: u32,
    requests: BTreeMap<RequestKey, Vec<Arc<RequestSeries>>>,
    connections: BTreeMap<ConnectionKey, Vec<Arc<ConnectionSeries>>>,
}

/// The series at one moment, to be read without the lock.
#[derive(Debug)]
pub(super) struct AllSeries {
    pub(super) destinations: BTreeMap<u32, Arc<Destination>>,
    pub(super) requests: Vec<(RequestKey, Vec<Arc<RequestSeries>>)>,
    pub(super) connections: Vec<(ConnectionKey, Vec<Arc<ConnectionSeries>>)>,
}

impl Store {
    pub(super) fn new(max_series: usize, retention: Duration) -> Self {
        Self {
            tables: Mutex::default(),
            max_series,
            retention,
            generation: AtomicU64::new(0),
            overflow: Counter::default(),
        }
    }

    pub(super) fn destination(&self, labels: &DestinationLabels) -> Arc<Destination> {
        let mut guard = self.lock();
        let Tables { destinations, next_id, .. } = &mut *guard;
        destinations.get_or_insert(labels, || {
            let id = *next_id;
            *next_id = next_id.wrapping_add(1);
            Destination::new(id, labels.clone())
        })
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A share of a request series for one worker; `None` if there are too many series already.
    pub(super) fn request_series(&self, key: RequestKey) -> Option<Arc<RequestSeries>> {
        let mut tables = self.lock();
        let full = tables.len() >= self.max_series;
        share(&mut tables.requests, key, full)
    }

    /// A share of a connection series for one worker; `None` if there are too many series already.
    pub(super) fn connection_series(&self, key: ConnectionKey) -> Option<Arc<ConnectionSeries>> {
        let mut tables = self.lock();
        let full = tables.len() >= self.max_series;
        share(&mut tables.connections, key, full)
    }

    /// Removes the series of destinations that nobody has held for the retention time.
    pub(super) fn sweep(&self, now: Instant) {
        let mut tables = self.lock();
        let gone: HashSet<u32> = tables
            .destinations
            .sweep(now, self.retention)
            .iter()
            .map(|destination| destination.id())
            .collect();
        if !gone.is_empty() {
            tables.requests.retain(|key, _| !gone.contains(&key.destination));
            tables.connections.retain(|key, _| !gone.contains(&key.destination));
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// All series as they are now; their numbers go on changing.
    pub(super) fn series(&self) -> AllSeries {
        let tables = self.lock();
        AllSeries {
            destinations: tables
                .destinations
                .iter()
                .map(|(_, destination)| (destination.id(), Arc::clone(destination)))
                .collect(),
            requests: tables.requests.iter().map(|(key, shares)| (*key, shares.clone())).collect(),
            connections: tables.connections.iter().map(|(key, shares)| (*key, shares.clone())).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Nothing that could panic half way changes the tables.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn len(&self) -> usize {
        self.requests.len() + self.connections.len()
    }
}

fn share<K: Ord, S: Default>(series: &mut BTreeMap<K, Vec<Arc<S>>>, key: K, full: bool) -> Option<Arc<S>> {
    if full && !series.contains_key(&key) {
        return None;
    }
    let share = Arc::new(S::default());
    series.entry(key).or_default().push(Arc::clone(&share));
    Some(share)
}
