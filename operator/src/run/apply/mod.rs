//! Plan → cluster: the objects of ingresses, their snapshots, and the nudge that makes kubelet read them. Decides nothing.

mod children;
mod cleanup;
mod field_path;
mod nudge;
mod publish;
mod server_side;
mod writer;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{ApiResource, DynamicObject};
use kube::{Api, Client, Resource};
use postern_api::meta::ObjectKey;

pub(super) use nudge::NUDGE;
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
fn is_not_found(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}
