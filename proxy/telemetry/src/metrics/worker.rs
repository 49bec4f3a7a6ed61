//! One worker's hand in the metrics.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxBuildHasher;

use crate::metrics::destination::Destination;
use crate::metrics::series::{ConnectionKey, ConnectionSeries, RequestKey, RequestProtocol, RequestSeries};
use crate::metrics::store::Store;
use crate::{GrpcStatus, ResponseFlags};

/// Keys that are remembered as having no series, at most; further ones are looked up each time.
const MAX_REFUSED: usize = 4096;

/// One finished request.
#[derive(Debug, Clone, Copy)]
pub struct RequestEnd<'a> {
    /// Where it went; [`Metrics::unknown_destination`](super::Metrics::unknown_destination) if
    /// nowhere.
    pub destination: &'a Destination,
    /// HTTP or gRPC.
    pub protocol: RequestProtocol,
    /// The status code sent downstream; 0 if none was.
    pub response_code: u16,
    /// As in the access log.
    pub response_flags: ResponseFlags,
    /// The gRPC status; `None` for plain HTTP.
    pub grpc_status: Option<GrpcStatus>,
    /// From the first byte of the request to the last of the response.
    pub duration: Duration,
    /// Bytes of the request body.
    pub request_bytes: u64,
    /// Bytes of the response body.
    pub response_bytes: u64,
}

/// Counts requests and connections for one worker thread, without locks: it alone writes its share
/// of each series. Only a worker's first use of a series takes the registry's lock.
///
/// Not `Send`: clones share one cache and stay in the thread of the worker.
#[derive(Debug, Clone)]
pub struct WorkerMetrics(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<Store>,
    requests: Cache<RequestSeries>,
    connections: Cache<ConnectionSeries>,
    /// The store's generation when the caches were last cleaned.
    generation: Cell<u64>,
}

impl WorkerMetrics {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let generation = Cell::new(store.generation());
        Self(Rc::new(Inner { store, requests: Cache::default(), connections: Cache::default(), generation }))
    }

    /// Counts a finished request: `istio_requests_total`, its duration and its sizes.
    pub fn request(&self, end: &RequestEnd<'_>) {
        let key = RequestKey {
            destination: end.destination.id(),
            protocol: end.protocol,
            response_code: end.response_code,
            grpc_status: end.grpc_status,
            response_flags: end.response_flags,
        };
        let inner = self.fresh();
        let counted = inner.requests.with(
            key.packed(),
            || inner.store.request_series(key),
            |series| series.record(end.duration, end.request_bytes, end.response_bytes),
        );
        inner.count_overflow(counted);
    }

    /// Counts a TCP connection that was opened to `destination`.
    pub fn tcp_opened(&self, destination: &Destination) {
        self.connection(destination, ResponseFlags::NONE, ConnectionSeries::opened);
    }

    /// Counts bytes of a TCP connection since the last call: `sent` to the client, `received` from
    /// it (Istio, `istio_tcp_sent_bytes_total`: bytes of the response). To be called every few
    /// seconds for connections that last, and at the end.
    pub fn tcp_bytes(&self, destination: &Destination, sent: u64, received: u64) {
        self.connection(destination, ResponseFlags::NONE, |series| series.bytes(sent, received));
    }

    /// Counts a TCP connection that was closed.
    pub fn tcp_closed(&self, destination: &Destination, flags: ResponseFlags) {
        self.connection(destination, flags, ConnectionSeries::closed);
    }

    fn connection(
        &self,
        destination: &Destination,
        flags: ResponseFlags,
        add: impl FnOnce(&ConnectionSeries),
    ) {
        let key = ConnectionKey { destination: destination.id(), response_flags: flags };
        let inner = self.fresh();
        let counted = inner.connections.with(key.packed(), || inner.store.connection_series(key), add);
        inner.count_overflow(counted);
    }

    /// The caches, without what the store has removed.
    fn fresh(&self) -> &Inner {
        let generation = self.0.store.generation();
        if self.0.generation.replace(generation) != generation {
            self.0.requests.clean();
            self.0.connections.clean();
        }
        &self.0
    }
}

