//! `spec.podOverlay`: a pod template that is merged over Postern's.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::finding::{FieldPath, SchemaFinding};
use crate::typed::{self, Typed};

/// A pod template, as it was written. The schema lets everything pass; [`Self::read`] says what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodOverlay(Map<String, Value>);

impl PodOverlay {
    /// The template, and what is wrong or noteworthy. Without a template it cannot be used: a value has a wrong type,
    /// or a container has no name. Paths begin with `spec.podOverlay`.
    #[must_use]
    pub fn read(&self) -> (Option<PodTemplateSpec>, Vec<SchemaFinding>) {
        let Typed { value, unknown } = typed::read::<PodTemplateSpec>(Value::Object(self.0.clone()), &root());
        let (template, mut findings) = match value {
            Ok(template) => (Some(template), Vec::new()),
            Err(finding) => (None, vec![finding]),
        };
        findings.extend(unknown.into_iter().map(|path| {
            let message = "a pod template has no such field, or it is known to newer versions of Postern only; it is ignored";
            SchemaFinding::warning(path, message)
        }));
        let template = template.filter(|template| {
            let unnamed = unnamed(template);
            let any = !unnamed.is_empty();
            findings.extend(unnamed);
            !any
        });
        (template, findings)
    }
}

/// Containers and volumes are merged by their names.
fn unnamed(template: &PodTemplateSpec) -> Vec<SchemaFinding> {
    let Some(spec) = &template.spec else { return Vec::new() };
    let lists = [
        ("containers", spec.containers.iter().map(|it| it.name.as_str()).collect::<Vec<_>>()),
        ("initContainers", spec.init_containers.iter().flatten().map(|it| it.name.as_str()).collect()),
        ("volumes", spec.volumes.iter().flatten().map(|it| it.name.as_str()).collect()),
    ];
    let mut findings = Vec::new();
    for (list, names) in lists {
        for (index, _) in names.iter().enumerate().filter(|(_, name)| name.is_empty()) {
            let path = root().field("spec").field(list).index(index).field("name");
            let message =
                "a name is needed, by which it is merged; the proxy's container is called \"proxy\"";
            findings.push(SchemaFinding::error(path, message));
        }
    }
    findings
}

fn root() -> FieldPath {
    FieldPath::spec().field("podOverlay")
}

impl JsonSchema for PodOverlay {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "PodOverlay".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::json;

    use super::*;

    fn read(overlay: Value) -> (Option<PodTemplateSpec>, Vec<String>) {
        let overlay: PodOverlay = serde_json::from_value(overlay).unwrap();
        let (template, findings) = overlay.read();
        (template, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_template_is_read() {
        let (template, findings) = read(json!({
            "metadata": {"annotations": {"a": "b"}},
            "spec": {"containers": [{"name": "proxy", "env": [{"name": "A", "value": "b"}]}]},
        }));
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(template.unwrap().spec.unwrap().containers[0].name, "proxy");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let (template, findings) = read(json!({"spec": {"containers": [{"name": "proxy", "image": 7}]}}));
        assert_eq!(template, None);
        assert!(findings[0].contains("spec.podOverlay.spec.containers[0].image"), "{findings:?}");
        let (template, findings) = read(json!({"spec": {"containers": [{"image": "x"}]}}));
        assert_eq!(template, None);
        assert!(findings[0].contains("spec.podOverlay.spec.containers[0].name"), "{findings:?}");
    }

    #[test]
    fn an_unknown_field_is_a_warning() {
        let (template, findings) =
            read(json!({"spec": {"containers": [{"name": "proxy", "imag": "x"}], "nodeSelecter": {}}}));
        assert!(template.is_some());
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].starts_with("warning: spec.podOverlay.spec.containers[0].imag"), "{findings:?}");
    }
}
