//! Kubernetes' strategic merge patch, for what an ingress consists of.
//!
//! Maps are merged, `null` removes a field, lists of named things are merged by their key, and other lists are replaced.
//! `$patch: replace` and `$patch: delete` say otherwise of a map, or of an element of a list.
//! <https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md>

use postern_api::finding::{FieldPath, SchemaFinding};
use serde_json::{Map, Value};

/// What is to be done otherwise than to merge.
const DIRECTIVE: &str = "$patch";

/// Merges a patch that [`check`] has nothing against.
pub(super) fn merge(target: &mut Value, patch: &Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => merge_fields(target, patch),
        (target, patch) => *target = plain(patch),
    }
}

fn merge_fields(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    match directive(patch) {
        Some("replace") => return *target = plain_fields(patch),
        Some("delete") => return target.clear(),
        _ => {}
    }
    for (name, new) in patch.iter().filter(|(name, _)| *name != DIRECTIVE) {
        match (target.get_mut(name), new) {
            (_, Value::Null) => {
                target.remove(name);
            }
            (Some(Value::Object(old)), Value::Object(new)) => merge_fields(old, new),
            (Some(Value::Array(old)), Value::Array(new)) => match merge_key(name, new) {
                Some(key) => merge_list(old, new, key),
                None => *old = plain_elements(new),
            },
            _ => {
                target.insert(name.clone(), plain(new));
            }
        }
    }
}

fn merge_list(old: &mut Vec<Value>, new: &[Value], key: &str) {
    if new.iter().any(is_replacement) {
        return *old = plain_elements(new);
    }
    for element in new.iter().filter_map(Value::as_object) {
        let place = old.iter().position(|it| it.as_object().is_some_and(|it| is_same(it, element, key)));
        match (place, directive(element)) {
            (Some(place), Some("delete")) => {
                old.remove(place);
            }
            (None, Some("delete")) => {}
            (Some(place), _) => {
                if let Some(Value::Object(it)) = old.get_mut(place) {
                    merge_fields(it, element);
                }
            }
            (None, _) => old.push(Value::Object(plain_fields(element))),
        }
    }
}

/// Do two elements have the same key? Ports of different protocols are different ports.
fn is_same(a: &Map<String, Value>, b: &Map<String, Value>, key: &str) -> bool {
    let protocols = || [a, b].map(|it| it.get("protocol").and_then(Value::as_str).unwrap_or("TCP"));
    let is_port = matches!(key, "containerPort" | "port");
    a.get(key) == b.get(key) && (!is_port || protocols()[0] == protocols()[1])
}

/// By what the elements of a list are told apart (`patchMergeKey` in Kubernetes' types). `None`: the list is one value.
fn merge_key(list: &str, elements: &[Value]) -> Option<&'static str> {
    Some(match list {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "volumes"
        | "env"
        | "imagePullSecrets"
        | "secrets"
        | "resourceClaims"
        | "claims"
        | "schedulingGates" => "name",
        "volumeMounts" => "mountPath",
        "volumeDevices" => "devicePath",
        "hostAliases" => "ip",
        "topologySpreadConstraints" => "topologyKey",
        "ports" if elements.iter().any(|it| it.get("containerPort").is_some()) => "containerPort",
        "ports" => "port",
        _ => return None,
    })
}

fn directive(fields: &Map<String, Value>) -> Option<&str> {
    fields.get(DIRECTIVE).and_then(Value::as_str)
}

/// An element that stands for its list: the rest of the list is all of it.
fn is_replacement(element: &Value) -> bool {
    element.as_object().is_some_and(|it| it.len() == 1 && directive(it) == Some("replace"))
}

/// A value without what only a patch says.
pub(super) fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(plain_fields(fields)),
        Value::Array(elements) => Value::Array(plain_elements(elements)),
        other => other.clone(),
    }
}

fn plain_fields(fields: &Map<String, Value>) -> Map<String, Value> {
    let kept = fields.iter().filter(|(name, value)| *name != DIRECTIVE && !value.is_null());
    kept.map(|(name, value)| (name.clone(), plain(value))).collect()
}

fn plain_elements(elements: &[Value]) -> Vec<Value> {
    let is_deleted = |it: &Value| it.as_object().is_some_and(|it| directive(it) == Some("delete"));
    elements.iter().filter(|it| !is_deleted(it) && !is_replacement(it)).map(plain).collect()
}

