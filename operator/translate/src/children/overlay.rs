//! The pod overlay of an `IngressGateway`: a strategic merge over the pod template.
//!
//! Lists of named things (containers, volumes, ports, environment) are merged by name, maps by key, other lists are
//! replaced. Whole values are replaced too: a probe's `httpGet` needs its `port` again.

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use postern_api::finding::{FieldPath, Level};

use super::settings::IngressSettings;
use crate::finding::{ConditionType, Finding, Reason};

/// Merges. Labels that the template has stay as they are: Gateways, the Service and the Deployment find the pods by
/// them.
pub(super) fn apply(
    template: &mut PodTemplateSpec,
    mut patch: PodTemplateSpec,
    settings: &IngressSettings,
) -> Vec<Finding> {
    let own = template.metadata.as_ref().and_then(|metadata| metadata.labels.clone()).unwrap_or_default();
    let mut findings = Vec::new();
    if let Some(labels) = patch.metadata.as_mut().and_then(|metadata| metadata.labels.as_mut()) {
        labels.retain(|key, value| {
            let Some(kept) = own.get(key).filter(|kept| *kept != value) else { return true };
            findings.extend(kept_label(key, kept, settings));
            false
        });
    }
    template.merge_from(patch);
    findings
}

fn kept_label(key: &str, kept: &str, settings: &IngressSettings) -> Option<Finding> {
    let path = FieldPath::spec().field("podOverlay").field("metadata").field("labels").field(key);
    Some(Finding {
        object: settings.object.clone()?,
        path,
        level: Level::Warning,
        condition: ConditionType::Accepted,
        reason: Reason::Ineffective,
        message: format!("the pods of the ingress are found by this label: it stays {kept:?}"),
        code: None,
    })
}
