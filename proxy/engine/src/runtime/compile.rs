//! From the listeners of a snapshot to what their connections meet.

use std::{net::SocketAddr, sync::Arc};

use postern_snapshot::{
    HostMap,
    ack::{Refused, RefusedKind},
    model::{
        self, HttpChain, Listener, ListenerProtocol, RouteTable, Routes, ServerTls, TcpForward, TlsAction,
    },
};
use postern_tls::{CertificateStore, ServerNames, TlsError, server_config, server_fingerprint};
use postern_upstream::Clusters;

use super::{
    Setup,
    chains::{ChainKey, Chains, Terms, Tls},
};
use crate::{
    http::{HttpRuntime, Siblings},
    l4::Forward,
    listen::{Handling, HttpTarget, TcpTarget, Terminated, TlsChain},
};

/// A listener that is ready to be bound.
#[derive(Debug)]
pub(super) struct CompiledListener {
    pub(super) address: SocketAddr,
    pub(super) name: String,
    pub(super) handling: Handling,
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
        self.routes.listeners.iter().map(|listener| self.listener(listener)).collect()
    }

    fn listener(&mut self, listener: &Listener) -> CompiledListener {
        let ip = listener.address.unwrap_or(self.setup.default_address);
        let address = SocketAddr::new(ip, listener.port.number());
        let place = Place { address, listener, origin: None, siblings: Siblings::default() };
        let handling = match &listener.protocol {
            ListenerProtocol::Http(chain) => Handling::Http(self.http(&place, None, chain)),
            ListenerProtocol::Tcp(forward) => Handling::Tcp(self.tcp(&place, None, forward)),
            ListenerProtocol::Tls { chains } => Handling::Tls(self.tls(&place, chains)),
        };
        CompiledListener { address, name: listener.name.clone(), handling }
    }

    fn tls(&mut self, listener: &Place<'_>, chains: &[model::TlsChain]) -> ServerNames<Arc<TlsChain>> {
        let owners = Arc::new(owners(chains));
        let mut names = ServerNames::new();
        for (index, chain) in chains.iter().enumerate() {
            let siblings = Siblings::new(Arc::clone(&owners), index);
            let place = Place { origin: Some(&chain.origin), siblings, ..*listener };
            let compiled = Arc::new(match &chain.action {
                TlsAction::Passthrough(forward) => TlsChain::Passthrough(self.tcp(&place, None, forward)),
                TlsAction::Terminate { tls, then } => {
                    self.terminate(&place, tls, then).unwrap_or_else(|error| {
                        self.refuse(&place, &error);
                        TlsChain::Unusable
                    })
                }
            });
            for name in &chain.server_names {
                names.insert(name, Arc::clone(&compiled));
            }
        }
        names
    }

    fn refuse(&mut self, place: &Place<'_>, error: &TlsError) {
        self.refused.push(Refused {
            kind: RefusedKind::TlsChain,
            name: place.listener.name.clone(),
            origin: place.origin.unwrap_or_default().to_owned(),
            problem: error.to_string(),
        });
    }

    fn terminate(
        &mut self,
        place: &Place<'_>,
        tls: &ServerTls,
        then: &model::Terminated,
    ) -> Result<TlsChain, TlsError> {
        let (fingerprint, config) = self.server_config(place, tls)?;
        let secured = Some((Terms::of(tls), (fingerprint, Arc::clone(&config))));
        let then = match then {
            model::Terminated::Http(chain) => Terminated::Http(self.http(place, secured, chain)),
            model::Terminated::Tcp(forward) => Terminated::Tcp(self.tcp(place, secured, forward)),
        };
        Ok(TlsChain::Terminate { config, then })
    }

    fn server_config(&mut self, place: &Place<'_>, tls: &ServerTls) -> Result<Tls, TlsError> {
        let fingerprint = server_fingerprint(tls, self.certificates);
        if let Some(config) = self.chains.tls(&place.key(), fingerprint) {
            return Ok((fingerprint, config));
        }
        let side = server_config(tls, self.certificates, &self.setup.resumption)?;
        for certificate in &side.missing {
            tracing::warn!(listener = place.listener.name, %certificate, "serving without one of the certificates");
        }
        Ok((fingerprint, side.config))
    }

    fn http(&mut self, place: &Place<'_>, secured: Option<(Terms, Tls)>, chain: &HttpChain) -> HttpTarget {
        let empty = RouteTable::default();
        let table = self.routes.route_tables.get(&chain.route_table).unwrap_or(&empty);
        let port = place.listener.service_port;
        let (runtime, refused) =
            HttpRuntime::compile(table, &chain.settings, port, self.clusters, &self.setup.metrics);
        self.refused.extend(refused);
        let (terms, tls) = secured.unzip();
        let serves = (runtime, place.siblings.clone());
        let (drain, chain) =
            self.chains.keep_http(place.key(), terms.unwrap_or_default(), tls, serves, &self.setup.drain);
        HttpTarget { chain, drain }
    }

    fn tcp(&mut self, place: &Place<'_>, secured: Option<(Terms, Tls)>, forward: &TcpForward) -> TcpTarget {
        let (terms, tls) = secured.unzip();
        let drain = self.chains.keep_tcp(place.key(), terms.unwrap_or_default(), tls, &self.setup.drain);
        let forward = Arc::new(Forward::compile(forward, self.clusters, &self.setup.metrics));
        TcpTarget { forward, drain }
    }
}

/// Where a chain stands.
struct Place<'a> {
    address: SocketAddr,
    listener: &'a Listener,
    /// Which server of the snapshot; `None` for plaintext listeners, which have only one chain.
    origin: Option<&'a str>,
    siblings: Siblings,
}

impl Place<'_> {
    fn key(&self) -> ChainKey {
        (self.address, self.origin.map(str::to_owned))
    }
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
