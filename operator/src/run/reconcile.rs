//! The loop: changes → World → what it means → writes, and what is told about it.
//!
//! It never waits for anything but the next event: translating and writing are tasks of their own, one at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use postern_api::meta::ObjectKey;
use postern_translate::children::ChildDefaults;
use postern_translate::status::TranslatedView;
use postern_translate::{IngressName, Options};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::Instant;

use super::apply::Writer;
use super::debounce::{Debounce, until};
use super::events::Events;
use super::meaning::{Input, Meaning};
use super::metrics::Metrics;
use super::round::{Finished, Round};
use super::state::{IngressState, Observed, Reconciled};
use super::store::{Effects, Store};
use super::watch::Change;

/// What failed is tried again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(200);
/// But never later than this.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// So often the loop shows that it lives, also when nothing happens.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A round that is under way when the program ends is given this long.
const LAST_ROUND: Duration = Duration::from_secs(5);

/// What the loop is given.
pub(super) struct Reconciler {
    /// To write.
    pub(super) client: Client,
    pub(super) options: Arc<Options>,
    pub(super) defaults: Arc<ChildDefaults>,
    pub(super) changes: mpsc::UnboundedReceiver<Change>,
    /// How many watches there are.
    pub(super) watches: usize,
    pub(super) leads: watch::Receiver<bool>,
    pub(super) told: Told,
    pub(super) events: Events,
    pub(super) metrics: Arc<Metrics>,
}

/// What the loop tells others.
pub(super) struct Told {
    pub(super) reconciled: watch::Sender<Arc<Reconciled>>,
    pub(super) observed: watch::Sender<Arc<Observed>>,
    /// Everything has been read once.
    pub(super) ready: watch::Sender<bool>,
    /// When the loop last turned.
    pub(super) alive: watch::Sender<Instant>,
}

/// What is under way.
#[derive(Default)]
enum Work {
    #[default]
    Nothing,
    Translating(JoinHandle<Meaning>, Effects),
    Writing(JoinHandle<Finished>),
}

/// What was under way is over.
enum Done {
    Translated(Result<Meaning, JoinError>, Effects),
    Written(Result<Finished, JoinError>),
}

impl Work {
    /// Waits for its end. May be cancelled.
    async fn done(&mut self) -> Done {
        let done = match self {
            Self::Nothing => return std::future::pending().await,
            Self::Translating(task, effects) => Done::Translated(task.await, std::mem::take(effects)),
            Self::Writing(task) => Done::Written(task.await),
        };
        *self = Self::Nothing;
        done
    }
}

/// What the loop remembers.
#[derive(Default)]
struct Memory {
    store: Store,
    pending: Effects,
    debounce: Debounce,
    rounds: u64,
    meaning: Option<Arc<Meaning>>,
    writers: BTreeMap<IngressName, Writer>,
    ingresses: BTreeMap<IngressName, IngressState>,
    translated: Arc<BTreeMap<ObjectKey, TranslatedView>>,
    work: Work,
    retry: Option<(Instant, Duration)>,
}

