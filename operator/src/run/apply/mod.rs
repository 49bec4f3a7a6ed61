//! Plan → cluster: the objects of ingresses, their snapshots, and the nudge that makes kubelet read them; and the objects of
//! Istio that Gateways mean. Decides nothing.

mod children;
mod cleanup;
mod field_path;
mod nudge;
mod publish;
mod server_side;
mod translated;
mod writer;

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::ObjectKey;
use postern_translate::children::is_managed;
use postern_translate::status::ApplyProblem;

/// Objects that are there, with their uids.
pub(super) type Objects = BTreeMap<ObjectKey, String>;

pub(super) use nudge::{NUDGE, nudge, told};
pub(super) use server_side::FIELD_MANAGER;
pub(super) use translated::{Known as KnownTranslated, Translated, write as write_translated};
pub(super) use writer::{Known, Wanted, Writer, Written};

/// Where an object of a kind that is written is.
fn api_of(client: &Client, key: &ObjectKey) -> Option<Api<DynamicObject>> {
    Some(Api::namespaced_with(client.clone(), &key.namespace, &resource_of(key)?))
}

/// A kind that is written: one that ingresses consist of, or one of Istio's.
fn resource_of(key: &ObjectKey) -> Option<ApiResource> {
    fn of<T: Resource<DynamicType = ()>>() -> ApiResource {
        ApiResource::erase::<T>(&())
    }
    Some(match key.kind.name {
        "Deployment" => of::<Deployment>(),
        "Service" => of::<Service>(),
        "ServiceAccount" => of::<ServiceAccount>(),
        "PodDisruptionBudget" => of::<PodDisruptionBudget>(),
        "HorizontalPodAutoscaler" => of::<HorizontalPodAutoscaler>(),
        "ConfigMap" => of::<ConfigMap>(),
        "Secret" => of::<Secret>(),
        "Pod" => of::<Pod>(),
        "Gateway" => of::<Gateway>(),
        "VirtualService" => of::<VirtualService>(),
        "DestinationRule" => of::<DestinationRule>(),
        "ServiceEntry" => of::<ServiceEntry>(),
        _ => return None,
    })
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
