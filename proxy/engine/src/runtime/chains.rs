//! What outlives a reload: the slots that open connections hold, found again by what they stand for.
//!
//! A chain of the new snapshot continues the one of the old that answered to one of its server names on the same
//! address, whatever object says so now: that is what its connections were made for. The origin alone would not do,
//! since all TLS routes of one VirtualService have the same.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use postern_snapshot::{
    HostMap, HostPattern,
    model::{ClientAuth, ServerTls, TlsVersion},
};
use postern_tls::Fingerprint;
use rustls::ServerConfig;

use crate::{
    drain::Drain,
    http::{ChainSlot, HttpRuntime, Siblings},
};

/// Which chain of its listener answers to each server name, by its index.
pub(super) type Owners = Arc<HostMap<usize>>;

/// Where a chain stands in the snapshot that is compiled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) address: SocketAddr,
    /// `None`: the one chain of a plaintext listener.
    pub(super) tls: Option<TlsPlace<'a>>,
}

/// Which of a TLS listener's chains.
#[derive(Debug, Clone, Copy)]
pub(super) struct TlsPlace<'a> {
    pub(super) owners: &'a Owners,
    pub(super) index: usize,
    pub(super) server_names: &'a [HostPattern],
}

/// The chains of what is served and, while the next snapshot is compiled, those of that.
#[derive(Debug, Default)]
pub(super) struct Chains {
    served: HashMap<SocketAddr, OfListener>,
    next: HashMap<SocketAddr, OfListener>,
    /// Of chains whose place was taken by one on other terms.
    replaced: Vec<Drain>,
}

/// The chains of one listener.
#[derive(Debug)]
struct OfListener {
    /// `None`: it is a plaintext listener.
    owners: Option<Owners>,
    /// By index; what was refused or taken over is missing.
    chains: HashMap<usize, Kept>,
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

impl OfListener {
    /// The chain that answered to a name of this one.
    fn predecessor(&self, place: &Place<'_>) -> Option<usize> {
        match (&self.owners, place.tls) {
            (None, None) => Some(0),
            (Some(owners), Some(tls)) => {
                let found = tls.server_names.iter().filter_map(|name| owners.get(name));
                found.copied().find(|index| self.chains.contains_key(index))
            }
            _ => None,
        }
    }
}

impl Chains {
    /// The TLS settings with this fingerprint, if the chain has them already.
    pub(super) fn tls(&self, place: &Place<'_>, fingerprint: Fingerprint) -> Option<Arc<ServerConfig>> {
        let served = self.served.get(&place.address)?;
        let (known, config) = served.chains.get(&served.predecessor(place)?)?.tls.as_ref()?;
        (*known == fingerprint).then(|| Arc::clone(config))
    }

    /// Takes a chain that serves requests over into the next generation, or makes it. From now on it serves `runtime`.
    pub(super) fn keep_http(
        &mut self,
        place: &Place<'_>,
        terms: Terms,
        tls: Option<Tls>,
        (runtime, siblings): (HttpRuntime, Siblings),
        process: &Drain,
    ) -> (Drain, Arc<ChainSlot>) {
        let kept = self.take(place, &terms, |kept| kept.http.is_some());
        let drain = kept.as_ref().map_or_else(|| process.child(), |kept| kept.drain.clone());
        let slot = match kept.and_then(|kept| kept.http) {
            Some(slot) => {
                slot.store(Arc::new(runtime), siblings);
                slot
            }
            None => Arc::new(ChainSlot::new(Arc::new(runtime), siblings)),
        };
        self.keep(place, Kept { drain: drain.clone(), http: Some(Arc::clone(&slot)), tls, terms });
        (drain, slot)
    }

    /// The same for a chain that passes bytes on.
    pub(super) fn keep_tcp(
        &mut self,
        place: &Place<'_>,
        terms: Terms,
        tls: Option<Tls>,
        process: &Drain,
    ) -> Drain {
        let kept = self.take(place, &terms, |kept| kept.http.is_none());
        let drain = kept.map_or_else(|| process.child(), |kept| kept.drain);
        self.keep(place, Kept { drain: drain.clone(), http: None, tls, terms });
        drain
    }

