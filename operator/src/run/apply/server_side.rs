//! Server-side apply, field by field, without force: a field that somebody else owns stays theirs.
//!
//! An apply with a conflict changes nothing at all. So the fields that others own are left out and the rest is applied
//! again; what was left out is told, with its owner, and becomes a condition.

use kube::{
    Api,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::Value;

use super::field_path::FieldPath;

/// The field manager of everything that Postern writes.
pub(crate) const FIELD_MANAGER: &str = "postern";

/// All conflicts come with one answer; those that appear while it is mended come with the next. More rounds are a quarrel.
const MOST_ROUNDS: usize = 5;

/// A field that somebody else owns, with another value than Postern's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Conflict {
    /// As the API server writes it: `.spec.template.spec.containers[name="proxy"].image`.
    pub(crate) field: String,
    /// As the API server writes it: `conflict with "kubectl-edit" using apps/v1`.
    pub(crate) owner: String,
}

/// Applies an object. Returns it as it is now, and the fields that others own.
pub(crate) async fn apply(
    api: &Api<DynamicObject>,
    name: &str,
    mut object: Value,
) -> kube::Result<(DynamicObject, Vec<Conflict>)> {
    let parameters = PatchParams::apply(FIELD_MANAGER);
    let mut conflicts = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let error = match api.patch(name, &parameters, &Patch::Apply(&object)).await {
            Ok(applied) => return Ok((applied, conflicts)),
            Err(error) => error,
        };
        let found = conflicts_of(&error);
        let left_out = found.iter().filter(|conflict| leave_out(&mut object, &conflict.field)).count();
        if left_out == 0 {
            return Err(error);
        }
        conflicts.extend(found);
    }
    let applied = api.patch(name, &parameters, &Patch::Apply(&object)).await?;
    Ok((applied, conflicts))
}

pub(super) fn conflicts_of(error: &kube::Error) -> Vec<Conflict> {
    let kube::Error::Api(status) = error else { return vec![] };
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| Conflict { field: cause.field.clone(), owner: cause.message.clone() })
        .collect()
}

fn leave_out(object: &mut Value, field: &str) -> bool {
    FieldPath::parse(field).is_some_and(|path| path.remove_from(object))
}
