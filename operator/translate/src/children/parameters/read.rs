//! A ConfigMap's text → patches.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use postern_api::finding::{FieldPath, SchemaFinding};
use postern_api::meta::ObjectKey;
use postern_api::typed;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Overlays, Patch, strategic_merge};
use crate::world::key_of;

/// What can be said.
const KEYS: &str = "deployment, service, serviceAccount, horizontalPodAutoscaler and podDisruptionBudget";

impl Overlays {
    /// What a ConfigMap says, and what of it is not known. Paths begin with `data`.
    ///
    /// # Errors
    /// Text that is no YAML, not of the object's type, or cannot be merged. All of it is told.
    pub(crate) fn read(
        map: &ConfigMap,
        referrer: ObjectKey,
        path: FieldPath,
    ) -> Result<(Self, Vec<SchemaFinding>), Vec<SchemaFinding>> {
        let mut overlays = Self {
            source: key_of(map),
            referrer,
            path,
            deployment: None,
            service: None,
            service_account: None,
            horizontal_pod_autoscaler: None,
            pod_disruption_budget: None,
        };
        let (mut errors, mut notes) = (Vec::new(), Vec::new());
        for (key, text) in map.data.iter().flatten() {
            let at = FieldPath::default().field("data").field(key);
            match key.as_str() {
                "deployment" => overlays.deployment = patch::<Deployment>(text, &at, &mut errors),
                "service" => overlays.service = patch::<Service>(text, &at, &mut errors),
                "serviceAccount" => {
                    overlays.service_account = patch::<ServiceAccount>(text, &at, &mut errors);
                }
                "horizontalPodAutoscaler" => {
                    overlays.horizontal_pod_autoscaler =
                        patch::<HorizontalPodAutoscaler>(text, &at, &mut errors);
                }
                "podDisruptionBudget" => {
                    overlays.pod_disruption_budget = patch::<PodDisruptionBudget>(text, &at, &mut errors);
                }
                _ => notes.push(unknown_key(at)),
            }
        }
        let binary = map.binary_data.iter().flatten();
        notes.extend(binary.map(|(key, _)| unknown_key(FieldPath::default().field("binaryData").field(key))));
        if errors.is_empty() { Ok((overlays, notes)) } else { Err(errors) }
    }
}

fn unknown_key(at: FieldPath) -> SchemaFinding {
    SchemaFinding::warning(at, format!("no such key; there are {KEYS}"))
}

fn patch<T: Resource + DeserializeOwned>(
    text: &str,
    at: &FieldPath,
    errors: &mut Vec<SchemaFinding>,
) -> Option<Patch> {
    match patch_of::<T>(text, at) {
        Ok(patch) => Some(patch),
        Err(found) => {
            errors.extend(found);
            None
        }
    }
}

fn patch_of<T: Resource + DeserializeOwned>(text: &str, at: &FieldPath) -> Result<Patch, Vec<SchemaFinding>> {
    let options = serde_saphyr::options! { emit_comments: false, with_snippet: false };
    let value = serde_saphyr::from_str_with_options::<Value>(text, options).map_err(|error| {
        let text = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
        let line = text.lines().next().unwrap_or_default();
        vec![SchemaFinding::error(at.clone(), format!("it is no YAML: {line}"))]
    })?;
    let fields = match value {
        Value::Object(fields) => fields,
        Value::Null => serde_json::Map::new(),
        _ => {
            return Err(vec![SchemaFinding::error(at.clone(), format!("it is not fields of a {}", T::KIND))]);
        }
    };
    let mut errors = Vec::new();
    for (name, right) in [("apiVersion", T::API_VERSION), ("kind", T::KIND)] {
        if let Some(value) = fields.get(name).filter(|value| *value != right) {
            let message = format!("{value} is not {right}; it can be left out");
            errors.push(SchemaFinding::error(at.field(name), message));
        }
    }
    if fields.contains_key("status") {
        errors.push(SchemaFinding::error(at.field("status"), "the status is the cluster's to say"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut whole = fields.clone();
    whole.insert("apiVersion".to_owned(), T::API_VERSION.into());
    whole.insert("kind".to_owned(), T::KIND.into());
    let value = Value::Object(fields);
    strategic_merge::check(&value, at, &mut errors);
    let read = typed::read::<T>(strategic_merge::plain(&Value::Object(whole)), at);
    errors.extend(read.value.err());
    errors.extend(read.unknown.into_iter().map(|path| {
        SchemaFinding::error(path, format!("a {} has no such field, as far as Postern knows", T::KIND))
    }));
    if errors.is_empty() { Ok(Patch(value)) } else { Err(errors) }
}
