//! `spec.autoscaling`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A HorizontalPodAutoscaler that follows the CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
    "message": "minReplicas must not be more than maxReplicas",
}]))]
pub struct Autoscaling {
    /// The fewest pods. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_replicas: Option<u16>,
    /// The most pods.
    #[schemars(range(min = 1, max = 1000))]
    pub max_replicas: u16,
    /// How much of the CPU that they request the pods are to use on average, in percent. Default 80.
    #[serde(default, rename = "targetCPUUtilizationPercentage", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub target_cpu_utilization_percentage: Option<u16>,
}

impl Autoscaling {
    /// The target; 80 % if it is left out (as in Istio's charts).
    #[must_use]
    pub fn target_cpu_utilization_percentage(&self) -> u16 {
        self.target_cpu_utilization_percentage.unwrap_or(80)
    }
}
