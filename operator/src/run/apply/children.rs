//! Applies what runs an ingress.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams};
use postern_api::meta::{Kind, ObjectKey};
use postern_translate::children::{Children, REPLICAS_MANAGER, is_managed};
use serde_json::Value;

use super::server_side::{self, Conflict};
use super::{api_of, is_not_found};
use crate::error_chain::Chain;
use crate::run::state::ApplyProblem;

/// What came of it.
#[derive(Debug, Default)]
pub(super) struct Applied {
    pub(super) problems: Vec<ApplyProblem>,
    /// Something failed that may succeed another time.
    pub(super) again: bool,
}

/// Applies the objects of an ingress. `known` are those that Postern made and are there.
pub(super) async fn apply(client: &Client, children: &Children, known: &BTreeSet<ObjectKey>) -> Applied {
    let mut applied = Applied::default();
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
        if is_deployment && children.keep_deployment && known.contains(&key) {
            continue;
        }
        one(client, &key, object, known, &mut applied).await;
        if is_deployment && let Some(replicas) = &children.replicas {
            set_replicas(client, &key, replicas, &mut applied).await;
        }
    }
    for key in children.unwanted().iter().filter(|key| known.contains(key)) {
        delete(client, key, &mut applied).await;
    }
    applied
}

async fn one(client: &Client, key: &ObjectKey, object: Value, known: &BTreeSet<ObjectKey>, applied: &mut Applied) {
    let Some(api) = api_of(client, key) else { return };
    if !known.contains(key) {
        match api.get_metadata_opt(&key.name).await {
            Ok(Some(other)) if !is_managed(&other.metadata) => {
                let message = format!("{key} is there already, and Postern did not make it: it is left as it is");
                applied.problems.push(ApplyProblem { object: key.clone(), path: None, owner: None, message });
                return;
            }
            Ok(_) => {}
            Err(error) => return applied.failed(key, &error),
        }
    }
    match server_side::apply(&api, &key.name, object).await {
        Ok((_, conflicts)) => applied.problems.extend(conflicts.into_iter().map(|it| conflict(key, it))),
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

pub(super) async fn delete(client: &Client, key: &ObjectKey, applied: &mut Applied) {
    let Some(api) = api_of(client, key) else { return };
    match api.delete(&key.name, &DeleteParams::background()).await {
        Ok(_) => tracing::info!(%key, "deleted"),
        Err(error) if is_not_found(&error) => {}
        Err(error) => applied.failed(key, &error),
    }
}

impl Applied {
    pub(super) fn failed(&mut self, key: &ObjectKey, error: &kube::Error) {
        let message = format!("cannot write {key}: {}", Chain(error));
        tracing::warn!(%key, error = %Chain(error), "cannot write");
        self.problems.push(ApplyProblem { object: key.clone(), path: None, owner: None, message });
        self.again = true;
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
