//! From JSON to typed objects, with everything that is wrong on the way.
//!
//! serde stops at the first invalid value. So [`parse`] reads an object again and again: what the error
//! names is noted and taken out of the JSON, until the rest can be read. The object that is given back is
//! read once more from the original, without those parts (a server, a rule) in which an error lies, and then
//! Istio's rules are applied ([`crate::validate`]); what breaks them costs its part too. So no half of a rule
//! is ever served: a match that cannot be read must not turn into a rule that matches more.
//!
//! All findings have the places of the original.

mod path;
mod repair;
mod type_meta;

use serde_json::Value;

use crate::finding::{FieldPath, Level, SchemaFinding};
use crate::object::ApiObject;
use path::SourcePath;

/// An object as far as it could be read, and what is wrong with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed<T> {
    /// The object without the parts that have errors. `None` if an error lies outside of such parts
    /// ([`ApiObject::PARTS`]).
    pub object: Option<T>,
    /// What is wrong, in the order of the paths; paths are those of the JSON that was parsed. Errors are
    /// about what is not in `object`.
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

/// The elements of lists, and the fields, that were left out of an object because of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Field in the spec, and of a list the index in it, as in the source; in ascending order.
    parts: Vec<Part>,
}

type Part = (&'static str, Option<usize>);

impl Dropped {
    /// The elements and fields, by their places in the source.
    pub fn paths(&self) -> impl Iterator<Item = FieldPath> {
        self.parts.iter().map(|(field, index)| {
            let field = FieldPath::spec().field(field);
            index.map_or_else(|| field.clone(), |index| field.index(index))
        })
    }

    /// The place in the source of a place in the object: with `spec.http[0]` dropped, the object's
    /// `spec.http[0].match[1]` is the source's `spec.http[1].match[1]`.
    #[must_use]
    pub fn in_source(&self, path: &FieldPath) -> FieldPath {
        self.find_in_source(path).unwrap_or_else(|| path.clone())
    }

    fn find_in_source(&self, path: &FieldPath) -> Option<FieldPath> {
        let (list, mut index, rest) = element_of_spec(path)?;
        for (dropped_list, dropped) in &self.parts {
            if *dropped_list == list && dropped.is_some_and(|dropped| dropped <= index) {
                index += 1;
            }
        }
        Some(FieldPath::spec().field(list).index(index).with_suffix(rest))
    }

    fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    fn add(&mut self, part: Part) {
        if let Err(position) = self.parts.binary_search(&part) {
            self.parts.insert(position, part);
        }
    }
}

/// The part of an object that a place is in.
fn part_of<T: ApiObject>(path: &FieldPath) -> Option<Part> {
    let part = |name: &str| T::PARTS.iter().find(|part| **part == name).copied();
    if let Some((list, index, _)) = element_of_spec(path) {
        return Some((part(list)?, Some(index)));
    }
    let (field, _) = path.as_str().strip_prefix("spec.")?.split_once('.')?;
    Some((part(field)?, None))
}

/// The list of the spec, the index in it and the rest of a path: `spec.http[1].match` is `http`, 1 and `.match`.
fn element_of_spec(path: &FieldPath) -> Option<(&str, usize, &str)> {
    let (list, rest) = path.as_str().strip_prefix("spec.")?.split_once('[')?;
    let (index, rest) = rest.split_once(']')?;
    // A list further down is no part.
    (!list.contains('.')).then_some((list, index.parse().ok()?, rest))
}

/// Reads one object. It never fails as a whole: the findings say what is wrong.
///
/// An unknown field is a warning; so is whatever is wrong in `status`, which is not the user's to write.
/// Errors are a value of a wrong type or out of range, a required field that is missing, another kind, a
/// version that is not known, and what Istio's rules forbid.
#[must_use]
pub fn parse<T: ApiObject>(source: Value) -> Parsed<T> {
    let findings = type_meta::check::<T>(&source);
    if !findings.is_empty() {
        return Parsed { object: None, findings, dropped: Dropped::default() };
    }
    let repaired = repair::collect::<T>(&source);
    let unknown = repaired.unknown.iter().map(unknown_field);
    let mut findings: Vec<SchemaFinding> =
        unknown.chain(repaired.errors.into_iter().map(invalid_value)).collect();
    let mut dropped = Dropped::default();
    let object = match repaired.object {
        Some(object) => Some(object),
        None => without_bad_parts::<T>(source.clone(), &findings, &mut dropped),
    };
    let object = object.and_then(|object| apply_rules(object, source, &mut dropped, &mut findings));
    findings.sort_by(|a, b| a.path.cmp(&b.path));
    if object.is_none() {
        dropped = Dropped::default();
    }
    Parsed { object, findings, dropped }
}

/// Notes what breaks Istio's rules, and takes those parts out.
fn apply_rules<T: ApiObject>(
    object: T,
    source: Value,
    dropped: &mut Dropped,
    findings: &mut Vec<SchemaFinding>,
) -> Option<T> {
    let mut broken = object.validate();
    if !has_errors(&broken) {
        findings.append(&mut broken);
        return Some(object);
    }
    for finding in &mut broken {
        finding.path = dropped.in_source(&finding.path);
    }
    // That a list is empty because of errors is said by those.
    broken.retain(|finding| dropped.is_empty() || !is_about_emptiness::<T>(finding));
    findings.append(&mut broken);
    let object = without_bad_parts::<T>(source, findings, dropped)?;
    // What is left must be good by itself.
    let is_bad = |finding: &SchemaFinding| finding.level == Level::Error && !is_about_emptiness::<T>(finding);
    (!object.validate().iter().any(is_bad)).then_some(object)
}

/// Whether the error is only that there is nothing in the object: a Gateway without servers. It costs no part,
/// and the object is kept: an ingress must not go away because of a mistake in its last server.
fn is_about_emptiness<T: ApiObject>(finding: &SchemaFinding) -> bool {
    let spec = FieldPath::spec();
    finding.path == spec || T::PARTS.iter().any(|list| finding.path == spec.field(list))
}

fn has_errors(findings: &[SchemaFinding]) -> bool {
    findings.iter().any(|finding| finding.level == Level::Error)
}

fn invalid_value((path, message): (SourcePath, String)) -> SchemaFinding {
    let place = path.to_field_path();
    if path.is_within_field("status") {
        SchemaFinding::warning(place, message)
    } else {
        SchemaFinding::error(place, message)
    }
}

fn unknown_field(path: &SourcePath) -> SchemaFinding {
    let name = path.last_field().unwrap_or_default();
    let message = format!("unknown field {name:?}; it is ignored");
    SchemaFinding::warning(path.to_field_path(), message)
}

/// Reads the object without the parts that hold an error, and without a status that cannot be read. `None` if
/// an error lies outside of such parts.
fn without_bad_parts<T: ApiObject>(
    mut source: Value,
    findings: &[SchemaFinding],
    dropped: &mut Dropped,
) -> Option<T> {
    let is_costly =
        |finding: &&SchemaFinding| finding.level == Level::Error && !is_about_emptiness::<T>(finding);
    for finding in findings.iter().filter(is_costly) {
        dropped.add(part_of::<T>(&finding.path)?);
    }
    for (field, index) in dropped.parts.iter().rev() {
        let spec = source.get_mut("spec")?.as_object_mut()?;
        let Some(index) = index else {
            spec.remove(*field);
            continue;
        };
        let elements = spec.get_mut(*field)?.as_array_mut()?;
        if *index < elements.len() {
            elements.remove(*index);
        }
    }
    let status = FieldPath::default().field("status");
    if findings.iter().any(|finding| finding.path.is_within(&status)) {
        source.as_object_mut()?.remove("status");
    }
    serde_json::from_value(source).ok()
}

#[cfg(test)]
#[path = "parse/tests.rs"]
mod tests;
