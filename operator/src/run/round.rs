//! The writing half of a round: all ingresses side by side, each by its own [`Writer`], and beside them the objects of Istio that
//! Gateways mean.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::{join, join_all};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use postern_translate::IngressName;

use super::apply::{Known, KnownTranslated, Objects, Translated, Writer, Written, write_translated};
use super::meaning::Meaning;
use super::state::Observed;
use super::store::{Effects, Store};

/// What is written in one round. It owns what it needs: meanwhile the loop goes on taking changes.
pub(super) struct Round {
    meaning: Arc<Meaning>,
    writers: BTreeMap<IngressName, Writer>,
    children: BTreeMap<IngressName, Objects>,
    volumes: BTreeMap<IngressName, (Vec<ConfigMap>, Vec<Secret>)>,
    translated: KnownTranslated,
    observed: Observed,
}

/// What came of a round.
pub(super) struct Finished {
    pub(super) writers: BTreeMap<IngressName, Writer>,
    pub(super) written: BTreeMap<IngressName, Written>,
    pub(super) translated: Translated,
}

impl Finished {
    /// Did something fail that may succeed another time?
    pub(super) fn has_to_be_tried_again(&self) -> bool {
        self.translated.again || self.written.values().any(|written| written.again)
    }
}

impl Round {
    /// From what is in the store now, and what happened since the last round.
    pub(super) fn new(
        meaning: Arc<Meaning>,
        store: &Store,
        effects: &Effects,
        mut writers: BTreeMap<IngressName, Writer>,
        new: impl Fn(IngressName) -> Writer,
    ) -> Self {
        let children = store.children();
        writers.retain(|name, _| children.contains_key(name) || meaning.wanted.contains_key(name));
        let mut volumes = BTreeMap::new();
        for name in children.keys().chain(meaning.wanted.keys()) {
            let writer = writers.entry(name.clone()).or_insert_with(|| new(name.clone()));
            if effects.children.contains(name) {
                writer.forget_children();
            }
            if effects.volumes.contains(name) {
                writer.compare_volume(&store.volume(name));
            }
            if writer.needs_volume() {
                volumes.insert(name.clone(), store.volume(name));
            }
        }
        let (translated, observed) = (store.translated(), store.observed());
        Self { meaning, writers, children, volumes, translated, observed }
    }

    /// Writes what differs.
    pub(super) async fn write(self, client: &Client) -> Finished {
        let Self { meaning, mut writers, mut children, mut volumes, translated: known, mut observed } = self;
        let jobs: Vec<_> = writers
            .iter_mut()
            .map(|(name, writer)| {
                let known = Known {
                    objects: children.remove(name).unwrap_or_default(),
                    volume: volumes.remove(name).unwrap_or_default(),
                    running: observed.ingresses.remove(name).unwrap_or_default(),
                };
                let wanted = meaning.wanted.get(name).cloned();
                async move {
                    let written = match wanted {
                        Some(wanted) => writer.write(&wanted, known).await,
                        None => Written { again: writer.remove(&known.objects).await, ..Written::default() },
                    };
                    (name.clone(), written)
                }
            })
            .collect();
        let outcome = &meaning.outcome;
        let translated = write_translated(client, &outcome.translated, &outcome.gateway_api, &known);
        let (written, translated) = join(join_all(jobs), translated).await;
        Finished { writers, written: written.into_iter().collect(), translated }
    }
}
