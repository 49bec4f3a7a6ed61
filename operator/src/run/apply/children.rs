//! Applies what runs an ingress.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use postern_api::meta::{Kind, ObjectKey};
use postern_translate::children::{Children, Keep, REPLICAS_MANAGER};
use postern_translate::status::ApplyProblem;
use serde_json::Value;

use super::server_side::{self, Conflict};
use super::{Objects, api_of, is_conflict, is_not_found, is_somebody_elses, left_alone};
use crate::error_chain::Chain;
use crate::run::clients::is_not_leading;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) problems: Vec<ApplyProblem>,
    /// Something failed that may succeed another time.
    pub(super) again: bool,
    /// What was not there before.
    pub(super) created: Vec<ObjectKey>,
}

/// Applies the objects of an ingress. `known` are those that Postern made and are there.
pub(super) async fn apply(client: &Client, children: &Children, known: &Objects) -> Applied {
    let mut applied = Applied::default();
    if children.keep == Keep::Everything {
        return applied;
    }
    let objects = match children.objects() {
        Ok(objects) => objects,
        Err(error) => {
            tracing::error!(%error, "the objects of an ingress cannot be written");
            return applied;
        }
    };
    for object in objects {
        let Some(key) = key_of(&object) else { continue };
        let is_deployment = key.kind == Kind::of::<Deployment>();
        if is_deployment && children.keep == Keep::Deployment && known.contains_key(&key) {
            continue;
        }
        one(client, &key, object, known, &mut applied).await;
        if is_deployment && let Some(replicas) = &children.replicas {
            set_replicas(client, &key, replicas, &mut applied).await;
        }
    }
    for key in children.unwanted() {
        if let Some(uid) = known.get(&key) {
            delete(client, &key, uid, &mut applied).await;
        }
    }
    applied
}

async fn one(client: &Client, key: &ObjectKey, object: Value, known: &Objects, applied: &mut Applied) {
    let Some(api) = api_of(client, key) else { return };
    match is_somebody_elses(client, key, known).await {
        Ok(true) => return applied.problems.push(left_alone(key)),
        Ok(false) => {}
        Err(error) => return applied.failed(key, &error),
    }
    match server_side::apply(&api, &key.name, object).await {
        Ok((_, conflicts)) => {
            applied.problems.extend(conflicts.into_iter().map(|it| conflict(key, it)));
            if !known.contains_key(key) {
                tracing::info!(%key, "created");
                applied.created.push(key.clone());
            }
        }
        Err(error) => applied.failed(key, &error),
    }
}

/// The number of pods has a field manager of its own, see [`REPLICAS_MANAGER`].
async fn set_replicas(client: &Client, key: &ObjectKey, replicas: &Value, applied: &mut Applied) {
    let Some(api) = api_of(client, key) else { return };
    match api.patch(&key.name, &PatchParams::apply(REPLICAS_MANAGER), &Patch::Apply(replicas)).await {
        Ok(_) => {}
        Err(error) => {
            let conflicts = server_side::conflicts_of(&error);
            if conflicts.is_empty() {
                return applied.failed(key, &error);
            }
            applied.problems.extend(conflicts.into_iter().map(|it| conflict(key, it)));
        }
    }
}

/// Deletes the object with this uid. Another one that has come into its place meanwhile is not touched.
pub(super) async fn delete(client: &Client, key: &ObjectKey, uid: &str, applied: &mut Applied) {
    let Some(api) = api_of(client, key) else { return };
    let this = Preconditions { uid: Some(uid.to_owned()), resource_version: None };
    match api.delete(&key.name, &DeleteParams::background().preconditions(this)).await {
        Ok(_) => tracing::info!(%key, "deleted"),
        Err(error) if is_not_found(&error) || is_conflict(&error) => {}
        Err(error) => applied.failed(key, &error),
    }
}

impl Applied {
    pub(super) fn failed(&mut self, key: &ObjectKey, error: &kube::Error) {
        self.again = true;
        // Whoever leads says how it is.
        if is_not_leading(error) {
            return;
        }
        let message = format!("cannot write {key}: {}", Chain(error));
        tracing::warn!(%key, error = %Chain(error), "cannot write");
        self.problems.push(ApplyProblem { object: key.clone(), path: None, owner: None, message });
    }
}

fn conflict(key: &ObjectKey, conflict: Conflict) -> ApplyProblem {
    let Conflict { field, owner } = conflict;
    let path = field.trim_start_matches('.').to_owned();
    let message = format!("{path} of {key} is kept as {owner} set it");
    ApplyProblem { object: key.clone(), path: Some(path), owner: Some(owner), message }
}

fn key_of(object: &Value) -> Option<ObjectKey> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str);
    let kind = match text("/kind")? {
        "Deployment" => Kind::of::<Deployment>(),
        "Service" => Kind::of::<k8s_openapi::api::core::v1::Service>(),
        "ServiceAccount" => Kind::of::<k8s_openapi::api::core::v1::ServiceAccount>(),
        "PodDisruptionBudget" => Kind::of::<k8s_openapi::api::policy::v1::PodDisruptionBudget>(),
        "HorizontalPodAutoscaler" => Kind::of::<k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler>(),
        _ => return None,
    };
    let namespace = text("/metadata/namespace")?.to_owned();
    Some(ObjectKey { kind, namespace, name: text("/metadata/name")?.to_owned() })
}