impl Reconciler {
    /// Runs until it is told to stop; a round that is under way is completed.
    pub(super) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut memory = Memory::default();
        loop {
            self.told.alive.send_replace(Instant::now());
            let idle = matches!(memory.work, Work::Nothing);
            let retry_at = memory.retry.map(|(at, _)| at);
            tokio::select! {
                Some(change) = self.changes.recv() => self.take(change, &mut memory),
                () = memory.debounce.over(), if idle => self.begin(&mut memory),
                () = until(retry_at), if idle => self.begin(&mut memory),
                done = memory.work.done() => self.done(done, &mut memory),
                Ok(()) = self.leads.changed() => {
                    // What another one wrote meanwhile is not known here.
                    memory.writers.clear();
                    memory.pending.translate = true;
                    memory.debounce.change();
                }
                () = tokio::time::sleep(HEARTBEAT) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        if let Work::Writing(task) = memory.work {
            let _ = tokio::time::timeout(LAST_ROUND, task).await;
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
        if !*self.told.ready.borrow() {
            tracing::info!("everything has been read");
            self.told.ready.send_replace(true);
            effects.add(std::mem::take(&mut memory.pending));
        }
        if effects.observed {
            let observed = Arc::new(memory.store.observed());
            self.told.observed.send_if_modified(|known| {
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

    /// Begins a round, with the translation if something has to be translated.
    fn begin(&self, memory: &mut Memory) {
        memory.retry = memory.retry.map(|(_, after)| (Instant::now() + LONGEST_RETRY, after));
        if !memory.store.is_complete(self.watches) {
            return;
        }
        let effects = std::mem::take(&mut memory.pending);
        if let Some(meaning) = memory.meaning.clone().filter(|_| !effects.translate) {
            return self.write(meaning, &effects, memory);
        }
        let input = Input::of(&memory.store);
        let (options, defaults) = (Arc::clone(&self.options), Arc::clone(&self.defaults));
        let metrics = Arc::clone(&self.metrics);
        let task = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let meaning = input.meaning(&options, &defaults);
            metrics.translated(started.elapsed());
            meaning
        });
        memory.work = Work::Translating(task, effects);
    }

    fn done(&self, done: Done, memory: &mut Memory) {
        match done {
            Done::Translated(Ok(meaning), effects) => {
                memory.rounds += 1;
                let meaning = Arc::new(meaning);
                memory.meaning = Some(Arc::clone(&meaning));
                self.write(meaning, &effects, memory);
            }
            Done::Written(Ok(finished)) => self.finish(finished, memory),
            Done::Translated(Err(error), effects) => {
                tracing::error!(%error, "the translation failed; nothing is changed until something else changes");
                memory.pending.add(effects);
            }
            Done::Written(Err(error)) => {
                tracing::error!(%error, "writing failed; everything is looked at again");
                memory.pending.translate = true;
                self.again(memory);
            }
        }
    }

    /// Writes what a translation gave, if this operator leads.
    fn write(&self, meaning: Arc<Meaning>, effects: &Effects, memory: &mut Memory) {
        memory.ingresses.retain(|name, _| meaning.wanted.contains_key(name));
        for (name, wanted) in &meaning.wanted {
            let state = memory.ingresses.entry(name.clone()).or_default();
            state.hash = wanted.encoded.as_ref().ok().map(|encoded| encoded.manifest.hash);
            state.settings = wanted.settings.object.clone();
            state.gateways = meaning.gateways.get(name).cloned().unwrap_or_default();
        }
        if !*self.leads.borrow() {
            memory.retry = None;
            return self.tell(memory);
        }
        let client = &self.client;
        let new = |name| Writer::new(client.clone(), name);
        let writers = std::mem::take(&mut memory.writers);
        let round = Round::new(meaning, &memory.store, effects, writers, new);
        let (client, metrics) = (client.clone(), Arc::clone(&self.metrics));
        memory.work = Work::Writing(tokio::spawn(async move {
            let started = Instant::now();
            let finished = round.write(&client).await;
            metrics.written(started.elapsed());
            finished
        }));
    }

    fn finish(&self, finished: Finished, memory: &mut Memory) {
        if finished.has_to_be_tried_again() {
            self.again(memory);
        } else {
            memory.retry = None;
        }
        memory.writers = finished.writers;
        let subjects = memory.store.subjects();
        memory.translated = Arc::new(finished.translated.views);
        for (gateway, created) in &finished.translated.created {
            if let Some(subject) = subjects.get(gateway) {
                self.events.tell(gateway, subject, "Created", &format!("created {}", listed(created)));
            }
        }
        for (name, written) in finished.written {
            let Some(state) = memory.ingresses.get_mut(&name) else { continue };
            state.published = written.published;
            state.problems = written.problems;
            let created = written.created;
            if !created.is_empty() {
                let note = format!("ingress {name}: created {}", listed(&created));
                let gateways = state.gateways.iter().chain(&state.settings);
                for (key, subject) in gateways.filter_map(|key| subjects.get_key_value(key)) {
                    self.events.tell(key, subject, "Created", &note);
                }
            }
        }
        self.tell(memory);
    }

    fn again(&self, memory: &mut Memory) {
        let after = memory.retry.map_or(FIRST_RETRY, |(_, after)| (after * 2).min(LONGEST_RETRY));
        memory.retry = Some((Instant::now() + after, after));
        self.metrics.tried_again();
    }

    /// Tells what is known. Of an object that has changed since it was translated nothing is known yet.
    fn tell(&self, memory: &Memory) {
        let Some(meaning) = &memory.meaning else { return };
        let mut subjects = memory.store.subjects();
        subjects.retain(|key, it| {
            let translated = meaning.generations.get(key);
            translated.is_some_and(|(uid, generation)| *uid == it.uid && *generation == it.generation)
        });
        self.told.reconciled.send_replace(Arc::new(Reconciled {
            round: memory.rounds,
            outcome: Arc::clone(&meaning.outcome),
            findings: Arc::clone(&meaning.findings),
            subjects,
            ingresses: memory.ingresses.clone(),
            translated: Arc::clone(&memory.translated),
        }));
    }
}

fn listed(objects: &[ObjectKey]) -> String {
    objects.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
