//! From changed files to proxies that serve them: what is read, written, started and told, and in which order.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use postern_api::finding::Level;
use postern_api::meta::ObjectKey;
use postern_snapshot::ack::{Ack, Applied};
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_snapshot::manifest::Hash;
use postern_snapshot::model::Snapshot;
use postern_translate::children::settings::translate_with_settings;
use postern_translate::{IngressName, Options, Outcome, Plan};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinHandle};

use super::addresses::Addresses;
use super::proxy::{Ended, Instance, Program, Proxy, STATUS_PORT};
use super::say::Say;
use crate::ack;
use crate::cli::ServeArgs;
use crate::files::Reading;
use crate::report::{Line, Report};
use crate::snapshot_directory::SnapshotDirectory;

/// What comes back from the proxies.
#[derive(Debug)]
pub(super) enum Event {
    /// It says what it serves.
    Ack(IngressName, Ack),
    /// It ended by itself.
    Ended(Ended),
}

/// Everything that runs.
#[derive(Debug)]
pub(super) struct System {
    roots: Vec<PathBuf>,
    options: Options,
    program: Program,
    cacert: Option<PathBuf>,
    run_dir: PathBuf,
    addresses: Addresses,
    events: mpsc::UnboundedSender<Event>,
    say: Say,
    ingresses: BTreeMap<IngressName, Ingress>,
    /// The proxies that are about to end, by address; the next one there waits for them.
    ending: BTreeMap<IpAddr, JoinHandle<()>>,
    /// What the served objects consist of; absent: nothing could be served yet.
    served: Option<BTreeMap<ObjectKey, Hash>>,
    said_errors: Vec<Line>,
    said_findings: BTreeSet<Line>,
    /// Not everything that was there at the start serves yet.
    starting: bool,
}

/// An ingress with its proxy.
#[derive(Debug)]
struct Ingress {
    address: IpAddr,
    directory: SnapshotDirectory,
    proxy: Proxy,
    follower: AbortHandle,
    /// What was written for the proxy.
    published: Hash,
    /// When the files changed that led to it.
    since: Option<Instant>,
    /// What the proxy said that it serves.
    acked: Option<Hash>,
    /// What it was last said to have refused as a whole.
    rejected: Option<String>,
    /// Until it is introduced: what it serves.
    introduction: Option<Box<Snapshot>>,
    /// Its proxy has ended by itself.
    failed: bool,
}

impl System {
    pub(super) fn new(args: ServeArgs, run_dir: PathBuf, events: mpsc::UnboundedSender<Event>) -> Self {
        Self {
            options: args.installation.options(Options::local()),
            roots: args.files.filename,
            program: Program {
                path: Program::path(args.proxy),
                access_log: args.access_log,
                log: args.proxy_log,
                drain_seconds: args.drain_seconds,
            },
            cacert: args.cacert,
            run_dir,
            addresses: Addresses::new(args.address),
            events,
            say: Say,
            ingresses: BTreeMap::new(),
            ending: BTreeMap::new(),
            served: None,
            said_errors: Vec::new(),
            said_findings: BTreeSet::new(),
            starting: true,
        }
    }

    /// Serves what is there.
    pub(super) fn start(&mut self, reading: &Reading) -> anyhow::Result<()> {
        self.look(reading, None)?;
        self.introduce()
    }

    /// Serves what is there now, after a change at that moment.
    pub(super) fn changed(&mut self, since: Instant, reading: &Reading) -> anyhow::Result<()> {
        self.look(reading, Some(since))
    }

    fn look(&mut self, reading: &Reading, since: Option<Instant>) -> anyhow::Result<()> {
        if reading.has_errors() {
            return self.refuse(reading);
        }
        if !self.said_errors.is_empty() {
            self.said_errors.clear();
            self.say.mended()?;
        }
        let contents: BTreeMap<_, _> =
            reading.objects.iter().map(|(key, object)| (key.clone(), object.content)).collect();
        let changed = self.served.as_ref().map(|served| differences(served, &contents));
        if changed.as_ref().is_some_and(Vec::is_empty) {
            return Ok(());
        }
        let started = Instant::now();
        let (outcome, _) = translate_with_settings(&reading.world(), &self.options);
        tracing::debug!(took = ?started.elapsed(), "translated");
        self.served = Some(contents);
        if let Some(changed) = &changed {
            self.say.changed(changed)?;
        }
        let written = self.apply(&outcome, since)?;
        self.say_findings(reading, &outcome)?;
        if changed.is_some() && !written {
            self.say.same()?;
        }
        if self.ingresses.is_empty() {
            self.say.nothing()?;
        }
        Ok(())
    }