    fn keep(&mut self, place: &Place<'_>, kept: Kept) {
        let listener = self.next.entry(place.address).or_insert_with(|| OfListener {
            owners: place.tls.map(|tls| Arc::clone(tls.owners)),
            chains: HashMap::new(),
        });
        listener.chains.insert(place.tls.map_or(0, |tls| tls.index), kept);
    }

    /// The chain of before, if it is of the same kind and on the same terms; else its connections end.
    fn take(&mut self, place: &Place<'_>, terms: &Terms, same_kind: impl Fn(&Kept) -> bool) -> Option<Kept> {
        let served = self.served.get_mut(&place.address)?;
        let kept = served.chains.remove(&served.predecessor(place)?)?;
        if kept.terms == *terms && same_kind(&kept) {
            return Some(kept);
        }
        self.replaced.push(kept.drain);
        None
    }

    /// The next generation is complete and is served. Returns what of the one before is to be drained.
    pub(super) fn end_generation(&mut self) -> Vec<Drain> {
        let gone = std::mem::replace(&mut self.served, std::mem::take(&mut self.next));
        let gone = gone.into_values().flat_map(|listener| listener.chains.into_values());
        gone.map(|chain| chain.drain).chain(self.replaced.drain(..)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADDRESS: &str = "127.0.0.1:443";

    /// Serves one generation of chains that pass bytes on, by their names; returns their drains, and what ends.
    fn serve(chains: &mut Chains, names: &[&[&str]]) -> (Vec<Drain>, Vec<Drain>) {
        let names: Vec<Vec<HostPattern>> = names
            .iter()
            .map(|names| names.iter().map(|name| name.parse().expect("a host")).collect())
            .collect();
        let mut owners = HostMap::new();
        for (index, names) in names.iter().enumerate() {
            names.iter().for_each(|name| {
                owners.insert(name, index);
            });
        }
        let (owners, process) = (Arc::new(owners), Drain::new());
        let kept = names.iter().enumerate().map(|(index, server_names)| {
            let tls = Some(TlsPlace { owners: &owners, index, server_names });
            let place = Place { address: ADDRESS.parse().expect("an address"), tls };
            chains.keep_tcp(&place, Terms::default(), None, &process)
        });
        (kept.collect(), chains.end_generation())
    }

    /// Is it the same one? A drain has no identity but what it counts.
    fn is_same(one: &Drain, other: &Drain) -> bool {
        let _watch = one.watch();
        other.open() == 1
    }

    #[test]
    fn a_chain_is_found_again_by_its_names_in_any_order() {
        let mut chains = Chains::default();
        let (before, gone) = serve(&mut chains, &[&["a"], &["b", "*.b"], &["c"]]);
        assert!(gone.is_empty());
        let (after, gone) = serve(&mut chains, &[&["new"], &["c"], &["b", "d"]]);
        assert!(is_same(&before[2], &after[1]) && is_same(&before[1], &after[2]));
        assert!(!is_same(&before[0], &after[0]));
        assert!(gone.len() == 1 && is_same(&gone[0], &before[0]), "only what nobody continues ends");
    }

    #[test]
    fn one_that_is_split_goes_on_in_its_first_part_and_ends_in_no_other() {
        let mut chains = Chains::default();
        let (before, _) = serve(&mut chains, &[&["a", "b"]]);
        let (after, gone) = serve(&mut chains, &[&["a"], &["b"]]);
        assert!(is_same(&before[0], &after[0]) && !is_same(&before[0], &after[1]));
        assert!(gone.is_empty());
        let (_, gone) = serve(&mut chains, &[&["a", "b"]]);
        assert!(gone.len() == 1 && is_same(&gone[0], &after[1]), "of two that are joined one goes on");
    }
}
