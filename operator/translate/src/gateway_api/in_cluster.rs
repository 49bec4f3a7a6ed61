//! Objects of Istio that Postern wrote, as they are in a cluster: which those are, and how they differ from what is meant.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::FieldPath;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::{Kind, ObjectKey};
use serde_json::{Map, Value};

use super::names;
use super::written::TranslatedObjects;
use crate::children::{MANAGED_BY, MANAGER};
use crate::ingress::is_subset;

/// The label of every object of Istio that Postern wrote. Such an object is never an input.
pub const TRANSLATED: &str = "postern.dev/translated";

/// The value of [`TRANSLATED`]: from what.
const GATEWAY_API: &str = "gateway-api";

/// The label with the namespace of the Gateway that an object is of; its name is in
/// `gateway.networking.k8s.io/gateway-name`.
const GATEWAY_NAMESPACE: &str = "postern.dev/gateway-namespace";

/// The kinds of these objects.
pub const WRITTEN_KINDS: [Kind; 4] = [
    Kind::of::<Gateway>(),
    Kind::of::<VirtualService>(),
    Kind::of::<DestinationRule>(),
    Kind::of::<ServiceEntry>(),
];

/// May several Gateways share an object of this kind?
pub(super) fn is_shared(kind: Kind) -> bool {
    [Kind::of::<DestinationRule>(), Kind::of::<ServiceEntry>()].contains(&kind)
}

/// Did Postern write this object of Istio?
#[must_use]
pub fn is_translated(metadata: &ObjectMeta) -> bool {
    let label = |key| metadata.labels.as_ref().and_then(|labels| labels.get(key)).map(String::as_str);
    label(MANAGED_BY) == Some(MANAGER) && label(TRANSLATED).is_some()
}

/// The labels of all of them.
pub(super) fn labels() -> BTreeMap<String, String> {
    [(MANAGED_BY, MANAGER), (TRANSLATED, GATEWAY_API)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The labels of those that are of one Gateway.
pub(super) fn labels_of(gateway: &ObjectKey) -> BTreeMap<String, String> {
    let mut labels = labels();
    labels.insert(names::GATEWAY_NAME.to_owned(), names::label_value(&gateway.name));
    labels.insert(GATEWAY_NAMESPACE.to_owned(), gateway.namespace.clone());
    labels
}

impl TranslatedObjects {
    /// Of what Postern wrote, is this to be deleted? What may be of a Gateway that is held stays.
    #[must_use]
    pub fn is_unwanted(&self, key: &ObjectKey, labels: &BTreeMap<String, String>) -> bool {
        if self.objects.contains_key(key) {
            return false;
        }
        let of = |gateway: &ObjectKey| is_subset(&labels_of(gateway), labels);
        let shared = is_shared(key.kind);
        !self.held.iter().any(|gateway| shared || of(gateway))
    }
}

/// The first field in which an object that is there differs from what is meant. Labels, annotations and owners may be
/// more than Postern's; the spec is Postern's alone.
#[must_use]
pub fn first_difference(meant: &Value, there: &Value) -> Option<FieldPath> {
    let metadata = FieldPath::default().field("metadata");
    for field in ["labels", "annotations"] {
        let (meant, there) = (texts(meant, field), texts(there, field));
        let differs =
            |(name, value): &(&String, &Value)| there.and_then(|there| there.get(*name)) != Some(*value);
        if let Some((name, _)) = meant.into_iter().flatten().find(differs) {
            return Some(metadata.field(field).field(name));
        }
    }
    let owned = owners(there);
    if owners(meant).iter().any(|owner| !owned.contains(owner)) {
        return Some(metadata.field("ownerReferences"));
    }
    difference(spec(meant), spec(there), &FieldPath::spec())
}

/// Labels or annotations.
fn texts<'v>(object: &'v Value, field: &str) -> Option<&'v Map<String, Value>> {
    object.get("metadata")?.get(field)?.as_object()
}

fn spec(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

/// The uids of its owners.
fn owners(object: &Value) -> Vec<&str> {
    let list = object.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|owner| owner.get("uid")?.as_str()).collect()
}

