//! What became of each object, said in its status: from what the reconciler told, what runs, and what the proxies say.
//!
//! The text is decided by [`postern_translate::status`]; here is when it is written. An object is written only when its
//! status has to change, one write at a time, over the version that was read: what somebody else wrote meanwhile is seen
//! first. Those that somebody may be waiting for come first.

mod late;
mod proxies;
mod rounds;
mod subjects;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use postern_api::gateway_api::GROUP as GATEWAY_API;
use postern_api::istio::gateway::Gateway;
use postern_api::meta::ObjectKey;
use postern_snapshot::manifest::Hash;
use postern_translate::IngressName;
use postern_translate::status::{
    self, IngressView, Proxy, Running, Status, gateway_api_status_of, status_of,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::apply::{nudge, told};
use super::debounce::until;
use super::events::Events;
use super::metrics::Metrics;
use super::state::{Observed, Reconciled};
use late::Late;
use proxies::{PodKey, Proxies, Said};
use rounds::Rounds;
use subjects::Subjects;
use write::{Write, Written};

/// So many writes at the same time.
const WRITES: usize = 16;
/// After a look at all objects the next one is not before this many times what it took: thousands of objects must not
/// keep a processor busy while their statuses are written.
const REST: u32 = 2;
/// No look at all objects is further away than this when there is something new.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// What the loop is given.
pub(super) struct Statuses {
    /// To write.
    pub(super) client: Client,
    pub(super) reconciled: watch::Receiver<Arc<Reconciled>>,
    pub(super) observed: watch::Receiver<Arc<Observed>>,
    pub(super) leads: watch::Receiver<bool>,
    pub(super) events: Events,
    pub(super) metrics: Arc<Metrics>,
}

/// What the loop remembers.
struct Memory {
    reconciled: Arc<Reconciled>,
    observed: Arc<Observed>,
    proxies: Proxies,
    rounds: Rounds,
    subjects: Subjects,
    late: Late,
    /// What is to be written, the most urgent first.
    queue: BTreeMap<(Urgency, ObjectKey), Write>,
    writes: JoinSet<Written>,
    /// When to look at all objects again.
    look_at: Option<Instant>,
    rest_until: Instant,
}

/// Who comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    /// Gateways, and what has just become served: `kubectl wait` may be waiting for it.
    First,
    Other,
}

