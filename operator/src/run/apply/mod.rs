//! Plan → cluster: the objects of ingresses, their snapshots, and the nudge that makes kubelet read them. Decides nothing.

mod children;
mod cleanup;
mod field_path;
mod nudge;
mod publish;
mod server_side;
mod writer;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use postern_api::meta::ObjectKey;
use postern_translate::children::is_managed;
use postern_translate::status::ApplyProblem;

/// Objects that are there, with their uids.
pub(super) type Objects = BTreeMap<ObjectKey, String>;

pub(super) use nudge::{NUDGE, nudge, told};
pub(super) use server_side::FIELD_MANAGER;
pub(super) use writer::{Known, Wanted, Writer, Written};

/// Where an object of a kind that ingresses consist of is.
fn api_of(client: &Client, key: &ObjectKey) -> Option<Api<DynamicObject>> {
    fn of<T: Resource<DynamicType = ()>>() -> ApiResource {
        ApiResource::erase::<T>(&())
    }
    let resource = match key.kind.name {
        "Deployment" => of::<Deployment>(),
        "Service" => of::<Service>(),
        "ServiceAccount" => of::<ServiceAccount>(),
        "PodDisruptionBudget" => of::<PodDisruptionBudget>(),
        "HorizontalPodAutoscaler" => of::<HorizontalPodAutoscaler>(),
        "ConfigMap" => of::<ConfigMap>(),
        "Secret" => of::<Secret>(),
        "Pod" => of::<Pod>(),
        _ => return None,
    };
    Some(Api::namespaced_with(client.clone(), &key.namespace, &resource))
}

/// Did the API server say that there is no such thing?
pub(super) fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// Did the API server say that it is another object, or another version?
pub(super) fn is_conflict(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409)
}

/// Is there an object of this name that Postern did not make?
async fn is_somebody_elses(client: &Client, key: &ObjectKey, known: &Objects) -> kube::Result<bool> {
    if known.contains_key(key) {
        return Ok(false);
    }
    let Some(api) = api_of(client, key) else { return Ok(false) };
    Ok(api.get_metadata_opt(&key.name).await?.is_some_and(|object| !is_managed(&object.metadata)))
}

/// What to say about it.
fn left_alone(key: &ObjectKey) -> ApplyProblem {
    let message = format!("{key} is there already, and Postern did not make it: it is left as it is");
    ApplyProblem { object: key.clone(), path: None, owner: None, message }
}
