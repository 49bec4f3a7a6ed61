//! The endpoints of all clusters, so that one that stays keeps its identity.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Weak},
};

use postern_snapshot::model;
use postern_tls::{CertificateStore, TlsError};

use crate::{Endpoint, Transport, transport::TransportId};

/// Finds what exists. Used while a snapshot is compiled, never on a request's path.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    transports: HashMap<TransportId, Weak<Transport>>,
    endpoints: HashMap<Key, Weak<Endpoint>>,
    /// Beyond this size it is time to forget those that are gone.
    clean_at: usize,
    generation: u64,
}

/// An address, and the transport that it is reached over. The transport is known by its place in memory: it lives at
/// least as long as an endpoint that is found by this key.
type Key = (SocketAddr, usize);

const CLEAN_AT_LEAST: usize = 1024;

impl Registry {
    /// The number of the next generation of clusters, 1 for the first.
    pub(crate) const fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// The transport that these settings ask for, made if there is none.
    pub(crate) fn transport(
        &mut self,
        settings: &model::Cluster,
        certificates: &CertificateStore,
    ) -> Result<Arc<Transport>, TlsError> {
        let id = TransportId::of(settings, certificates);
        if let Some(known) = self.transports.get(&id).and_then(Weak::upgrade) {
            return Ok(known);
        }
        self.transports.retain(|_, transport| transport.strong_count() > 0);
        let transport = Arc::new(Transport::new(settings, certificates)?);
        self.transports.insert(id, Arc::downgrade(&transport));
        Ok(transport)
    }

    /// The endpoint with this address over this very transport, made if there is none.
    pub(crate) fn endpoint(&mut self, address: SocketAddr, transport: &Arc<Transport>) -> Arc<Endpoint> {
        let key = (address, Arc::as_ptr(transport).addr());
        if let Some(known) = self.endpoints.get(&key).and_then(Weak::upgrade) {
            // A new transport may be where one was that is gone.
            if Arc::ptr_eq(known.transport(), transport) {
                return known;
            }
        }
        if self.endpoints.len() >= self.clean_at {
            self.endpoints.retain(|_, endpoint| endpoint.strong_count() > 0);
            self.clean_at = (self.endpoints.len() * 2).max(CLEAN_AT_LEAST);
        }
        let endpoint = Arc::new(Endpoint::new(address, Arc::clone(transport)));
        self.endpoints.insert(key, Arc::downgrade(&endpoint));
        endpoint
    }
}
