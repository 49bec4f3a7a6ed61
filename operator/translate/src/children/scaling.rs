//! How many pods there are: `replicas`, PodDisruptionBudget and HorizontalPodAutoscaler.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec,
    MetricTarget, ResourceMetricSource,
};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use super::meta;
use super::settings::IngressSettings;
use crate::plan::Plan;

/// The number of pods, as an object for server-side apply. Where an autoscaler chooses, the number is its own.
pub(super) fn replicas(plan: &Plan, settings: &IngressSettings) -> Option<Value> {
    let replicas = settings.spec.replicas.filter(|_| settings.spec.autoscaling.is_none())?;
    Some(replicas_object(plan, replicas.into()))
}

pub(super) fn replicas_object(plan: &Plan, replicas: i32) -> Value {
    json!({
        "apiVersion": Deployment::API_VERSION,
        "kind": Deployment::KIND,
        "metadata": {"namespace": plan.ingress.namespace, "name": plan.ingress.name},
        "spec": {"replicas": replicas},
    })
}

/// A node that is drained takes one pod at a time.
pub(super) fn pod_disruption_budget(plan: &Plan, settings: &IngressSettings) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta::metadata(&plan.ingress, plan.ingress.name.clone(), settings),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(meta::stable_selector(&plan.ingress)),
            // A pod that serves nothing holds no node up.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}

/// `None` when no autoscaling is asked for.
pub(super) fn horizontal_pod_autoscaler(
    plan: &Plan,
    settings: &IngressSettings,
) -> Option<HorizontalPodAutoscaler> {
    let autoscaling = settings.spec.autoscaling.as_ref()?;
    let bare = bare_autoscaler(plan, settings);
    Some(HorizontalPodAutoscaler {
        spec: Some(HorizontalPodAutoscalerSpec {
            min_replicas: autoscaling.min_replicas.map(i32::from),
            max_replicas: autoscaling.max_replicas.into(),
            metrics: Some(vec![MetricSpec {
                type_: "Resource".to_owned(),
                resource: Some(ResourceMetricSource {
                    name: "cpu".to_owned(),
                    target: MetricTarget {
                        type_: "Utilization".to_owned(),
                        average_utilization: Some(autoscaling.target_cpu_utilization_percentage().into()),
                        ..MetricTarget::default()
                    },
                }),
                ..MetricSpec::default()
            }]),
            ..bare.spec.unwrap_or_default()
        }),
        ..bare
    })
}

/// One that asks for nothing: what a ConfigMap says is merged over it (Istio).
pub(super) fn bare_autoscaler(plan: &Plan, settings: &IngressSettings) -> HorizontalPodAutoscaler {
    HorizontalPodAutoscaler {
        metadata: meta::metadata(&plan.ingress, plan.ingress.name.clone(), settings),
        spec: Some(HorizontalPodAutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: Some("apps/v1".to_owned()),
                kind: "Deployment".to_owned(),
                name: plan.ingress.name.clone(),
            },
            max_replicas: 1,
            ..HorizontalPodAutoscalerSpec::default()
        }),
        status: None,
    }
}
