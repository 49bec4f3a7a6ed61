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

/// All listeners that are bound.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    bound: HashMap<SocketAddr, Arc<ListenerSlot>>,
}

impl Listeners {
    /// Makes these the listeners. One that stays keeps its sockets and connections. Returns what drains of those that are
    /// gone.
    pub(super) fn apply(
        &mut self,
        listeners: Vec<CompiledListener>,
        setup: &Setup,
        workers: &Workers,
        refused: &mut Vec<Refused>,
    ) -> Vec<Drain> {
        let wanted: HashSet<_> = listeners.iter().map(|listener| listener.address).collect();
        // First the removed ones, whose addresses a new one may overlap.
        let removed = self.bound.extract_if(|address, _| !wanted.contains(address));
        let removed: Vec<_> = removed.map(|(_, slot)| slot.drain.clone()).collect();
        removed.iter().for_each(Drain::start);
        for listener in listeners {
            match self.bound.get(&listener.address) {
                Some(slot) => slot.set(listener.handling),
                None => self.bind(listener, setup, workers, refused),
            }
        }
        removed
    }

    fn bind(
        &mut self,
        listener: CompiledListener,
        setup: &Setup,
        workers: &Workers,
        refused: &mut Vec<Refused>,
    ) {
        let CompiledListener { address, name, handling } = listener;
        let sockets = match bind(address.ip(), address.port(), workers.count()) {
            Ok(sockets) => sockets,
            Err(error) => {
                refused.push(Refused {
                    kind: RefusedKind::Listener,
                    name,
                    origin: String::new(),
                    problem: format!("cannot listen on {address}: {error}"),
                });
                return;
            }
        };
        let metrics = setup.metrics.listener(&name);
        let slot = Arc::new(ListenerSlot::new(&name, setup.drain.child(), metrics, handling));
        workers.listen(sockets, &slot);
        self.bound.insert(address, slot);
    }
}
