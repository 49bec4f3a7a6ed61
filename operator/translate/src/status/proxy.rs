//! What a proxy says about its snapshot, and what that means for one object.

use std::cmp::Ordering;
use std::sync::Arc;

use postern_api::istio::gateway::Gateway;
use postern_api::meta::{Kind, ObjectKey};
use postern_snapshot::ack::{Ack, Applied, Refused, RefusedKind, Rejected};
use postern_snapshot::manifest::{Hash, Source};

use super::{IngressView, Subject};
use crate::names::{kind, origin};

/// A proxy that gets traffic.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The name of its pod.
    pub name: String,
    /// What it said last. `None`: it was not heard yet.
    pub ack: Option<Arc<ProxyAck>>,
    /// The last round of translation that gave the snapshot that it serves. `None`: that snapshot is older than this
    /// operator's memory. An object that was deleted and made anew has generation 1 twice; a snapshot from before the
    /// round in which the new one was seen first is about the old one.
    pub round: Option<u64>,
}

/// An [`Ack`], to be searched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyAck {
    hash: Option<Hash>,
    /// Sorted.
    sources: Vec<Source>,
    refused: Vec<Refused>,
    rejected: Option<Rejected>,
}

impl From<Ack> for ProxyAck {
    fn from(ack: Ack) -> Self {
        let Ack { proxy_version: _, applied, rejected } = ack;
        let Some(Applied { hash, ingress: _, mut sources, refused }) = applied else {
            return Self { rejected, ..Self::default() };
        };
        sources.sort();
        Self { hash: Some(hash), sources, refused, rejected }
    }
}

impl ProxyAck {
    /// Of the snapshot that it serves.
    #[must_use]
    pub const fn hash(&self) -> Option<Hash> {
        self.hash
    }

    /// What of it is not served.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// The newest snapshot, when that is not served.
    #[must_use]
    pub const fn rejected(&self) -> Option<&Rejected> {
        self.rejected.as_ref()
    }

    /// The generation of an object that is in what is served.
    fn generation(&self, key: &ObjectKey) -> Option<i64> {
        let kind = kind(key);
        let order = |source: &Source| -> Ordering {
            let source = (source.kind.as_str(), source.namespace.as_str(), source.name.as_str());
            source.cmp(&(kind.as_ref(), key.namespace.as_str(), key.name.as_str()))
        };
        let position = self.sources.binary_search_by(order).ok()?;
        self.sources.get(position).map(|source| source.generation)
    }
}

/// What a proxy does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance<'a> {
    /// It serves this generation.
    Serves,
    /// It has this generation, and could not do part of it.
    Refuses(&'a Refused),
    /// It could not load the snapshot that has it.
    Rejects(&'a Rejected),
    /// It does not have it yet.
    Waits,
}

impl Proxy {
    /// What it does with an object of its ingress.
    pub(super) fn stance(&self, subject: &Subject<'_>, ingress: &IngressView<'_>) -> Stance<'_> {
        let Some(ack) = &self.ack else { return Stance::Waits };
        let newest = ack.hash.is_some() && ack.hash == ingress.hash;
        let about_this = newest || self.round.map_or(subject.claimed, |round| round >= subject.since);
        if about_this && ack.generation(subject.key) == Some(subject.generation) {
            return match ack.refused.iter().find(|refused| concerns(refused, subject.key, ingress)) {
                Some(refused) => Stance::Refuses(refused),
                None => Stance::Serves,
            };
        }
        self.rejects(ingress).map_or(Stance::Waits, Stance::Rejects)
    }

    /// What it says against the newest snapshot.
    pub(super) fn rejects(&self, ingress: &IngressView<'_>) -> Option<&Rejected> {
        let rejected = self.ack.as_ref()?.rejected.as_ref()?;
        // Without a hash it could not even be read which one it is.
        rejected.hash.is_none_or(|hash| Some(hash) == ingress.hash).then_some(rejected)
    }

    /// Does it serve the newest snapshot?
    pub(super) fn is_up_to_date(&self, ingress: &IngressView<'_>) -> bool {
        self.ack.as_ref().is_some_and(|ack| ack.hash.is_some() && ack.hash == ingress.hash)
    }
}

/// Is it about this object?
fn concerns(refused: &Refused, key: &ObjectKey, ingress: &IngressView<'_>) -> bool {
    if refused.kind == RefusedKind::Listener {
        let gateways = ingress.plan.listeners.get(&refused.name);
        return gateways.is_some_and(|gateways| gateways.contains(key));
    }
    let rest = refused.origin.strip_prefix(&origin(key));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Is it about something that has no status of its own: a Secret, or a cluster? Then the Gateways tell.
pub(super) fn has_no_owner(refused: &Refused) -> bool {
    match refused.kind {
        RefusedKind::Listener => false,
        RefusedKind::Certificate | RefusedKind::Cluster => {
            !refused.origin.starts_with(Kind::of::<Gateway>().name)
        }
        _ => refused.origin.is_empty(),
    }
}