    /// What has an error is not served at all, and said once.
    fn refuse(&mut self, reading: &Reading) -> anyhow::Result<()> {
        let errors: Vec<_> = Report::of_reading(reading).errors().cloned().collect();
        if errors != self.said_errors {
            self.say.refused(&errors, self.served.is_some())?;
            self.said_errors = errors;
        }
        Ok(())
    }

    fn say_findings(&mut self, reading: &Reading, outcome: &Outcome) -> anyhow::Result<()> {
        let report = Report::of_all(reading, &outcome.findings);
        let lines = report.lines.iter().filter(|line| line.level >= Level::Warning);
        let now: BTreeMap<Line, &Line> = lines.map(|line| (line.without_place(), line)).collect();
        let new: Vec<_> =
            now.iter().filter(|(key, _)| !self.said_findings.contains(*key)).map(|(_, line)| *line).collect();
        let gone = self.said_findings.iter().filter(|key| !now.contains_key(*key)).count();
        self.say.findings(&new, gone)?;
        self.said_findings = now.into_keys().collect();
        Ok(())
    }

    /// Brings the ingresses to what they should be. Says whether anything had to be done.
    fn apply(&mut self, outcome: &Outcome, since: Option<Instant>) -> anyhow::Result<bool> {
        let mut written = false;
        let gone: Vec<_> =
            self.ingresses.keys().filter(|name| !outcome.plans.contains_key(*name)).cloned().collect();
        for name in gone {
            written = true;
            self.remove(&name)?;
        }
        for (name, address) in self.addresses.assign(outcome.plans.keys()) {
            let Some(plan) = outcome.plans.get(&name) else { continue };
            let Some(address) = address else {
                self.say.trouble(format_args!("there is no loopback address left for {name}"))?;
                continue;
            };
            match self.publish(&name, address, plan, since) {
                Ok(published) => written |= published,
                Err(error) => self.say.trouble(format_args!("{name} stays as it is: {error:#}"))?,
            }
        }
        Ok(written)
    }

    /// Writes a snapshot if it differs from the last one, and starts the proxy if there is none.
    fn publish(
        &mut self,
        name: &IngressName,
        address: IpAddr,
        plan: &Plan,
        since: Option<Instant>,
    ) -> anyhow::Result<bool> {
        let encoded = encode(&plan.snapshot, &EncodeOptions::default())?;
        let hash = encoded.manifest.hash;
        if let Some(ingress) = self.ingresses.get_mut(name) {
            if ingress.published == hash {
                return Ok(false);
            }
            ingress.directory.write(&encoded).context("its snapshot cannot be written")?;
            ingress.published = hash;
            ingress.since = since;
            if let Some(snapshot) = &mut ingress.introduction {
                **snapshot = plan.snapshot.clone();
            }
            return Ok(true);
        }
        let directory = SnapshotDirectory::new(self.directory("snapshots", name));
        directory.write(&encoded).context("its snapshot cannot be written")?;
        let (proxy, follower) = self.run(name, address, &directory);
        let ingress = Ingress {
            address,
            directory,
            proxy,
            follower,
            published: hash,
            since,
            acked: None,
            rejected: None,
            introduction: Some(Box::new(plan.snapshot.clone())),
            failed: false,
        };
        self.ingresses.insert(name.clone(), ingress);
        Ok(true)
    }

    fn directory(&self, purpose: &str, name: &IngressName) -> PathBuf {
        self.run_dir.join(purpose).join(&name.namespace).join(&name.name)
    }