impl Statuses {
    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let (proxies, mut said) = Proxies::new();
        let mut memory = Memory {
            reconciled: Arc::default(),
            observed: Arc::default(),
            proxies,
            rounds: Rounds::default(),
            subjects: Subjects::default(),
            late: Late::default(),
            queue: BTreeMap::new(),
            writes: JoinSet::new(),
            look_at: None,
            rest_until: Instant::now(),
        };
        loop {
            tokio::select! {
                Ok(()) = self.reconciled.changed() => {
                    memory.take(Arc::clone(&self.reconciled.borrow_and_update()));
                }
                Ok(()) = self.observed.changed() => {
                    memory.observed = Arc::clone(&self.observed.borrow_and_update());
                    memory.proxies.follow(&memory.observed);
                    memory.look_soon();
                }
                Some(first) = said.recv() => memory.hear(first, &mut said),
                Ok(()) = self.leads.changed() => {
                    self.metrics.leads(*self.leads.borrow_and_update());
                    memory.look_soon();
                }
                Some(done) = memory.writes.join_next() => {
                    if let Ok(written) = done {
                        self.done(written, &mut memory);
                    }
                }
                () = until(memory.look_at) => self.look(&mut memory),
            }
            self.begin_writes(&mut memory);
        }
    }

    /// Looks at all objects: which have to be written?
    fn look(&self, memory: &mut Memory) {
        let started = Instant::now();
        memory.look_at = None;
        memory.queue.clear();
        if !*self.leads.borrow() {
            return;
        }
        let (reconciled, observed) = (Arc::clone(&memory.reconciled), Arc::clone(&memory.observed));
        let proxies = memory.serving();
        let views = views(&reconciled, &observed, &proxies);
        self.metrics.ingresses(views.iter().map(|view| {
            let newest = |proxy: &&Proxy| proxy.ack.as_ref().is_some_and(|ack| ack.hash() == view.hash);
            (view.name, view.proxies.len(), view.proxies.iter().filter(newest).count())
        }));
        for key in reconciled.subjects.keys() {
            memory.consider(key, &reconciled, &views, started);
        }
        self.tell_late(memory, started);
        memory.rest_until = Instant::now() + (started.elapsed() * REST).min(LONGEST_REST);
    }

    /// Tells those pods again that do not serve what they were told of.
    fn tell_late(&self, memory: &mut Memory, now: Instant) {
        let late = memory.late_pods();
        for ((ingress, pod), hash, again) in memory.late.look(&late, now) {
            tracing::debug!(pod, again, "a pod does not serve its snapshot yet; it is told again");
            let client = self.client.clone();
            tokio::spawn(async move {
                let value = format!("{}.{again}", hash.short());
                nudge(&client, &ingress.namespace, std::iter::once(pod.as_str()), &value).await;
            });
        }
        memory.look_no_later_than(memory.late.next());
    }

    fn begin_writes(&self, memory: &mut Memory) {
        while memory.writes.len() < WRITES {
            let Some(((_, key), write)) = memory.queue.pop_first() else { return };
            if let Some(known) = memory.subjects.get(&key) {
                known.busy = true;
                memory.writes.spawn(write.send(self.client.clone()));
            }
        }
    }

    /// A write is over.
    fn done(&self, written: Written, memory: &mut Memory) {
        let Written { write, result } = written;
        let key = &write.key;
        let Some(known) = memory.subjects.get(key) else { return };
        known.busy = false;
        match result {
            Ok((version, status)) => {
                self.metrics.status_written(key);
                let before = write.before;
                self.events.conditions(key, &write.subject, &before, &write.conditions);
                if !known.measured && status::claims_programmed(&status, write.subject.generation) {
                    known.measured = true;
                    self.metrics.served(key, write.subject.changed.elapsed());
                }
                known.wrote(write.version, version, status);
            }
            Err(again) => known.not_before = again.map(|after| Instant::now() + after),
        }
        let (reconciled, observed) = (Arc::clone(&memory.reconciled), Arc::clone(&memory.observed));
        if reconciled.subjects.contains_key(key) {
            let proxies = memory.serving();
            let views = views(&reconciled, &observed, &proxies);
            memory.consider(key, &reconciled, &views, Instant::now());
        }
    }
}

impl Memory {
    fn take(&mut self, reconciled: Arc<Reconciled>) {
        self.rounds.retain(|name| reconciled.ingresses.contains_key(name));
        for (name, state) in &reconciled.ingresses {
            if let Some(hash) = state.hash {
                self.rounds.note(name, hash, reconciled.round);
            }
        }
        self.subjects.update(&reconciled);
        self.reconciled = reconciled;
        self.look_soon();
    }

    fn hear(&mut self, first: Said, more: &mut mpsc::UnboundedReceiver<Said>) {
        self.proxies.hear(first);
        while let Ok(said) = more.try_recv() {
            self.proxies.hear(said);
        }
        self.look_soon();
    }

    fn look_soon(&mut self) {
        self.look_no_later_than(Some(self.rest_until));
    }

    fn look_no_later_than(&mut self, at: Option<Instant>) {
        self.look_at = [self.look_at, at].into_iter().flatten().min();
    }

    /// The proxies that get traffic, by ingress.
    fn serving(&self) -> BTreeMap<IngressName, Vec<Proxy>> {
        let mut serving: BTreeMap<IngressName, Vec<Proxy>> = BTreeMap::new();
        for (name, running) in &self.observed.ingresses {
            let proxies = serving.entry(name.clone()).or_default();
            for (pod, _) in running.pods.iter().filter(|(_, pod)| pod.ready && !pod.terminating) {
                let ack = self.proxies.ack(&(name.clone(), pod.clone())).cloned();
                let hash = ack.as_ref().and_then(|ack| ack.hash());
                let round = hash.and_then(|hash| self.rounds.of(name, hash));
                proxies.push(Proxy { name: pod.clone(), ack, round });
            }
        }
        serving
    }

