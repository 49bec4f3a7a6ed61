//! What serves the requests of a connection, and how a reload reaches connections that are open.

use std::{
    cell::{Cell, RefCell},
    ops::Deref,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use postern_snapshot::HostMap;

use super::compile::HttpRuntime;

/// The place of an HTTP listener or TLS chain. Its connections hold it, and look into it for each request, so that a
/// reload reaches them without closing any.
#[derive(Debug)]
pub struct ChainSlot {
    runtime: ArcSwap<HttpRuntime>,
    /// Counts the changes: whether there was one is seen without touching the runtime's reference count, which all
    /// workers would write to.
    version: AtomicU64,
    siblings: ArcSwap<Siblings>,
}

/// Which chain of a TLS listener answers to which server name. All chains of a listener share the names.
#[derive(Debug, Clone, Default)]
pub struct Siblings {
    chain_of: Arc<HostMap<usize>>,
    own: usize,
}

impl Siblings {
    /// `own` is the number of the chain itself.
    #[must_use]
    pub const fn new(chain_of: Arc<HostMap<usize>>, own: usize) -> Self {
        Self { chain_of, own }
    }

    fn is_of_another(&self, host: &str) -> bool {
        self.chain_of.find(host).is_some_and(|chain| *chain != self.own)
    }
}

impl ChainSlot {
    /// Requests for a host that this chain does not serve but one of its siblings would get 421 instead of 404.
    #[must_use]
    pub fn new(runtime: Arc<HttpRuntime>, siblings: Siblings) -> Self {
        Self {
            runtime: ArcSwap::new(runtime),
            version: AtomicU64::new(0),
            siblings: ArcSwap::from_pointee(siblings),
        }
    }

    /// From the next request on, this is served.
    pub fn store(&self, runtime: Arc<HttpRuntime>, siblings: Siblings) {
        self.siblings.store(Arc::new(siblings));
        self.runtime.store(runtime);
        self.version.fetch_add(1, Ordering::Release);
    }

    /// What is served now.
    #[must_use]
    pub fn load(&self) -> Arc<HttpRuntime> {
        self.runtime.load_full()
    }

    pub(super) fn is_of_a_sibling(&self, host: &str) -> bool {
        self.siblings.load().is_of_another(host)
    }
}

/// A runtime that one worker uses. Counted without atomics, since each request counts.
#[derive(Debug)]
pub(super) struct Loaded(Arc<HttpRuntime>);

impl Deref for Loaded {
    type Target = HttpRuntime;

    fn deref(&self) -> &HttpRuntime {
        &self.0
    }
}

/// One worker's view of a slot; shared by its connections there, so that idle ones keep no old runtime alive.
#[derive(Debug)]
pub(crate) struct SlotView {
    slot: Arc<ChainSlot>,
    version: Cell<u64>,
    loaded: RefCell<Rc<Loaded>>,
}

impl SlotView {
    pub(crate) fn new(slot: Arc<ChainSlot>) -> Self {
        let version = slot.version.load(Ordering::Acquire);
        let loaded = Rc::new(Loaded(slot.load()));
        Self { slot, version: Cell::new(version), loaded: RefCell::new(loaded) }
    }

    pub(super) fn slot(&self) -> &ChainSlot {
        &self.slot
    }

    /// What is served now.
    pub(super) fn load(&self) -> Rc<Loaded> {
        let version = self.slot.version.load(Ordering::Acquire);
        if version != self.version.get() {
            self.version.set(version);
            *self.loaded.borrow_mut() = Rc::new(Loaded(self.slot.load()));
        }
        Rc::clone(&self.loaded.borrow())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_view_follows_its_slot() {
        let slot = Arc::new(ChainSlot::new(Arc::default(), Siblings::default()));
        let view = SlotView::new(Arc::clone(&slot));
        let before = view.load();
        assert!(Rc::ptr_eq(&before, &view.load()));
        slot.store(Arc::default(), Siblings::default());
        let after = view.load();
        assert!(!Rc::ptr_eq(&before, &after));
        assert!(Arc::ptr_eq(&after.0, &slot.load()));
    }
}
