//! Takes an ingress away that nobody wants any more: first the pods, which let their connections end; and when they are
//! gone, the rest. So the Service has its address as long as somebody is connected.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use postern_api::meta::{Kind, ObjectKey};

use super::Objects;
use super::children::{Applied, delete};

/// The next step. `known` is what there is of the ingress.
pub(super) async fn clean_up(client: &Client, known: &Objects) -> Applied {
    let mut applied = Applied::default();
    let first = [Kind::of::<HorizontalPodAutoscaler>(), Kind::of::<Deployment>()];
    let pods = known.keys().any(|key| key.kind == Kind::of::<Pod>());
    let begun = !known.keys().any(|key| first.contains(&key.kind));
    let now = |key: &ObjectKey| {
        if key.kind == Kind::of::<Pod>() {
            return false;
        }
        first.contains(&key.kind) || (begun && !pods)
    };
    for (key, uid) in known.iter().filter(|(key, _)| now(key)) {
        delete(client, key, uid, &mut applied).await;
    }
    applied
}