    /// Pods that were told of the newest snapshot and do not serve it, though they could.
    fn late_pods(&self) -> BTreeMap<PodKey, Hash> {
        let mut late = BTreeMap::new();
        for (name, state) in &self.reconciled.ingresses {
            let Some(hash) = state.hash.filter(|_| state.published) else { continue };
            let Some(running) = self.observed.ingresses.get(name) else { continue };
            for (pod, running) in running.pods.iter().filter(|(_, pod)| !pod.terminating) {
                let key = (name.clone(), pod.clone());
                let is_told = running.nudged.as_deref().is_some_and(|value| told(value).0 == hash.short());
                let serves_another = self.proxies.ack(&key).is_some_and(|ack| {
                    ack.hash() != Some(hash) && ack.rejected().is_none_or(|it| it.hash != Some(hash))
                });
                if is_told && serves_another {
                    late.insert(key, hash);
                }
            }
        }
        late
    }

    /// Queues an object, if its status has to change.
    fn consider(
        &mut self,
        key: &ObjectKey,
        reconciled: &Reconciled,
        views: &[IngressView<'_>],
        now: Instant,
    ) {
        let Some(subject) = reconciled.subjects.get(key) else { return };
        let Some(known) = self.subjects.get(key) else { return };
        let (version, before) = known.current(subject);
        let findings = reconciled.findings.get(key).map_or(&[][..], Vec::as_slice);
        let about = status::Subject {
            key,
            generation: subject.generation,
            status: before,
            findings,
            since: known.since,
            claimed: known.claimed,
        };
        let said = if key.kind.group == GATEWAY_API {
            let running = Running {
                ingresses: views,
                translated: &reconciled.translated,
                addresses: &self.observed.load_balancers,
            };
            gateway_api_status_of(&about, &reconciled.outcome.gateway_api, running, &now_in_seconds())
        } else {
            Some(status_of(&about, views, &now_in_seconds()))
        };
        // Another controller's.
        let Some(Status { conditions, patch, waiting }) = said else { return };
        let (version, before) = (version.to_owned(), before.clone());
        let may_write = known.may_write(waiting, now);
        let Some(patch) = patch else { return };
        match may_write {
            Ok(()) => {
                let urgent = key.kind.name == Gateway::KIND || Write::is_good_news(&conditions, &before);
                let urgency = if urgent { Urgency::First } else { Urgency::Other };
                let subject = Arc::clone(subject);
                let write = Write { key: key.clone(), subject, version, before, conditions, patch };
                self.queue.insert((urgency, key.clone()), write);
            }
            Err(later) => self.look_no_later_than(later),
        }
    }
}

/// The ingresses as they run.
fn views<'a>(
    reconciled: &'a Reconciled,
    observed: &'a Observed,
    proxies: &'a BTreeMap<IngressName, Vec<Proxy>>,
) -> Vec<IngressView<'a>> {
    let view = |(name, state): (&'a IngressName, &'a super::state::IngressState)| {
        let running = observed.ingresses.get(name);
        Some(IngressView {
            name,
            plan: reconciled.outcome.plans.get(name)?,
            hash: state.hash,
            published: state.published,
            problems: &state.problems,
            settings: state.settings.as_ref(),
            gateways: &state.gateways,
            addresses: running.map_or(&[], |running| &running.addresses),
            wanted: running.and_then(|running| usize::try_from(running.wanted).ok()).unwrap_or_default(),
            proxies: proxies.get(name).map_or(&[], Vec::as_slice),
        })
    };
    reconciled.ingresses.iter().filter_map(view).collect()
}

/// Conditions have whole seconds.
fn now_in_seconds() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}
