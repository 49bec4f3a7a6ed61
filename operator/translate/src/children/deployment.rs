//! The Deployment.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::settings::IngressSettings;
use super::{ChildDefaults, meta, overlay, pod};
use crate::finding::Finding;
use crate::plan::Plan;

pub(super) fn deployment(
    plan: &Plan,
    settings: &IngressSettings,
    defaults: &ChildDefaults,
    findings: &mut Vec<Finding>,
) -> Deployment {
    let mut template = pod::template(plan, settings, defaults);
    if let Some(patch) = &settings.pod_overlay {
        findings.extend(overlay::apply(&mut template, patch.clone(), settings));
    }
    Deployment {
        metadata: meta::metadata(&plan.ingress, plan.ingress.name.clone(), settings),
        spec: Some(DeploymentSpec {
            // Never here: see `Children::replicas`.
            replicas: None,
            selector: meta::stable_selector(&plan.ingress),
            // A new pod serves before an old one goes, also when there is only one.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_unavailable: Some(IntOrString::Int(0)),
                    max_surge: Some(IntOrString::Int(1)),
                }),
            }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