impl Inner {
    fn count_overflow(&self, counted: bool) {
        if !counted {
            self.store.overflow.inc();
        }
    }
}

/// The worker's shares by packed key; `None` where the store refused one.
#[derive(Debug)]
struct Cache<S>(RefCell<HashMap<u128, Option<Arc<S>>, FxBuildHasher>>);

impl<S> Default for Cache<S> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<S> Cache<S> {
    /// Uses the share for `key`, which `find` gets if it is not here. Returns whether there is one.
    fn with(&self, key: u128, find: impl FnOnce() -> Option<Arc<S>>, add: impl FnOnce(&S)) -> bool {
        if let Some(share) = self.0.borrow().get(&key) {
            return share.as_deref().map(add).is_some();
        }
        let share = find();
        let counted = share.as_deref().map(add).is_some();
        let mut cache = self.0.borrow_mut();
        if counted || cache.len() < MAX_REFUSED {
            cache.insert(key, share);
        }
        counted
    }

    /// Forgets the shares that the store has removed, so that nobody else holds them, and what it
    /// refused, since there may be room now.
    fn clean(&self) {
        self.0
            .borrow_mut()
            .retain(|_, share| share.as_ref().is_some_and(|share| Arc::strong_count(share) > 1));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::metrics::destination::DestinationLabels;

    fn labels(name: &str) -> DestinationLabels {
        DestinationLabels {
            service: format!("{name}.ns.svc"),
            name: name.to_owned(),
            namespace: "ns".to_owned(),
        }
    }

    fn end(destination: &Destination, response_code: u16) -> RequestEnd<'_> {
        RequestEnd {
            destination,
            protocol: RequestProtocol::Http,
            response_code,
            response_flags: ResponseFlags::NONE,
            grpc_status: None,
            duration: Duration::from_millis(3),
            request_bytes: 0,
            response_bytes: 1,
        }
    }

    #[test]
    fn a_worker_takes_one_share_of_each_series_however_often_it_is_used() {
        let store = Arc::new(Store::new(100, Duration::ZERO));
        let destination = store.destination(&labels("a"));
        let worker = WorkerMetrics::new(Arc::clone(&store));
        for code in [200, 200, 404, 200] {
            worker.request(&end(&destination, code));
        }
        let shares: Vec<(u16, usize, u64)> = store
            .series()
            .requests
            .iter()
            .map(|(key, shares)| (key.response_code, shares.len(), shares[0].duration.count()))
            .collect();
        assert_eq!(shares, [(200, 1, 3), (404, 1, 1)]);
    }

    #[test]
    fn the_cache_forgets_what_the_store_removed_and_nothing_else() {
        let store = Arc::new(Store::new(100, Duration::ZERO));
        let worker = WorkerMetrics::new(Arc::clone(&store));
        let stays = store.destination(&labels("stays"));
        {
            let goes = store.destination(&labels("goes"));
            worker.request(&end(&goes, 200));
            worker.request(&end(&stays, 200));
            worker.tcp_opened(&goes);
        }
        store.sweep(Instant::now());
        worker.request(&end(&stays, 200));
        assert_eq!(worker.0.requests.0.borrow().len(), 1);
        assert_eq!(worker.0.connections.0.borrow().len(), 0);
        let series = store.series();
        assert_eq!((series.requests.len(), series.connections.len()), (1, 0));
        assert_eq!(series.requests[0].1[0].duration.count(), 2);
    }

    #[test]
    fn above_the_limit_observations_are_counted_as_overflow_until_there_is_room() {
        let store = Arc::new(Store::new(1, Duration::ZERO));
        let worker = WorkerMetrics::new(Arc::clone(&store));
        let first = store.destination(&labels("first"));
        let second = store.destination(&labels("second"));
        worker.request(&end(&first, 200));
        worker.request(&end(&second, 200));
        worker.request(&end(&second, 200));
        worker.tcp_opened(&second);
        assert_eq!(store.overflow.get(), 3);
        drop(first);
        store.sweep(Instant::now());
        worker.request(&end(&second, 200));
        assert_eq!(store.overflow.get(), 3);
        assert_eq!(store.series().requests.len(), 1);
    }
}