/// What cannot be merged.
pub(super) fn check(patch: &Value, at: &FieldPath, findings: &mut Vec<SchemaFinding>) {
    match patch {
        Value::Object(fields) => {
            for (name, value) in fields {
                let at = at.field(name);
                if name == DIRECTIVE && matches!(value.as_str(), Some("merge" | "replace" | "delete")) {
                    continue;
                }
                if name.starts_with('$') {
                    let message = "of the directives of strategic merge patches Postern knows $patch with merge, replace or delete";
                    findings.push(SchemaFinding::error(at.clone(), message));
                }
                if let Value::Array(elements) = value {
                    check_keys(name, elements, &at, findings);
                }
                check(value, &at, findings);
            }
        }
        Value::Array(elements) => {
            elements.iter().enumerate().for_each(|(index, it)| check(it, &at.index(index), findings));
        }
        _ => {}
    }
}

fn check_keys(list: &str, elements: &[Value], at: &FieldPath, findings: &mut Vec<SchemaFinding>) {
    let Some(key) = merge_key(list, elements) else { return };
    for (index, element) in elements.iter().enumerate() {
        if element.get(key).is_none_or(Value::is_null) && !is_replacement(element) {
            let message = "it is needed: elements of this list are merged by it";
            findings.push(SchemaFinding::error(at.index(index).field(key), message));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(mut target: Value, patch: &Value) -> Value {
        merge(&mut target, patch);
        target
    }

    #[test]
    fn maps_are_merged_and_null_removes() {
        let target = json!({"a": {"b": 1, "c": 2}, "d": 3});
        assert_eq!(
            merged(target, &json!({"a": {"c": null, "e": {"f": null}}, "d": [1]})),
            json!({"a": {"b": 1, "e": {}}, "d": [1]})
        );
    }

    #[test]
    fn lists_of_named_things_are_merged_by_name() {
        let target = json!({"containers": [{"name": "proxy", "image": "a", "args": ["x"]}], "tolerations": [{"key": "a"}]});
        let patch = json!({"containers": [{"name": "log", "image": "b"}, {"name": "proxy", "image": "c", "args": ["y"]}],
            "tolerations": [{"key": "b"}]});
        let expected = json!({"containers": [{"name": "proxy", "image": "c", "args": ["y"]}, {"name": "log", "image": "b"}],
            "tolerations": [{"key": "b"}]});
        assert_eq!(merged(target, &patch), expected);
    }

    #[test]
    fn ports_of_another_protocol_are_others() {
        let target = json!({"ports": [{"port": 443, "protocol": "TCP", "name": "https"}]});
        let patch = json!({"ports": [{"port": 443, "nodePort": 30443}, {"port": 443, "protocol": "UDP"}]});
        let expected = json!({"ports": [{"port": 443, "protocol": "TCP", "name": "https", "nodePort": 30443},
            {"port": 443, "protocol": "UDP"}]});
        assert_eq!(merged(target, &patch), expected);
    }

    #[test]
    fn directives_replace_and_delete() {
        let target = || json!({"env": [{"name": "A"}, {"name": "B"}], "resources": {"limits": {"cpu": 1}}});
        assert_eq!(
            merged(target(), &json!({"env": [{"name": "A", "$patch": "delete"}]}))["env"],
            json!([{"name": "B"}])
        );
        assert_eq!(
            merged(target(), &json!({"env": [{"$patch": "replace"}, {"name": "C"}]}))["env"],
            json!([{"name": "C"}])
        );
        assert_eq!(
            merged(target(), &json!({"resources": {"$patch": "replace", "requests": {"cpu": 2}}}))["resources"],
            json!({"requests": {"cpu": 2}})
        );
        assert_eq!(merged(target(), &json!({"resources": {"$patch": "delete"}}))["resources"], json!({}));
    }

    #[test]
    fn what_cannot_be_merged_is_told() {
        let patch =
            json!({"volumes": [{"emptyDir": {}}, {"name": "a", "$retainKeys": ["name"]}], "$patch": "no"});
        let mut findings = Vec::new();
        check(&patch, &FieldPath::spec(), &mut findings);
        let paths: Vec<_> = findings.iter().map(|it| it.path.as_str()).collect();
        assert_eq!(paths, [r#"spec["$patch"]"#, "spec.volumes[0].name", r#"spec.volumes[1]["$retainKeys"]"#]);
    }
}
