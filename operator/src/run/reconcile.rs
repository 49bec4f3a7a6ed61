//! The loop: changes → World → what it means → writes, and what is told about it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kube::Client;
use postern_translate::children::ChildDefaults;
use postern_translate::{IngressName, Options};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::apply::{Known, Writer, Written};
use super::debounce::Debounce;
use super::meaning::{Input, Meaning};
use super::state::{IngressState, Observed, Reconciled};
use super::store::{Effects, Store};
use super::watch::Change;

/// What failed is tried again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// But never later than this.
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// What the loop is given.
pub(super) struct Reconciler {
    pub(super) client: Client,
    pub(super) options: Arc<Options>,
    pub(super) defaults: Arc<ChildDefaults>,
    pub(super) changes: mpsc::UnboundedReceiver<Change>,
    /// How many watches there are.
    pub(super) watches: usize,
    pub(super) leads: watch::Receiver<bool>,
    pub(super) reconciled: watch::Sender<Arc<Reconciled>>,
    pub(super) observed: watch::Sender<Arc<Observed>>,
    /// Everything has been read once.
    pub(super) ready: watch::Sender<bool>,
}

/// What the loop remembers.
#[derive(Default)]
struct Memory {
    store: Store,
    pending: Effects,
    debounce: Debounce,
    meaning: Option<Meaning>,
    writers: BTreeMap<IngressName, Writer>,
    ingresses: BTreeMap<IngressName, IngressState>,
    retry: Option<(Instant, Duration)>,
}

impl Reconciler {
    /// Runs until the watches end.
    pub(super) async fn run(mut self) {
        let mut memory = Memory::default();
        loop {
            let retry_at = memory.retry.map(|(at, _)| at);
            tokio::select! {
                change = self.changes.recv() => {
                    let Some(change) = change else { return };
                    self.take(change, &mut memory);
                }
                () = memory.debounce.over() => self.round(&mut memory).await,
                Ok(()) = self.leads.changed() => {
                    // What another one wrote meanwhile is not known here.
                    memory.writers.clear();
                    memory.pending.translate = true;
                    memory.debounce.change();
                }
                () = until(retry_at) => self.round(&mut memory).await,
            }
        }
    }

    /// Takes what has come, and tells what needs no work at once.
    fn take(&mut self, change: Change, memory: &mut Memory) {
        let mut effects = memory.store.take(change);
        while let Ok(change) = self.changes.try_recv() {
            effects.add(memory.store.take(change));
        }
        if !memory.store.is_complete(self.watches) {
            memory.pending.add(effects);
            return;
        }
        if !*self.ready.borrow() {
            self.ready.send_replace(true);
            effects.add(std::mem::take(&mut memory.pending));
        }
        if effects.observed {
            let observed = Arc::new(memory.store.observed());
            self.observed.send_if_modified(|known| {
                let news = **known != *observed;
                *known = observed;
                news
            });
        }
        if effects.subjects && !effects.translate {
            self.tell(memory);
        }
        if effects.is_work() {
            memory.debounce.change();
        }
        memory.pending.add(effects);
    }

    /// One round: from what was read to what is written.
    async fn round(&mut self, memory: &mut Memory) {
        if !memory.store.is_complete(self.watches) {
            return;
        }
        let started = Instant::now();
        let effects = std::mem::take(&mut memory.pending);
        if effects.translate || memory.meaning.is_none() {
            let input = Input::of(&memory.store);
            let (options, defaults) = (Arc::clone(&self.options), Arc::clone(&self.defaults));
            match tokio::task::spawn_blocking(move || input.meaning(&options, &defaults)).await {
                Ok(meaning) => memory.meaning = Some(meaning),
                Err(error) => {
                    tracing::error!(%error, "the translation failed; nothing is changed");
                    return;
                }
            }
        }
        let translated = started.elapsed();
        let again = self.write_all(&effects, memory).await;
        memory.retry = again.then(|| {
            let after = memory.retry.map_or(FIRST_RETRY, |(_, after)| (after * 2).min(LONGEST_RETRY));
            (Instant::now() + after, after)
        });
        self.tell(memory);
        tracing::debug!(?translated, took = ?started.elapsed(), "reconciled");
    }

    /// Writes all ingresses side by side. Says whether something has to be tried again.
    async fn write_all(&self, effects: &Effects, memory: &mut Memory) -> bool {
        let Memory { store, meaning: Some(meaning), writers, ingresses, .. } = memory else { return false };
        ingresses.retain(|name, _| meaning.wanted.contains_key(name));
        for (name, wanted) in &meaning.wanted {
            let state = ingresses.entry(name.clone()).or_default();
            state.hash = wanted.encoded.as_ref().ok().map(|encoded| encoded.manifest.hash);
            state.settings = wanted.settings.object.clone();
            state.gateways = meaning.gateways.get(name).cloned().unwrap_or_default();
        }
        if !*self.leads.borrow() {
            return false;
        }
        let known = store.children();
        let observed = store.observed();
        for name in known.keys().chain(meaning.wanted.keys()) {
            let new = || Writer::new(self.client.clone(), name.clone());
            let writer = writers.entry(name.clone()).or_insert_with(new);
            if effects.children.contains(name) {
                writer.forget_children();
            }
            if effects.volumes.contains(name) {
                writer.compare_volume(&store.volume(name));
            }
        }
        writers.retain(|name, _| known.contains_key(name) || meaning.wanted.contains_key(name));
        let results = join_all(writers.iter_mut().map(async |(name, writer)| {
            let objects = known.get(name).cloned().unwrap_or_default();
            let Some(wanted) = meaning.wanted.get(name) else {
                let again = writer.remove(&objects).await;
                return (name, Written { again, ..Written::default() });
            };
            let running = observed.ingresses.get(name).cloned().unwrap_or_default();
            let volume = if writer.needs_volume() { store.volume(name) } else { Default::default() };
            (name, writer.write(wanted, Known { objects, volume, running }).await)
        }))
        .await;
        let mut again = false;
        for (name, written) in results {
            again |= written.again;
            if let Some(state) = ingresses.get_mut(name) {
                state.published = written.published;
                state.problems = written.problems;
            }
        }
        again
    }

    fn tell(&self, memory: &Memory) {
        let Some(meaning) = &memory.meaning else { return };
        self.reconciled.send_replace(Arc::new(Reconciled {
            outcome: Arc::clone(&meaning.outcome),
            findings: Arc::clone(&meaning.findings),
            subjects: memory.store.subjects(),
            ingresses: memory.ingresses.clone(),
        }));
    }
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
