//! Writes the objects of Istio of Gateways that Postern does not serve itself, and deletes those that are not meant any
//! more. What is there as it is meant is left alone, so nothing has to be remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use kube::Client;
use kube::api::{Patch, PatchParams};
use postern_api::meta::ObjectKey;
use postern_translate::gateway_api::facts::DataPlane;
use postern_translate::gateway_api::{WrittenObject, first_difference, is_translated, surplus};
use postern_translate::status::{ApplyProblem, TranslatedView};
use postern_translate::{GatewayApiFacts, TranslatedObjects};
use serde_json::{Value, json};

use super::children::{Applied, delete};
use super::{FIELD_MANAGER, api_of, is_conflict, left_alone, resource_of};
use crate::files::kinds::whole;

/// So many objects at the same time.
const WRITES: usize = 16;

/// The objects of Istio that Postern wrote and that are there.
pub(in crate::run) type Known = BTreeMap<ObjectKey, Arc<Value>>;

/// What came of writing them.
#[derive(Debug, Default)]
pub(in crate::run) struct Translated {
    /// By Gateway.
    pub(in crate::run) views: BTreeMap<ObjectKey, TranslatedView>,
    /// What was not there before, by Gateway.
    pub(in crate::run) created: BTreeMap<ObjectKey, Vec<ObjectKey>>,
    /// Something failed that may succeed another time.
    pub(in crate::run) again: bool,
}

/// Writes what differs, then deletes what is too much: a VirtualService that takes the place of another one is there before the
/// other one goes.
pub(in crate::run) async fn write(
    client: &Client,
    wanted: &TranslatedObjects,
    facts: &GatewayApiFacts,
    known: &Known,
) -> Translated {
    let mut translated = Translated::default();
    let gateways = facts.gateways.iter();
    let ours = gateways.filter(|(_, facts)| matches!(facts.data_plane, DataPlane::Istio(_)));
    translated.views.extend(ours.map(|(gateway, _)| (gateway.clone(), TranslatedView::default())));
    let jobs: Vec<_> = wanted
        .objects
        .iter()
        .map(|(key, written)| one(client, key, written, known.get(key).map(AsRef::as_ref)))
        .collect();
    let mut jobs = stream::iter(jobs).buffer_unordered(WRITES);
    while let Some(one) = jobs.next().await {
        translated.add(&one);
    }
    let is_unwanted = |(key, object): &(&ObjectKey, &Arc<Value>)| wanted.is_unwanted(key, &labels(object));
    for (key, object) in known.iter().filter(is_unwanted) {
        let mut applied = Applied::default();
        delete(client, key, text(object, "/metadata/uid"), &mut applied).await;
        translated.again |= applied.again;
    }
    translated
}

impl Translated {
    fn add(&mut self, one: &One<'_>) {
        let One { key, gateways, as_meant, applied } = one;
        self.again |= applied.again;
        for gateway in *gateways {
            let view = self.views.entry(gateway.clone()).or_default();
            view.objects.insert((*key).clone(), *as_meant);
            view.problems.extend(applied.problems.iter().cloned());
            if !applied.created.is_empty() {
                self.created.entry(gateway.clone()).or_default().push((*key).clone());
            }
        }
    }
}

/// What came of one object.
struct One<'a> {
    key: &'a ObjectKey,
    gateways: &'a BTreeSet<ObjectKey>,
    /// It is there as it is meant.
    as_meant: bool,
    applied: Applied,
}

async fn one<'a>(
    client: &Client,
    key: &'a ObjectKey,
    written: &'a WrittenObject,
    known: Option<&Value>,
) -> One<'a> {
    let mut one = One { key, gateways: &written.gateways, as_meant: false, applied: Applied::default() };
    let meant = match serde_json::to_value(&written.object) {
        Ok(meant) => meant,
        Err(error) => {
            tracing::error!(%key, %error, "an object cannot be written as JSON");
            return one;
        }
    };
    if known.is_some_and(|there| first_difference(&meant, there).is_none()) {
        one.as_meant = true;
        return one;
    }
    match apply(client, key, &meant).await {
        Ok(Outcome::SomebodyElses) => one.applied.problems.push(left_alone(key)),
        Ok(Outcome::Applied { there, created }) => {
            match first_difference(&meant, &there) {
                None => one.as_meant = true,
                Some(path) => {
                    let message = format!(
                        "the cluster does not keep {path} as it is meant: {key} is of another version of Istio's API, or somebody changes it"
                    );
                    let path = Some(path.as_str().to_owned());
                    one.applied.problems.push(ApplyProblem {
                        object: key.clone(),
                        path,
                        owner: None,
                        message,
                    });
                }
            }
            if created {
                tracing::info!(%key, "created");
                one.applied.created.push(key.clone());
            }
        }
        // Another object has come into its place meanwhile: the next look tells whose it is.
        Err(error) if is_conflict(&error) => one.applied.again = true,
        Err(error) => one.applied.failed(key, &error),
    }
    one
}

enum Outcome {
    /// Postern did not write what is there.
    SomebodyElses,
    /// It is there now.
    Applied { there: Value, created: bool },
}

/// All of the object's spec is Postern's: by force, as a hand that changed it has to be overruled, and what was added to
/// it is taken away.
async fn apply(client: &Client, key: &ObjectKey, meant: &Value) -> kube::Result<Outcome> {
    let (Some(api), Some(resource)) = (api_of(client, key), resource_of(key)) else {
        return Ok(Outcome::SomebodyElses);
    };
    let before = api.get_metadata_opt(&key.name).await?;
    if before.as_ref().is_some_and(|object| !is_translated(&object.metadata)) {
        return Ok(Outcome::SomebodyElses);
    }
    let created = before.is_none();
    let mut object = meant.clone();
    // Only this one, not another one that has come into its place.
    if let Some(uid) = before.and_then(|object| object.metadata.uid) {
        object["metadata"]["uid"] = json!(uid);
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let applied = api.patch(&key.name, &parameters, &Patch::Apply(&object)).await?;
    let there = whole(applied, &resource);
    let Some(mut patch) = surplus(meant, &there) else { return Ok(Outcome::Applied { there, created }) };
    patch["metadata"] = json!({ "resourceVersion": text(&there, "/metadata/resourceVersion") });
    let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    let patched = api.patch(&key.name, &parameters, &Patch::Merge(&patch)).await?;
    Ok(Outcome::Applied { there: whole(patched, &resource), created })
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    labels.into_iter().flatten().filter_map(text).collect()
}
