//! From JSON to typed objects, with everything that is wrong on the way.
//!
//! serde stops at the first invalid value. So [`parse`] reads an object again and again: what the error
//! names is noted and taken out of the JSON, until the rest can be read. What was found this way is
//! reported with the places of the original; the object that is given back is then read once more from
//! the original, without those parts (a server, a route) in which an error lies. So no half of a rule
//! is ever served: a match that cannot be read must not turn into a rule that matches more.

mod path;
mod repair;
mod type_meta;

use serde_json::Value;

use crate::finding::{FieldPath, Level, SchemaFinding};
use crate::object::IstioObject;
use path::SourcePath;

/// An object as far as it could be read, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The object without the parts that have errors. `None` if an error lies outside of such parts
    /// ([`IstioObject::PARTS`]).
    pub object: Option<T>,
    /// What is wrong, in the order of the paths; paths are those of the JSON that was parsed.
    pub findings: Vec<SchemaFinding>,
    /// What was left out of `object`.
    pub dropped: Dropped,
}

impl<T> Parsed<T> {
    /// Whether something is refused.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.level == Level::Error)
    }
}

/// The elements of lists that were left out of an object because of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// List in the spec and index in it, as in the source; in ascending order.
    parts: Vec<(&'static str, usize)>,
}

impl Dropped {
    /// The elements, by their places in the source.
    pub fn paths(&self) -> impl Iterator<Item = FieldPath> {
        self.parts.iter().map(|(list, index)| FieldPath::spec().field(list).index(*index))
    }

    /// The place in the source of a place in the object: with `spec.http[0]` dropped, the object's
    /// `spec.http[0].match[1]` is the source's `spec.http[1].match[1]`.
    #[must_use]
    pub fn in_source(&self, path: &FieldPath) -> FieldPath {
        self.find_in_source(path).unwrap_or_else(|| path.clone())
    }

    fn find_in_source(&self, path: &FieldPath) -> Option<FieldPath> {
        let (list, rest) = path.as_str().strip_prefix("spec.")?.split_once('[')?;
        let (index, rest) = rest.split_once(']')?;
        let mut index: usize = index.parse().ok()?;
        for (dropped_list, dropped) in &self.parts {
            if *dropped_list == list && *dropped <= index {
                index += 1;
            }
        }
        Some(FieldPath::spec().field(list).index(index).with_suffix(rest))
    }
}

/// Reads one object. It never fails as a whole: the findings say what is wrong.
///
/// An unknown field is a warning; so is whatever is wrong in `status`, which is not the user's to write.
/// Everything else is an error: a value of a wrong type or out of range, a required field that is
/// missing, another kind, or a version that is not known.
#[must_use]
pub fn parse<T: IstioObject>(source: Value) -> Parsed<T> {
    let findings = type_meta::check::<T>(&source);
    if !findings.is_empty() {
        return Parsed { object: None, findings, dropped: Dropped::default() };
    }
    let repaired = repair::collect::<T>(&source);
    let errors = repaired.errors;
    let (object, dropped) = if errors.is_empty() {
        (repaired.object, Dropped::default())
    } else {
        without_bad_parts::<T>(source, &errors)
    };
    let unknown = repaired.unknown.into_iter().map(unknown_field);
    let errors = errors.into_iter().map(invalid_value);
    let mut placed: Vec<(SourcePath, SchemaFinding)> = unknown.chain(errors).collect();
    placed.sort_by(|(a, _), (b, _)| a.cmp(b));
    Parsed { object, findings: placed.into_iter().map(|(_, finding)| finding).collect(), dropped }
}

fn invalid_value((path, message): (SourcePath, String)) -> (SourcePath, SchemaFinding) {
    let place = path.to_field_path();
    let finding = if path.is_within_field("status") {
        SchemaFinding::warning(place, message)
    } else {
        SchemaFinding::error(place, message)
    };
    (path, finding)
}

fn unknown_field(path: SourcePath) -> (SourcePath, SchemaFinding) {
    let name = path.last_field().unwrap_or_default();
    let message = format!("unknown field {name:?}; it is ignored");
    let finding = SchemaFinding::warning(path.to_field_path(), message);
    (path, finding)
}

/// Reads the object without the parts that hold an error.
fn without_bad_parts<T: IstioObject>(
    mut source: Value,
    errors: &[(SourcePath, String)],
) -> (Option<T>, Dropped) {
    let mut dropped = Dropped::default();
    for (path, _) in errors {
        if path.is_within_field("status") {
            if let Some(object) = source.as_object_mut() {
                object.remove("status");
            }
            continue;
        }
        match path.element_of_spec(T::PARTS) {
            Some(part) => dropped.parts.push(part),
            None => return (None, Dropped::default()),
        }
    }
    dropped.parts.sort_unstable();
    dropped.parts.dedup();
    for (list, index) in dropped.parts.iter().rev() {
        if let Some(elements) =
            source.get_mut("spec").and_then(|spec| spec.get_mut(list)).and_then(Value::as_array_mut)
            && *index < elements.len()
        {
            elements.remove(*index);
        }
    }
    (serde_json::from_value(source).ok(), dropped)
}

#[cfg(test)]
#[path = "parse/tests.rs"]
mod tests;
