//! What an ingress consists of in a cluster, as objects for server-side apply.
//!
//! [`plan_children`] gives the Deployment, the Service and what else runs an ingress; [`publication`] the ConfigMaps
//! and Secrets with which its snapshot travels; [`settings`] says which `IngressGateway` speaks for which ingress; and
//! [`elsewhere`] which Gateways another controller serves. All pure, like the rest of this crate.
//!
//! The objects hold only the fields that Postern wants to own. In particular there is no `nodePort` and no
//! `clusterIP`, and `replicas` only when an `IngressGateway` says so ([`Children::replicas`]): what the cluster,
//! `kubectl scale` or an autoscaler set there stays. And nothing of the snapshot is in the pod template, not even the ports: pods are replaced when their
//! image or their arguments change, never for a route or a new server.
//!
//! Who owns them: the labels [`MANAGED_BY`] and [`INGRESS`] say so. There is no owner reference for the ingress of an
//! Istio Gateway, because the Gateways that want it may be in any namespace, and owner references cannot cross. Its
//! `IngressGateway` is in the same namespace, and still no owner: with it only the settings go away, not the
//! ingress. Nor does the Deployment own the rest: one that is deleted by mistake must not take the Service and its
//! address with it. [`IngressSettings::owner`] is for ingresses whose one Gateway is in the same namespace.

mod deployment;
pub mod elsewhere;
mod meta;
mod overlay;
pub mod parameters;
mod pod;
pub mod publication;
mod scaling;
mod service;
pub mod settings;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::meta::ObjectKey;
use serde_json::Value;

use crate::finding::Finding;
use crate::plan::Plan;

pub use meta::{INGRESS, MANAGED_BY, MANAGER, ingress_of, is_managed, selector_of_all, selector_of_one};
pub use pod::PROXY_CONTAINER;
pub use settings::{IngressSettings, Keep};

/// The field manager of `spec.replicas`. It is not that of the rest of the Deployment: a field that its only manager
/// leaves out is reset, so with one manager an ingress would fall to a single pod whenever its `IngressGateway` changes
/// from `replicas` to `autoscaling`, or goes away. A manager that is not heard of again leaves the number as it is,
/// until an autoscaler or `kubectl scale` takes it over.
pub const REPLICAS_MANAGER: &str = "postern-replicas";

/// What is the same for all ingresses of an installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChildDefaults {
    /// The image of the proxy, where the `IngressGateway` does not say another.
    pub image: String,
    /// `imagePullPolicy` of the proxy: `Always`, `IfNotPresent` or `Never`. `None` leaves it to Kubernetes.
    pub image_pull_policy: Option<String>,
}

/// What runs an ingress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Children {
    /// The pods' identity, which has no rights and no token.
    pub service_account: ServiceAccount,
    /// The pods.
    pub deployment: Deployment,
    /// The way to them.
    pub service: Service,
    /// That not all of them are taken down at once.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// `spec.replicas` of the Deployment, if the `IngressGateway` says how many: apply it after the Deployment, as field
    /// manager [`REPLICAS_MANAGER`].
    pub replicas: Option<Value>,
    /// Who chooses the number of pods, if somebody is asked to.
    pub horizontal_pod_autoscaler: Option<HorizontalPodAutoscaler>,
    /// What of it is to stay as it is in the cluster.
    pub keep: Keep,
    /// What of the `IngressGateway`, or of other parameters, is not as they say.
    pub findings: Vec<Finding>,
}

impl Children {
    /// The objects for server-side apply, in an order in which each finds what it needs. [`Self::replicas`] is not
    /// among them.
    ///
    /// # Errors
    /// None that depends on the content.
    pub fn objects(&self) -> Result<Vec<Value>, serde_json::Error> {
        let mut objects = vec![
            serde_json::to_value(&self.service_account)?,
            serde_json::to_value(&self.service)?,
            serde_json::to_value(&self.deployment)?,
            serde_json::to_value(&self.pod_disruption_budget)?,
        ];
        if let Some(autoscaler) = &self.horizontal_pod_autoscaler {
            objects.push(serde_json::to_value(autoscaler)?);
        }
        Ok(objects)
    }

    /// What this ingress could have and is not to have: delete it, if it is there and [`is_managed`].
    #[must_use]
    pub fn unwanted(&self) -> Vec<ObjectKey> {
        if self.horizontal_pod_autoscaler.is_some() {
            return Vec::new();
        }
        let ObjectMeta { namespace, name, .. } = self.deployment.metadata.clone();
        let key = ObjectKey::new::<HorizontalPodAutoscaler>;
        vec![key(namespace.unwrap_or_default(), name.unwrap_or_default())]
    }
}

/// What runs the ingress of a Plan.
#[must_use]
pub fn plan_children(plan: &Plan, settings: &IngressSettings, defaults: &ChildDefaults) -> Children {
    let mut findings = Vec::new();
    let deployment = deployment::deployment(plan, settings, defaults, &mut findings);
    let service = service::service(plan, settings, &mut findings);
    findings.sort();
    let mut children = Children {
        service_account: ServiceAccount {
            metadata: meta::metadata(&plan.ingress, plan.ingress.name.clone(), settings),
            automount_service_account_token: Some(false),
            ..ServiceAccount::default()
        },
        deployment,
        service,
        replicas: scaling::replicas(plan, settings),
        pod_disruption_budget: scaling::pod_disruption_budget(plan, settings),
        horizontal_pod_autoscaler: scaling::horizontal_pod_autoscaler(plan, settings),
        keep: settings.keep,
        findings,
    };
    parameters::apply::apply(&mut children, plan, settings);
    children
}
