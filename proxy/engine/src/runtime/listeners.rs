//! The listening addresses: bound when they are new, told when they changed, drained when they are gone.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::Arc,
    time::Duration,
};

use postern_snapshot::{
    ack::{Refused, RefusedKind},
    model::TransportProtocol,
};

use super::{
    Setup,
    compile::{CompiledListener, ListenerPlace, Serves},
};
use crate::{
    drain::Drain,
    listen::{ListenerSlot, bind_tcp, bind_udp},
    udp::UdpSlot,
    workers::Workers,
};

/// All listeners of what is served.
#[derive(Debug, Default)]
pub(super) struct Listeners {
    bound: HashMap<ListenerPlace, Slot>,
    /// Their addresses could not be bound; tried again from time to time.
    unbound: Vec<Unbound>,
}

#[derive(Debug)]
enum Slot {
    Connections(Arc<ListenerSlot>),
    Datagrams(Arc<UdpSlot>),
}

impl Slot {
    /// What serves it drains, and how long that may take: nothing is half done between two datagrams.
    fn drain(&self, setup: &Setup) -> (Drain, Duration) {
        match self {
            Self::Connections(slot) => (slot.drain.clone(), setup.removal_grace),
            Self::Datagrams(slot) => (slot.drain.clone(), Duration::ZERO),
        }
    }
}

#[derive(Debug)]
struct Unbound {
    listener: CompiledListener,
    problem: String,
}

impl Listeners {
    /// Makes these the listeners. One that stays keeps its sockets and connections. Returns what drains of those that are
    /// gone, and how long it may.
    pub(super) fn apply(
        &mut self,
        listeners: Vec<CompiledListener>,
        setup: &Setup,
        workers: &Workers,
    ) -> Vec<(Drain, Duration)> {
        let wanted: HashSet<_> = listeners.iter().map(|listener| listener.place).collect();
        // First the removed ones, whose addresses a new one may overlap.
        let removed = self.bound.extract_if(|place, _| !wanted.contains(place));
        let removed: Vec<_> = removed.map(|(_, slot)| slot.drain(setup)).collect();
        removed.iter().for_each(|(drain, _)| drain.start());
        self.unbound.clear();
        for listener in listeners {
            match (self.bound.get(&listener.place), listener.serves) {
                (Some(Slot::Connections(slot)), Serves::Connections(configured)) => slot.set(configured),
                (Some(Slot::Datagrams(slot)), Serves::Datagrams(forward)) => slot.set(forward),
                (_, serves) => self.bind(CompiledListener { serves, ..listener }, setup, workers),
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
        let (transport, address) = listener.place;
        match bound(&listener, setup, workers) {
            Ok(slot) => {
                tracing::info!(%address, listener = listener.name, "listening");
                self.bound.insert(listener.place, slot);
            }
            Err(error) => {
                let problem = match transport {
                    TransportProtocol::Tcp => format!("cannot listen on {address}: {error}"),
                    TransportProtocol::Udp => format!("cannot listen on {address}/udp: {error}"),
                };
                self.unbound.push(Unbound { listener, problem });
            }
        }
    }
}

/// Binds the sockets of a listener, and gives them to the workers.
fn bound(listener: &CompiledListener, setup: &Setup, workers: &Workers) -> io::Result<Slot> {
    let CompiledListener { place: (_, address), name, serves } = listener;
    let drain = setup.drain.child();
    match serves {
        Serves::Connections(configured) => {
            let sockets = bind_tcp(address.ip(), address.port(), workers.count())?;
            let metrics = setup.metrics.listener(name);
            let slot = Arc::new(ListenerSlot::new(name, drain, metrics, configured.clone()));
            workers.listen(sockets, &slot);
            Ok(Slot::Connections(slot))
        }
        Serves::Datagrams(forward) => {
            let sockets = bind_udp(address.ip(), address.port(), workers.count())?;
            let metrics = setup.metrics.udp(name);
            let slot = Arc::new(UdpSlot::new(name, drain, metrics, Arc::clone(forward)));
            workers.listen_udp(sockets, &slot);
            Ok(Slot::Datagrams(slot))
        }
    }
}
