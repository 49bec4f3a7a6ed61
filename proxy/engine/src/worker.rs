//! What one worker, a thread with a runtime of its own, has for itself. Nothing in it is shared or locked.

use std::{
    cell::RefCell,
    collections::HashMap,
    rc::{Rc, Weak},
    sync::Arc,
};

use postern_telemetry::{
    access_log::{Entry, Format, WorkerLog},
    metrics::{Destination, Metrics, WorkerMetrics},
};
use postern_upstream::Pool;
use tokio::time::Instant;

use crate::{
    http::{ChainSlot, MirrorLoad, RequestBody, SlotView, Timers},
    udp,
};

/// One worker's things. It stays on its thread, within a [`tokio::task::LocalSet`] or a local runtime.
#[derive(Debug)]
pub struct Worker {
    /// Its connections to upstreams.
    pub pool: Pool<RequestBody>,
    /// Its hand in the metrics.
    pub metrics: WorkerMetrics,
    /// Its end of the access log.
    pub access_log: AccessLog,
    /// When it started.
    pub started: Instant,
    pub(crate) unknown_destination: Arc<Destination>,
    pub(crate) rng: RefCell<fastrand::Rng>,
    pub(crate) timers: Timers,
    pub(crate) mirror_load: Rc<MirrorLoad>,
    pub(crate) sessions: udp::OfWorker,
    /// By the address of the slot, which the view keeps alive.
    views: RefCell<HashMap<*const ChainSlot, Weak<SlotView>>>,
}

impl Worker {
    /// To be called on the worker's thread.
    #[must_use]
    pub fn new(pool: Pool<RequestBody>, metrics: &Metrics, access_log: AccessLog) -> Rc<Self> {
        Rc::new(Self {
            pool,
            metrics: metrics.worker(),
            access_log,
            started: Instant::now(),
            unknown_destination: Arc::clone(metrics.unknown_destination()),
            rng: RefCell::new(fastrand::Rng::new()),
            timers: Timers::default(),
            mirror_load: Rc::default(),
            sessions: udp::OfWorker::default(),
            views: RefCell::default(),
        })
    }

    /// This worker's view of a slot.
    pub(crate) fn view(&self, slot: Arc<ChainSlot>) -> Rc<SlotView> {
        let mut views = self.views.borrow_mut();
        let key = Arc::as_ptr(&slot);
        if let Some(view) = views.get(&key).and_then(Weak::upgrade) {
            return view;
        }
        views.retain(|_, view| view.strong_count() > 0);
        let view = Rc::new(SlotView::new(slot));
        views.insert(key, Rc::downgrade(&view));
        view
    }
}

/// Where a worker logs finished requests, if it does.
#[derive(Debug, Default)]
pub struct AccessLog {
    log: Option<WorkerLog>,
    format: RefCell<Option<Arc<Format>>>,
}

impl AccessLog {
    /// Nothing is logged, whatever a listener says.
    #[must_use]
    pub fn off() -> Self {
        Self::default()
    }

    /// Logs in this format; `None`: only what has one of its own.
    #[must_use]
    pub fn new(log: WorkerLog, format: Option<Arc<Format>>) -> Self {
        Self { log: Some(log), format: RefCell::new(format) }
    }

    /// From the next request on, this format is used; `None`: nothing is logged.
    pub fn set_format(&self, format: Option<Arc<Format>>) {
        *self.format.borrow_mut() = format;
    }

    /// Hands over what is buffered; see [`WorkerLog::flush`].
    pub fn flush(&self) {
        if let Some(log) = &self.log {
            log.flush();
        }
    }

    /// The format for a request that begins now; `None` when nothing is logged.
    #[must_use]
    pub fn format(&self) -> Option<Arc<Format>> {
        self.format_or(None)
    }

    /// The same; `own` goes before what is set here.
    #[must_use]
    pub(crate) fn format_or(&self, own: Option<&Arc<Format>>) -> Option<Arc<Format>> {
        self.log.as_ref()?;
        own.cloned().or_else(|| self.format.borrow().clone())
    }

    /// Logs one request or connection.
    pub fn record(&self, format: &Format, entry: &Entry<'_>) {
        if let Some(log) = &self.log {
            log.record(format, entry);
        }
    }
}
