//! The listening addresses: bound when they are new, told when they changed, drained when they are gone.

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    sync::Arc,
};

use postern_snapshot::ack::{Refused, RefusedKind};

use super::{Setup, compile::CompiledListener};
use crate::{
    drain::Drain,
    listen::{ListenerSlot, bind},
    workers::Workers,
};

/// All listeners of what is served.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    bound: HashMap<SocketAddr, Arc<ListenerSlot>>,
    /// Their addresses could not be bound; tried again from time to time.
    unbound: Vec<Unbound>,
}

#[derive(Debug)]
struct Unbound {
    listener: CompiledListener,
    problem: String,
}

impl Listeners {
    /// Makes these the listeners. One that stays keeps its sockets and connections. Returns what drains of those that are
    /// gone.
    pub(super) fn apply(
        &mut self,
        listeners: Vec<CompiledListener>,
        setup: &Setup,
        workers: &Workers,
    ) -> Vec<Drain> {
        let wanted: HashSet<_> = listeners.iter().map(|listener| listener.address).collect();
        // First the removed ones, whose addresses a new one may overlap.
        let removed = self.bound.extract_if(|address, _| !wanted.contains(address));
        let removed: Vec<_> = removed.map(|(_, slot)| slot.drain.clone()).collect();
        removed.iter().for_each(Drain::start);
        self.unbound.clear();
        for listener in listeners {
            match self.bound.get(&listener.address) {
                Some(slot) => slot.set(listener.configured),
                None => self.bind(listener, setup, workers),
            }
        }
        removed
    }

    /// Tries again to bind what could not be bound: whoever had the address may be gone. Says whether something changed.
    pub(super) fn retry(&mut self, setup: &Setup, workers: &Workers) -> bool {
        let before = self.refused();
        for Unbound { listener, .. } in std::mem::take(&mut self.unbound) {
            self.bind(listener, setup, workers);
        }
        before != self.refused()
    }

    /// What is not bound, and why.
    pub(super) fn refused(&self) -> Vec<Refused> {
        let refused = self.unbound.iter().map(|Unbound { listener, problem }| Refused {
            kind: RefusedKind::Listener,
            name: listener.name.clone(),
            origin: String::new(),
            problem: problem.clone(),
        });
        refused.collect()
    }

    fn bind(&mut self, listener: CompiledListener, setup: &Setup, workers: &Workers) {
        let address = listener.address;
        let sockets = match bind(address.ip(), address.port(), workers.count()) {
            Ok(sockets) => sockets,
            Err(error) => {
                let problem = format!("cannot listen on {address}: {error}");
                self.unbound.push(Unbound { listener, problem });
                return;
            }
        };
        let CompiledListener { name, configured, .. } = listener;
        tracing::info!(%address, listener = name, "listening");
        let metrics = setup.metrics.listener(&name);
        let slot = Arc::new(ListenerSlot::new(&name, setup.drain.child(), metrics, configured));
        workers.listen(sockets, &slot);
        self.bound.insert(address, slot);
    }
}
