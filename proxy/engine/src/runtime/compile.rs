//! From the listeners of a snapshot to what their connections meet.

use std::{collections::HashSet, net::SocketAddr, sync::Arc};

use postern_snapshot::{
    HostMap,
    ack::{Refused, RefusedKind},
    model::{
        self, HttpChain, Listener, ListenerProtocol, RouteTable, Routes, ServerTls, TcpForward, TlsAction,
        TransportProtocol,
    },
};
use postern_tls::{CertificateStore, ServerNames, TlsError, server_config, server_fingerprint};
use postern_upstream::Clusters;

use super::{
    Setup,
    chains::{Chains, Place, Terms, Tls, TlsPlace},
};
use crate::{
    http::{HttpRuntime, Siblings},
    l4::Forward,
    listen::{Configured, Handling, HttpTarget, TcpTarget, Terminated, TlsChain, TlsChains},
};

/// A listener that is ready to be bound.
#[derive(Debug)]
pub(super) struct CompiledListener {
    pub(super) place: ListenerPlace,
    pub(super) name: String,
    pub(super) serves: Serves,
}

/// Where a listener is: TCP and UDP have ports of their own.
pub(super) type ListenerPlace = (TransportProtocol, SocketAddr);

/// What a listener does.
#[derive(Debug)]
pub(super) enum Serves {
    Connections(Configured),
    Datagrams(Arc<Forward>),
}

/// One compilation.
pub(super) struct Compile<'a> {
    pub(super) routes: &'a Routes,
    pub(super) clusters: &'a Clusters,
    pub(super) certificates: &'a CertificateStore,
    pub(super) setup: &'a Setup,
    pub(super) chains: &'a mut Chains,
    /// What cannot be served is added here.
    pub(super) refused: &'a mut Vec<Refused>,
}

