//! Whether a JSON value is an object of the kind at all.

use serde_json::Value;

use crate::finding::{FieldPath, SchemaFinding};
use crate::object::ApiObject;

/// Checks `kind` and `apiVersion`. Items of lists have neither; then both are taken as right.
pub(super) fn check<T: ApiObject>(source: &Value) -> Vec<SchemaFinding> {
    let Some(object) = source.as_object() else {
        return vec![SchemaFinding::error(
            FieldPath::default(),
            format!("an object of kind {} is expected", T::KIND),
        )];
    };
    let mut findings = Vec::new();
    if let Some(kind) = object.get("kind")
        && kind != T::KIND
    {
        findings.push(SchemaFinding::error(
            FieldPath::default().field("kind"),
            format!("got {kind}; it must be {:?}", T::KIND),
        ));
    }
    if let Some(version) = object.get("apiVersion") {
        let known = T::VERSIONS.iter().map(|version| format!("{}/{version}", T::GROUP));
        if !known.clone().any(|known| *version == *known) {
            let known: Vec<String> = known.map(|version| format!("{version:?}")).collect();
            findings.push(SchemaFinding::error(
                FieldPath::default().field("apiVersion"),
                format!("got {version}; it must be one of {}", known.join(", ")),
            ));
        }
    }
    findings
}
