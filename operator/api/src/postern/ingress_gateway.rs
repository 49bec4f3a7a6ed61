//! `IngressGateway`: how the ingress of a selector is to run.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::autoscaling::Autoscaling;
use super::pod_overlay::PodOverlay;
use super::proxy::ProxySettings;
use super::resources::Resources;
use super::schema;
use super::service::ServiceSettings;
use super::status::IngressGatewayStatus;
use crate::object::istio_object;
use crate::value::non_empty;

istio_object! {
    /// How the ingress is to run that serves the Gateways with this selector: its Deployment, its Service and its
    /// proxies. There is an ingress without one too; then everything has its default.
    #[derive(Default)]
    IngressGateway { spec: IngressGatewaySpec, status: IngressGatewayStatus }
    group: "postern.dev",
    plural: "ingressgateways",
    versions: ["v1alpha1"],
    parts: [],
}

/// What the ingress is to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!(has(self.replicas) && has(self.autoscaling))",
    "message": "replicas and autoscaling exclude each other",
}]))]
pub struct IngressGatewaySpec {
    /// The selector of the Istio Gateways whose ingress this is for: the same labels as their `spec.selector`. The
    /// IngressGateway must be in the namespace where that ingress runs (`istio-system`, unless Postern was told
    /// otherwise). If two have the same selector, the older one counts. Leave it out where Gateways of the Gateway API,
    /// or their GatewayClass, name this object in their `parametersRef`: for them it does not matter.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub selector: BTreeMap<String, String>,
    /// The number of pods. Without it, and without `autoscaling`, the number is left to whoever sets it on the
    /// Deployment (`kubectl scale`, a HorizontalPodAutoscaler of your own); at first it is 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<u16>,
    /// Let a HorizontalPodAutoscaler choose the number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autoscaling: Option<Autoscaling>,
    /// The Service in front of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceSettings>,
    /// CPU and memory of each proxy. Default: requests of 50m CPU and 64Mi memory, no limits. What is said for
    /// one resource leaves the default of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The image of the proxy. Default: the one that belongs to the operator.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub image: Option<String>,
    /// A pod template that is merged over the one that Postern makes, as a strategic merge patch: containers,
    /// volumes and ports by their names, maps by their keys. Nothing can be removed with it. The proxy's container is
    /// called `proxy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_overlay: Option<PodOverlay>,
    /// Settings of the proxies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxySettings>,
}