impl Compile<'_> {
    pub(super) fn run(mut self) -> Vec<CompiledListener> {
        let mut taken = HashSet::new();
        let mut compiled = Vec::new();
        for listener in &self.routes.listeners {
            let ip = listener.address.unwrap_or(self.setup.default_address);
            let address = SocketAddr::new(ip, listener.port.number());
            if taken.insert((listener.protocol.transport(), address)) {
                compiled.push(self.listener(listener, address));
            } else {
                // One names the default address, the other none.
                self.refused.push(refused_listener(listener, format!("another one listens on {address}")));
            }
        }
        compiled
    }

    fn listener(&mut self, listener: &Listener, address: SocketAddr) -> CompiledListener {
        let at = At { listener, origin: "", place: Place { address, tls: None } };
        let place = (listener.protocol.transport(), address);
        let compiled = |serves| CompiledListener { place, name: listener.name.clone(), serves };
        let handling = match &listener.protocol {
            ListenerProtocol::Http(chain) => Handling::Http(self.http(&at, None, chain)),
            ListenerProtocol::Tcp(forward) => Handling::Tcp(self.tcp(&at, None, forward)),
            ListenerProtocol::Tls { chains } => Handling::Tls(self.tls(&at, chains)),
            ListenerProtocol::Udp(forward) => {
                let forward = Forward::of_udp(forward, self.clusters, &self.setup.metrics);
                return compiled(Serves::Datagrams(Arc::new(forward)));
            }
        };
        let configured = Configured { proxy_protocol: listener.proxy_protocol, ..handling.into() };
        compiled(Serves::Connections(configured))
    }

    fn tls(&mut self, at: &At<'_>, chains: &[model::TlsChain]) -> TlsChains {
        let owners = Arc::new(owners(chains));
        let mut names = ServerNames::new();
        for (index, chain) in chains.iter().enumerate() {
            let tls = TlsPlace { owners: &owners, index, server_names: &chain.server_names };
            let at = At { origin: &chain.origin, place: Place { tls: Some(tls), ..at.place }, ..*at };
            let compiled = Arc::new(match &chain.action {
                TlsAction::Passthrough(forward) => TlsChain::Passthrough(self.tcp(&at, None, forward)),
                TlsAction::Terminate { tls, then } => {
                    self.terminate(&at, tls, then).unwrap_or_else(|error| {
                        self.refuse(&at, &error);
                        TlsChain::Unusable
                    })
                }
            });
            for name in &chain.server_names {
                names.insert(name, Arc::clone(&compiled));
            }
        }
        let passes_on = |chain: &model::TlsChain| matches!(chain.action, TlsAction::Passthrough(_));
        TlsChains { by_name: names, only_pass_on: !chains.is_empty() && chains.iter().all(passes_on) }
    }

    fn refuse(&mut self, at: &At<'_>, error: &TlsError) {
        self.refused.push(Refused {
            kind: RefusedKind::TlsChain,
            name: at.listener.name.clone(),
            origin: at.origin.to_owned(),
            problem: error.to_string(),
        });
    }

    fn terminate(
        &mut self,
        at: &At<'_>,
        tls: &ServerTls,
        then: &model::Terminated,
    ) -> Result<TlsChain, TlsError> {
        let (fingerprint, config) = self.server_config(at, tls)?;
        let secured = Some((Terms::of(tls), (fingerprint, Arc::clone(&config))));
        let then = match then {
            model::Terminated::Http(chain) => Terminated::Http(self.http(at, secured, chain)),
            model::Terminated::Tcp(forward) => Terminated::Tcp(self.tcp(at, secured, forward)),
        };
        Ok(TlsChain::Terminate { config, then })
    }

    fn server_config(&mut self, at: &At<'_>, tls: &ServerTls) -> Result<Tls, TlsError> {
        let fingerprint = server_fingerprint(tls, self.certificates);
        if let Some(config) = self.chains.tls(&at.place, fingerprint) {
            return Ok((fingerprint, config));
        }
        let side = server_config(tls, self.certificates, &self.setup.resumption)?;
        for certificate in &side.missing {
            tracing::warn!(listener = at.listener.name, %certificate, "serving without one of the certificates");
        }
        Ok((fingerprint, side.config))
    }

    fn http(&mut self, at: &At<'_>, secured: Option<(Terms, Tls)>, chain: &HttpChain) -> HttpTarget {
        let empty = RouteTable::default();
        let table = self.routes.route_tables.get(&chain.route_table).unwrap_or(&empty);
        let port = at.listener.service_port;
        let (runtime, refused) =
            HttpRuntime::compile(table, chain, port, self.clusters, &self.setup.metrics, &self.setup.limits);
        self.refused.extend(refused);
        let (terms, tls) = secured.unzip();
        let serves = (runtime, at.siblings());
        let (drain, chain) =
            self.chains.keep_http(&at.place, terms.unwrap_or_default(), tls, serves, &self.setup.drain);
        HttpTarget { chain, drain }
    }

    fn tcp(&mut self, at: &At<'_>, secured: Option<(Terms, Tls)>, forward: &TcpForward) -> TcpTarget {
        let (terms, tls) = secured.unzip();
        let drain = self.chains.keep_tcp(&at.place, terms.unwrap_or_default(), tls, &self.setup.drain);
        let forward = Arc::new(Forward::of_tcp(forward, self.clusters, &self.setup.metrics));
        TcpTarget { forward, drain }
    }
}

/// What is being compiled, for reports and to find what was there before.
#[derive(Clone, Copy)]
struct At<'a> {
    listener: &'a Listener,
    /// The object and server that the chain stands for; empty for a plaintext listener.
    origin: &'a str,
    place: Place<'a>,
}

impl At<'_> {
    fn siblings(&self) -> Siblings {
        self.place.tls.map_or_else(Siblings::default, |tls| Siblings::new(Arc::clone(tls.owners), tls.index))
    }
}

fn refused_listener(listener: &Listener, problem: String) -> Refused {
    Refused { kind: RefusedKind::Listener, name: listener.name.clone(), origin: String::new(), problem }
}

/// Which chain each server name belongs to.
fn owners(chains: &[model::TlsChain]) -> HostMap<usize> {
    let mut owners = HostMap::new();
    for (index, chain) in chains.iter().enumerate() {
        for name in &chain.server_names {
            owners.insert(name, index);
        }
    }
    owners
}
