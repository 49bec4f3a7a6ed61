//! Conditions in the JSON of a status, beside those of other writers.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Map, Value, json};

use super::Condition;
use crate::finding::ConditionType;

/// The condition of this type in a status.
#[must_use]
pub fn find(status: &Value, type_: ConditionType) -> Option<&Value> {
    list(status).iter().find(|condition| is_of(condition, type_))
}

/// Whether a condition is True and speaks of this generation.
pub(super) fn holds(condition: &Value, generation: i64) -> bool {
    text(condition, "status") == "True" && integer(condition.get("observedGeneration")) == Some(generation)
}

/// The reason of a condition.
pub(super) fn reason(condition: &Value) -> &str {
    text(condition, "reason")
}

/// The list of conditions with ours in it: in their places, or behind. `absent` are types that must not be there.
pub(super) fn merged(
    status: &Value,
    ours: &[Condition],
    absent: &[ConditionType],
    generation: i64,
    now: &Time,
) -> Vec<Value> {
    let mut left: Vec<&Condition> = ours.iter().collect();
    let mut merged = Vec::new();
    for previous in list(status) {
        if let Some(position) = left.iter().position(|condition| is_of(previous, condition.type_)) {
            merged.push(updated(left.remove(position), previous, generation, now));
        } else if !ours.iter().map(|it| &it.type_).chain(absent).any(|type_| is_of(previous, *type_)) {
            merged.push(previous.clone());
        }
    }
    let absent = Value::Null;
    merged.extend(left.into_iter().map(|condition| updated(condition, &absent, generation, now)));
    merged
}

/// A condition as it is to be written: as it is, if it says the same, and with its time, if its status is the same.
fn updated(condition: &Condition, previous: &Value, generation: i64, now: &Time) -> Value {
    let status = if condition.holds { "True" } else { "False" };
    let same_status = text(previous, "status") == status;
    let since = previous.get("lastTransitionTime").filter(|time| same_status && time.is_string());
    let same = since.is_some()
        && text(previous, "reason") == condition.reason
        && text(previous, "message") == condition.message
        && integer(previous.get("observedGeneration")) == Some(generation);
    if same {
        return previous.clone();
    }
    json!({
        "type": condition.type_.to_string(),
        "status": status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": generation,
        "lastTransitionTime": since.map_or_else(|| Cow::Owned(json!(now)), Cow::Borrowed),
    })
}

/// Puts a field into a patch, if it is another one than in the status. `Null` takes it away.
pub(super) fn put(patch: &mut Map<String, Value>, status: &Value, field: &str, value: Value) {
    let before = status.get(field).unwrap_or(&Value::Null);
    let same = match &value {
        Value::Number(number) => integer(Some(before)).is_some() && integer(Some(before)) == number.as_i64(),
        value => before == value,
    };
    if !same {
        patch.insert(field.to_owned(), value);
    }
}

fn list(status: &Value) -> &[Value] {
    status.get("conditions").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn is_of(condition: &Value, type_: ConditionType) -> bool {
    text(condition, "type") == type_.to_string()
}

fn text<'a>(condition: &'a Value, field: &str) -> &'a str {
    condition.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Protobuf's JSON writes 64-bit integers as text, and Istio's schema allows both.
fn integer(value: Option<&Value>) -> Option<i64> {
    match value? {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}
