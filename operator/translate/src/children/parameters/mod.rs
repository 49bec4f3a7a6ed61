//! What the `parametersRef`s of a Gateway of the Gateway API and of its class say about its ingress.
//!
//! As Istio has it: a ConfigMap whose keys are strategic merge patches over the generated objects, the class's before the
//! Gateway's ([`read`], [`strategic_merge`], [`apply`]). Or an `IngressGateway`, whose settings count then; the
//! Gateway's own goes before that of its class.

pub(super) mod apply;
mod read;
mod strategic_merge;

use std::sync::Arc;

use postern_api::finding::FieldPath;
use postern_api::meta::ObjectKey;
use postern_api::postern::ingress_gateway::IngressGateway;
use serde_json::Value;

/// Everything that is said about one ingress.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressParameters {
    /// The settings; default ones if there is none.
    pub ingress_gateway: Option<Arc<IngressGateway>>,
    /// What is merged over the objects, in this order.
    pub overlays: Vec<Overlays>,
}

/// What one ConfigMap says.
#[derive(Clone, Debug, PartialEq)]
pub struct Overlays {
    /// The ConfigMap.
    pub source: ObjectKey,
    /// Who refers to it, and is told what is wrong.
    pub referrer: ObjectKey,
    /// With which field.
    pub path: FieldPath,
    deployment: Option<Patch>,
    service: Option<Patch>,
    service_account: Option<Patch>,
    horizontal_pod_autoscaler: Option<Patch>,
    pod_disruption_budget: Option<Patch>,
}

/// A strategic merge patch whose fields are those of its object's type.
#[derive(Clone, Debug, PartialEq)]
struct Patch(Value);