    fn run(
        &mut self,
        name: &IngressName,
        address: IpAddr,
        directory: &SnapshotDirectory,
    ) -> (Proxy, AbortHandle) {
        let instance = Instance {
            ingress: name.clone(),
            address,
            snapshot: directory.path().to_owned(),
            state: self.directory("state", name),
        };
        // Nobody listens any more when everything ends.
        let events = self.events.clone();
        let tell_end = move |ended| drop(events.send(Event::Ended(ended)));
        let proxy = Proxy::start(self.program.clone(), instance, self.ending.remove(&address), tell_end);
        let (events, name) = (self.events.clone(), name.clone());
        let tell_ack = move |ack: Option<Ack>| {
            if let Some(ack) = ack {
                drop(events.send(Event::Ack(name.clone(), ack)));
            }
        };
        let follower = tokio::spawn(ack::follow(SocketAddr::new(address, STATUS_PORT), tell_ack));
        (proxy, follower.abort_handle())
    }

    fn remove(&mut self, name: &IngressName) -> anyhow::Result<()> {
        if let Some(ingress) = self.ingresses.remove(name) {
            ingress.follower.abort();
            self.ending.insert(ingress.address, ingress.proxy.stop());
            self.say.gone(name)?;
        }
        Ok(())
    }

    /// A proxy said something.
    pub(super) fn heard(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            Event::Ack(name, ack) => self.acked(&name, ack)?,
            Event::Ended(ended) => {
                self.say.trouble(&ended)?;
                if let Some(ingress) = self.ingresses.get_mut(&ended.ingress) {
                    ingress.failed = true;
                    ingress.acked = None;
                    ingress.since = None;
                }
            }
        }
        self.introduce()
    }

    fn acked(&mut self, name: &IngressName, ack: Ack) -> anyhow::Result<()> {
        // It may have gone in between.
        let Some(ingress) = self.ingresses.get_mut(name) else { return Ok(()) };
        let rejected = ack.rejected.map(|rejected| rejected.problem);
        if rejected.is_some() && rejected != ingress.rejected {
            self.say.rejected(name, rejected.as_deref().unwrap_or_default())?;
        }
        ingress.rejected = rejected;
        let Some(Applied { hash, refused, .. }) = ack.applied else { return Ok(()) };
        if hash != ingress.published || ingress.acked == Some(hash) {
            return Ok(());
        }
        ingress.acked = Some(hash);
        if ingress.introduction.is_none() {
            let after = ingress.since.take().map(|since| since.elapsed());
            self.say.applied(name, &hash, after)?;
        }
        self.say.not_served(name, &refused)?;
        Ok(())
    }

    /// Introduces the ingresses that serve for the first time: at the start all at once, in order.
    fn introduce(&mut self) -> anyhow::Result<()> {
        let settled = |ingress: &Ingress| ingress.acked.is_some() || ingress.failed;
        if self.starting && !self.ingresses.values().all(settled) {
            return Ok(());
        }
        let mut by_address: Vec<_> = self.ingresses.iter_mut().collect();
        by_address.sort_by_key(|(_, ingress)| ingress.address);
        for (name, ingress) in by_address {
            if ingress.acked.is_some()
                && let Some(snapshot) = ingress.introduction.take()
            {
                ingress.since = None;
                let cacert = self.cacert.as_deref();
                self.say.introduce(name, &snapshot, &ingress.published, ingress.address, cacert)?;
            }
        }
        if std::mem::take(&mut self.starting) {
            self.say.watching(&self.roots)?;
        }
        Ok(())
    }

    /// Lets all proxies drain and end.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for ingress in self.ingresses.values() {
            ingress.follower.abort();
        }
        let running = self.ingresses.into_values().map(|ingress| ingress.proxy.stop());
        let all: Vec<_> = running.chain(self.ending.into_values()).collect();
        for proxy in all {
            proxy.await.context("a proxy's task failed")?;
        }
        Ok(())
    }
}

/// The objects that are new, gone or different.
fn differences(before: &BTreeMap<ObjectKey, Hash>, now: &BTreeMap<ObjectKey, Hash>) -> Vec<String> {
    let different = now.iter().filter_map(|(key, content)| match before.get(key) {
        None => Some(format!("{key} (new)")),
        Some(old) if old != content => Some(key.to_string()),
        Some(_) => None,
    });
    let gone = before.keys().filter(|key| !now.contains_key(*key)).map(|key| format!("{key} (gone)"));
    different.chain(gone).collect()
}
