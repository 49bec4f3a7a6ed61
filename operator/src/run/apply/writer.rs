//! Writes one ingress: what runs it, its snapshot, and the nudge. Remembers what is written, so that only what differs is.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Client;
use postern_api::meta::{Kind, ObjectKey};
use postern_snapshot::codec::Encoded;
use postern_translate::IngressName;
use postern_translate::children::publication::Published;
use postern_translate::children::{Children, IngressSettings, Keep};
use postern_translate::status::ApplyProblem;

use super::children::{self, Applied};
use super::cleanup::clean_up;
use super::publish::{PublishError, publish};
use super::{Objects, is_somebody_elses, left_alone, nudge, told};
use crate::error_chain::Chain;
use crate::run::state::{Pod, Running};

/// What an ingress is to be.
#[derive(Debug)]
pub(in crate::run) struct Wanted {
    pub(in crate::run) children: Children,
    pub(in crate::run) settings: IngressSettings,
    /// Or why it cannot be written.
    pub(in crate::run) encoded: Result<Encoded, String>,
}

/// What there is of an ingress.
#[derive(Debug, Default)]
pub(in crate::run) struct Known {
    pub(in crate::run) objects: Objects,
    pub(in crate::run) volume: (Vec<ConfigMap>, Vec<Secret>),
    pub(in crate::run) running: Running,
}

/// Writes one ingress.
pub(in crate::run) struct Writer {
    client: Client,
    ingress: IngressName,
    /// What was applied last, and nobody touched since.
    children: Option<Children>,
    published: Option<Published>,
    child_problems: Vec<ApplyProblem>,
}

/// What came of writing an ingress.
#[derive(Debug, Default)]
pub(in crate::run) struct Written {
    pub(in crate::run) problems: Vec<ApplyProblem>,
    /// All of the snapshot is in the cluster.
    pub(in crate::run) published: bool,
    /// Something failed that may succeed another time.
    pub(in crate::run) again: bool,
    /// Objects that were not there before.
    pub(in crate::run) created: Vec<ObjectKey>,
}

impl Writer {
    pub(in crate::run) fn new(client: Client, ingress: IngressName) -> Self {
        Self { client, ingress, children: None, published: None, child_problems: Vec::new() }
    }

    /// Somebody changed something of what runs this ingress: look at all of it again.
    pub(in crate::run) fn forget_children(&mut self) {
        self.children = None;
    }

    /// Somebody may have changed the snapshot of this ingress: if so, look at it again.
    pub(in crate::run) fn compare_volume(&mut self, volume: &(Vec<ConfigMap>, Vec<Secret>)) {
        let there = Published::read(&self.ingress, &volume.0, &volume.1);
        self.published.take_if(|published| *published != there);
    }

    /// Does it have to look at the snapshot that is there?
    pub(in crate::run) fn needs_volume(&self) -> bool {
        self.published.is_none()
    }

    /// Writes what differs. The snapshot comes first where an ingress runs already, because somebody waits for it.
    pub(in crate::run) async fn write(&mut self, wanted: &Wanted, known: Known) -> Written {
        let mut written = Written::default();
        if wanted.children.keep == Keep::Everything && !known.objects.contains_key(&self.deployment()) {
            return written;
        }
        self.snapshot(wanted, &known, &mut written).await;
        if self.children.as_ref() != Some(&wanted.children) {
            let Applied { problems, again, created } =
                children::apply(&self.client, &wanted.children, &known.objects).await;
            self.child_problems = problems;
            self.children = (!again).then(|| wanted.children.clone());
            written.again |= again;
            written.created = created;
        }
        written.problems.extend(self.child_problems.iter().cloned());
        written
    }

    /// Takes the ingress away, step by step. Says whether a step failed.
    pub(in crate::run) async fn remove(&mut self, known: &Objects) -> bool {
        self.children = None;
        self.published = None;
        clean_up(&self.client, known).await.again
    }

    async fn snapshot(&mut self, wanted: &Wanted, known: &Known, written: &mut Written) {
        let config_map = self.key(Kind::of::<ConfigMap>(), "snapshot");
        let encoded = match &wanted.encoded {
            Ok(encoded) => encoded,
            Err(message) => {
                written.problems.push(problem(config_map, message.clone()));
                return;
            }
        };
        if self.published.is_none() {
            for key in [&config_map, &self.key(Kind::of::<Secret>(), "keys")] {
                match is_somebody_elses(&self.client, key, &known.objects).await {
                    Ok(false) => {}
                    Ok(true) => return written.problems.push(left_alone(key)),
                    Err(error) => {
                        let message = format!("cannot read {key}: {}", Chain(&error));
                        written.problems.push(problem(key.clone(), message));
                        written.again = true;
                        return;
                    }
                }
            }
        }
        let (config_maps, secrets) = &known.volume;
        let published =
            self.published.get_or_insert_with(|| Published::read(&self.ingress, config_maps, secrets));
        match publish(&self.client, &self.ingress, &wanted.settings, encoded, published).await {
            Ok(_) => written.published = true,
            Err(error) => {
                written.again = matches!(error, PublishError::Write { .. });
                if !error.is_not_leading() {
                    tracing::warn!(ingress = %self.ingress, error = %Chain(&error), "cannot publish a snapshot");
                    written.problems.push(problem(config_map, Chain(&error).to_string()));
                }
                // Nobody knows whether a write that failed was done.
                self.published = None;
                return;
            }
        }
        let hash = encoded.manifest.hash.short();
        let is_told = |pod: &Pod| pod.nudged.as_deref().is_some_and(|value| told(value).0 == hash);
        let late = known.running.pods.iter().filter(|(_, pod)| !pod.terminating && !is_told(pod));
        let pods = late.map(|(name, _)| name.as_str());
        written.again |= !nudge(&self.client, &self.ingress.namespace, pods, &hash).await;
    }

    fn deployment(&self) -> ObjectKey {
        ObjectKey::new::<Deployment>(&self.ingress.namespace, &self.ingress.name)
    }

    fn key(&self, kind: Kind, what: &str) -> ObjectKey {
        ObjectKey {
            kind,
            namespace: self.ingress.namespace.clone(),
            name: format!("{}-{what}", self.ingress.name),
        }
    }
}

fn problem(object: ObjectKey, message: String) -> ApplyProblem {
    ApplyProblem { object, path: None, owner: None, message }
}
