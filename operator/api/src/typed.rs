//! JSON as one of Kubernetes' own types, with the places of what is wrong. [`crate::parse`] is for whole objects of
//! other APIs.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::finding::{FieldPath, SchemaFinding};

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Typed<T> {
    /// The value, or the first thing that does not fit the type.
    pub value: Result<T, SchemaFinding>,
    /// Fields that the type does not have, in the order of their names.
    pub unknown: Vec<FieldPath>,
}

/// Reads a value, which stands at `root`.
#[must_use]
pub fn read<T: DeserializeOwned>(source: Value, root: &FieldPath) -> Typed<T> {
    let mut unknown = BTreeSet::new();
    let mut note = |path: serde_ignored::Path<'_>| {
        unknown.insert(path.to_string());
    };
    let deserializer = serde_ignored::Deserializer::new(source, &mut note);
    let value = serde_path_to_error::deserialize::<_, T>(deserializer).map_err(|error| {
        let path = within(root, &error.path().to_string());
        SchemaFinding::error(path, error.into_inner().to_string())
    });
    Typed { value, unknown: unknown.iter().map(|path| within(root, path)).collect() }
}

/// A path as serde writes it, `spec.containers[0].image` or `spec.containers.0.image`, below `root`.
fn within(root: &FieldPath, path: &str) -> FieldPath {
    path.split(['.', '[', ']']).filter(|step| !matches!(*step, "" | "?")).fold(root.clone(), |path, step| {
        step.parse().map_or_else(|_| path.field(step), |index| path.index(index))
    })
}
