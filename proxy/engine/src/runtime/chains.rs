//! What outlives a reload: the slots that open connections hold, found again by what they stand for.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use postern_snapshot::model::{ClientAuth, ServerTls, TlsVersion};
use postern_tls::Fingerprint;
use rustls::ServerConfig;

use crate::{
    drain::Drain,
    http::{ChainSlot, HttpRuntime, Siblings},
};

/// What a chain stands for: the listener, and the server of the snapshot; `None` is the one of a plaintext listener.
pub(super) type ChainKey = (SocketAddr, Option<String>);

/// The chains of what is served and, while the next snapshot is compiled, those of that.
#[derive(Debug, Default)]
pub(super) struct Chains {
    served: HashMap<ChainKey, Kept>,
    next: HashMap<ChainKey, Kept>,
    /// Of chains whose place was taken by one on other terms.
    replaced: Vec<Drain>,
}

/// TLS settings, and what they were made from.
pub(super) type Tls = (Fingerprint, Arc<ServerConfig>);

/// What is kept of a chain.
#[derive(Debug)]
struct Kept {
    drain: Drain,
    /// `None`: it passes bytes on.
    http: Option<Arc<ChainSlot>>,
    tls: Option<Tls>,
    terms: Terms,
}

/// On what terms a client got its connection. When they change, connections that were made before end: a client that
/// would not be let in now must not stay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    client_auth: Option<ClientAuth>,
    min_version: Option<TlsVersion>,
}

impl Terms {
    pub(super) fn of(tls: &ServerTls) -> Self {
        Self { client_auth: tls.client_auth.clone(), min_version: tls.min_version }
    }
}

impl Chains {
    /// The TLS settings with this fingerprint, if the chain has them already.
    pub(super) fn tls(&self, key: &ChainKey, fingerprint: Fingerprint) -> Option<Arc<ServerConfig>> {
        let (known, config) = self.served.get(key)?.tls.as_ref()?;
        (*known == fingerprint).then(|| Arc::clone(config))
    }

    /// Takes a chain that serves requests over into the next generation, or makes it. From now on it serves `runtime`.
    pub(super) fn keep_http(
        &mut self,
        key: ChainKey,
        terms: Terms,
        tls: Option<Tls>,
        (runtime, siblings): (HttpRuntime, Siblings),
        process: &Drain,
    ) -> (Drain, Arc<ChainSlot>) {
        let kept = self.take(&key, &terms, |kept| kept.http.is_some());
        let drain = kept.as_ref().map_or_else(|| process.child(), |kept| kept.drain.clone());
        let slot = match kept.and_then(|kept| kept.http) {
            Some(slot) => {
                slot.store(Arc::new(runtime), siblings);
                slot
            }
            None => Arc::new(ChainSlot::new(Arc::new(runtime), siblings)),
        };
        self.next.insert(key, Kept { drain: drain.clone(), http: Some(Arc::clone(&slot)), tls, terms });
        (drain, slot)
    }

    /// The same for a chain that passes bytes on.
    pub(super) fn keep_tcp(
        &mut self,
        key: ChainKey,
        terms: Terms,
        tls: Option<Tls>,
        process: &Drain,
    ) -> Drain {
        let kept = self.take(&key, &terms, |kept| kept.http.is_none());
        let drain = kept.map_or_else(|| process.child(), |kept| kept.drain);
        self.next.insert(key, Kept { drain: drain.clone(), http: None, tls, terms });
        drain
    }

    /// The chain of before, if it is of the same kind and on the same terms; else its connections end.
    fn take(&mut self, key: &ChainKey, terms: &Terms, same_kind: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let kept = self.served.remove(key)?;
        if kept.terms == *terms && same_kind(&kept) {
            return Some(kept);
        }
        self.replaced.push(kept.drain);
        None
    }

    /// The next generation is complete and is served. Returns what of the one before is to be drained.
    pub(super) fn end_generation(&mut self) -> Vec<Drain> {
        let gone = std::mem::replace(&mut self.served, std::mem::take(&mut self.next));
        gone.into_values().map(|chain| chain.drain).chain(self.replaced.drain(..)).collect()
    }
}