fn difference(meant: &Value, there: &Value, path: &FieldPath) -> Option<FieldPath> {
    match (meant, there) {
        (Value::Object(meant), Value::Object(there)) => {
            let missing = meant.iter().find_map(|(name, value)| {
                difference(value, there.get(name).unwrap_or(&Value::Null), &path.clone().field(name))
            });
            let more = || there.keys().find(|name| !meant.contains_key(*name));
            missing.or_else(|| more().map(|name| path.clone().field(name)))
        }
        (Value::Array(meant), Value::Array(there)) if meant.len() == there.len() => {
            let pairs = meant.iter().zip(there).enumerate();
            pairs.into_iter().find_map(|(index, (a, b))| difference(a, b, &path.clone().index(index)))
        }
        // An API server writes 50.0 as 50.
        (Value::Number(meant), Value::Number(there)) if meant.as_f64() == there.as_f64() => None,
        (meant, there) => (meant != there).then(|| path.clone()),
    }
}

/// What takes away the fields of a spec that are not meant, as a JSON merge patch (RFC 7396). Server-side apply does not:
/// they are somebody else's. Within lists there are none, because an applied list is Postern's as a whole. `None`: there
/// are none.
#[must_use]
pub fn surplus(meant: &Value, there: &Value) -> Option<Value> {
    let patch = without(meant.get("spec")?.as_object()?, there.get("spec")?.as_object()?);
    (!patch.is_empty()).then(|| Value::Object(Map::from_iter([("spec".to_owned(), Value::Object(patch))])))
}

fn without(meant: &Map<String, Value>, there: &Map<String, Value>) -> Map<String, Value> {
    let mut patch = Map::new();
    for (name, value) in there {
        match (meant.get(name), value) {
            (None, _) => {
                patch.insert(name.clone(), Value::Null);
            }
            (Some(Value::Object(meant)), Value::Object(there)) => {
                let inner = without(meant, there);
                if !inner.is_empty() {
                    patch.insert(name.clone(), Value::Object(inner));
                }
            }
            _ => {}
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(spec: &Value) -> Value {
        json!({"metadata": {"labels": {"a": "b"}, "ownerReferences": [{"uid": "1"}]}, "spec": spec})
    }

    fn path(meant: &Value, there: &Value) -> Option<String> {
        first_difference(meant, there).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn what_others_add_beside_the_spec_is_no_difference() {
        let meant = object(&json!({"hosts": ["a"]}));
        let there = json!({
            "metadata": {"labels": {"a": "b", "c": "d"}, "annotations": {"x": "y"}, "uid": "2",
                "ownerReferences": [{"uid": "0"}, {"uid": "1", "kind": "Gateway"}]},
            "spec": {"hosts": ["a"]}, "status": {},
        });
        assert_eq!(path(&meant, &there), None);
        assert_eq!(path(&there, &meant).as_deref(), Some("metadata.labels.c"));
    }

    #[test]
    fn the_first_difference_is_told() {
        let meant = object(&json!({"hosts": ["a"], "http": [{"timeout": "1s"}]}));
        let with = |spec| path(&meant, &object(&spec));
        assert_eq!(with(json!({"hosts": ["b"], "http": []})).as_deref(), Some("spec.hosts[0]"));
        assert_eq!(
            with(json!({"hosts": ["a"], "http": [{"timeout": "2s"}]})).as_deref(),
            Some("spec.http[0].timeout")
        );
        assert_eq!(with(json!({"hosts": ["a"], "http": []})).as_deref(), Some("spec.http"));
        let percent = |value: Value| object(&json!({"http": [{"mirrorPercentage": {"value": value}}]}));
        assert_eq!(path(&percent(json!(50.0)), &percent(json!(50))), None);
        assert!(path(&percent(json!(50.0)), &percent(json!(51))).is_some());
        let more = json!({"hosts": ["a"], "http": [{"timeout": "1s"}], "exportTo": ["."]});
        assert_eq!(with(more).as_deref(), Some("spec.exportTo"));
    }

    #[test]
    fn surplus_fields_are_taken_away() {
        let meant = object(&json!({"selector": {"istio": "x"}, "servers": [{"bind": "a"}]}));
        let there = object(&json!({"selector": {"istio": "y", "app": "z"}, "servers": [], "extra": 1}));
        let patch = json!({"spec": {"selector": {"app": null}, "extra": null}});
        assert_eq!(surplus(&meant, &there), Some(patch));
        assert_eq!(surplus(&meant, &meant), None);
    }
}
