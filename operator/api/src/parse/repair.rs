//! Reading an object again and again, each time without the value that was wrong, to find everything
//! that is wrong.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::path::{SourcePath, Step};
use crate::value::NONE_WAS_GOT;

/// An object with more errors than this is not read to its end: who has so many has one cause.
const MAX_ERRORS: usize = 100;

/// What was found in an object.
pub(super) struct Repaired<T> {
    /// The object, if there was no error.
    pub(super) object: Option<T>,
    /// Where, and what, in the order in which it was found.
    pub(super) errors: Vec<(SourcePath, String)>,
    /// Fields that the type does not have.
    pub(super) unknown: BTreeSet<SourcePath>,
}

/// Finds everything that is wrong in an object.
pub(super) fn collect<T: DeserializeOwned>(source: &Value) -> Repaired<T> {
    let mut source = Cow::Borrowed(source);
    let mut errors = Vec::new();
    let mut unknown = BTreeSet::new();
    let mut removals = Removals::default();
    // Each round removes a value or ends the loop; the bound keeps hostile input from costing much.
    for _ in 0..10 * MAX_ERRORS {
        let (path, message) = match read::<T>(&source, &removals, &mut unknown) {
            Ok(object) => {
                let object = errors.is_empty().then_some(object);
                return Repaired { object, errors, unknown };
            }
            Err(error) => error,
        };
        let in_source = removals.in_source(&path);
        if !removals.caused(&in_source, &message) {
            errors.push((in_source, message));
        }
        if errors.len() >= MAX_ERRORS {
            let message = format!("there are more than {MAX_ERRORS} errors; the rest is not shown");
            errors.push((SourcePath::default(), message));
            break;
        }
        if !removals.remove(source.to_mut(), &path) {
            break;
        }
    }
    Repaired { object: None, errors, unknown }
}

/// Reads once. An error comes with its place in the value as it is now.
fn read<T: DeserializeOwned>(
    source: &Value,
    removals: &Removals,
    unknown: &mut BTreeSet<SourcePath>,
) -> Result<T, (SourcePath, String)> {
    let mut note = |path: serde_ignored::Path<'_>| {
        let path = SourcePath::from(&path);
        // A status may hold what another version of Istio wrote, as its schema says.
        let expected = path.is_within_field("status")
            || matches!(path.0.as_slice(), [Step::Field(name)] if name == "kind" || name == "apiVersion");
        if !expected {
            unknown.insert(removals.in_source(&path));
        }
    };
    // To follow the place costs as much as reading; nearly all objects have no error.
    if let Ok(object) = T::deserialize(serde_ignored::Deserializer::new(source, &mut note)) {
        return Ok(object);
    }
    serde_path_to_error::deserialize(source).map_err(|error| {
        let path = SourcePath::from(error.path());
        (path, message_for_people(&error.inner().to_string()))
    })
}

/// serde names the types of Rust; people want ranges.
fn message_for_people(message: &str) -> String {
    let Some((got, expected)) = message.rsplit_once(", expected ") else {
        return match message.strip_prefix("missing field `") {
            Some(field) => format!("the required field {:?} is missing", field.trim_end_matches('`')),
            None => message.to_owned(),
        };
    };
    let expected = match expected {
        "u16" => "an integer from 0 to 65535",
        "u32" => "an integer from 0 to 4294967295",
        "i32" => "an integer from -2147483648 to 2147483647",
        "u64" => "an integer of 0 or more",
        "i64" => "an integer",
        "f64" => "a number",
        // An enum with names only.
        "string or map" => "a string",
        "a sequence" => "a list",
        "a map" => "an object",
        other if other.starts_with("struct ") => "an object",
        other => other,
    };
    format!("{got}, expected {expected}")
}

/// What was taken out so far, to find places in the source again.
#[derive(Default)]
struct Removals {
    /// By their places in the source.
    paths: BTreeSet<SourcePath>,
}

impl Removals {
    /// Takes a value out; `false` if it is the whole.
    fn remove(&mut self, source: &mut Value, path: &SourcePath) -> bool {
        let Some((last, parents)) = path.0.split_last() else {
            return false;
        };
        let in_source = self.in_source(path);
        let parent = parents.iter().try_fold(source, |value, step| match step {
            Step::Field(name) => value.get_mut(name),
            Step::Index(index) => value.get_mut(index),
        });
        let removed = match (parent, last) {
            (Some(Value::Object(fields)), Step::Field(name)) => fields.remove(name).is_some(),
            (Some(Value::Array(elements)), Step::Index(index)) if *index < elements.len() => {
                elements.remove(*index);
                true
            }
            _ => false,
        };
        removed && self.paths.insert(in_source)
    }

    /// The place in the source of a place in the value as it is now: elements that were removed before
    /// it in the same list count again.
    fn in_source(&self, path: &SourcePath) -> SourcePath {
        let mut found = SourcePath::default();
        for step in &path.0 {
            let step = match step {
                Step::Field(_) => step.clone(),
                Step::Index(index) => Step::Index(self.index_in_source(&found, *index)),
            };
            found.0.push(step);
        }
        found
    }

    fn index_in_source(&self, list: &SourcePath, index: usize) -> usize {
        // Ascending, as the set is.
        let removed = self.paths.iter().filter_map(|path| {
            let (last, parents) = path.0.split_last()?;
            match last {
                Step::Index(removed) if parents == list.0 => Some(*removed),
                _ => None,
            }
        });
        removed.fold(index, |index, removed| if removed <= index { index + 1 } else { index })
    }

    /// Whether this error is only that something is missing which was removed for its own error: a required
    /// field, or the one that is set of several.
    fn caused(&self, path: &SourcePath, message: &str) -> bool {
        if message.ends_with(NONE_WAS_GOT) {
            return self.paths.iter().any(|removed| removed.is_child_of(path));
        }
        message
            .strip_prefix("the required field \"")
            .and_then(|rest| rest.strip_suffix("\" is missing"))
            .is_some_and(|field| self.paths.contains(&path.child(field)))
    }
}
