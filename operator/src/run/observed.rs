//! What runs of an ingress, from its objects.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};

use serde_json::Value;

use super::apply::NUDGE;
use super::state::{self, Running};

pub(super) fn pod(running: &mut Running, pod: Option<Pod>) {
    let Some(pod) = pod else { return };
    let status = pod.status.unwrap_or_default();
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return;
    }
    let ready = status.conditions.iter().flatten().any(|it| it.type_ == "Ready" && it.status == "True");
    let metadata = pod.metadata;
    running.pods.insert(
        metadata.name.unwrap_or_default(),
        state::Pod {
            ip: status.pod_ip.and_then(|ip| ip.parse().ok()),
            ready,
            terminating: metadata.deletion_timestamp.is_some(),
            uid: metadata.uid.unwrap_or_default(),
            nudged: metadata.annotations.and_then(|annotations| annotations.get(NUDGE).cloned()),
        },
    );
}

/// The addresses in the status of a Service.
pub(super) fn load_balancer(status: &Value) -> Vec<String> {
    let ingress = status.pointer("/loadBalancer/ingress").and_then(Value::as_array);
    let text = |entry: &Value| {
        let address = entry.get("ip").or_else(|| entry.get("hostname"))?;
        address.as_str().map(str::to_owned)
    };
    ingress.into_iter().flatten().filter_map(text).collect()
}

pub(super) fn service(running: &mut Running, service: Option<Service>) {
    let Some(service) = service else { return };
    let balancer = service.status.and_then(|status| status.load_balancer).and_then(|it| it.ingress);
    let given: Vec<_> = balancer.into_iter().flatten().filter_map(|it| it.ip.or(it.hostname)).collect();
    let spec = service.spec.unwrap_or_default();
    running.addresses = if given.is_empty() && spec.type_.as_deref() != Some("LoadBalancer") {
        spec.cluster_ips.unwrap_or_default().into_iter().filter(|ip| ip != "None").collect()
    } else {
        given
    };
}

pub(super) fn deployment(running: &mut Running, deployment: Option<Deployment>) {
    running.wanted = deployment.and_then(|it| it.spec).map_or(0, |spec| spec.replicas.unwrap_or(1));
}
