//! Istio's rules about one object that its schema cannot say (`pkg/config/validation` of Istio), a file for
//! each kind.
//!
//! What Istio's webhook refuses is an error here: it costs the smallest part of the object that holds it, a
//! server or a rule. It is a warning where that part still means what it says: two hosts that overlap, `host`
//! among the headers to remove. And there is no rule here for what translation leaves out by itself, and says
//! so: a retry condition that nobody knows, a cipher suite, an endpoint without an address. Nor are there rules
//! for what the types already exclude, such as ports out of range.

pub(crate) mod common;
mod destination_rule;
mod envoy_filter;
mod gateway;
mod load_balancer;
mod service_entry;
mod traffic_policy;
mod virtual_service;

use crate::finding::SchemaFinding;
use crate::place::Place;

/// An object that has rules beyond its schema.
pub trait Validate {
    /// What breaks the rules, in the order of the fields. Paths are those in this value.
    fn validate(&self) -> Vec<SchemaFinding>;
}

/// What breaks the rules so far.
#[derive(Debug, Default)]
pub(crate) struct Findings(pub(crate) Vec<SchemaFinding>);

impl Findings {
    pub(crate) fn error(&mut self, at: &Place<'_>, message: impl Into<String>) {
        self.0.push(SchemaFinding::error(at.path(), message));
    }

    fn warn(&mut self, at: &Place<'_>, message: impl Into<String>) {
        self.0.push(SchemaFinding::warning(at.path(), message));
    }

    fn deprecated(&mut self, at: &Place<'_>, message: impl Into<String>) {
        self.0.push(SchemaFinding::deprecated(at.path(), message));
    }

    /// An error that Istio's analysis has a code of its own for.
    fn coded(&mut self, at: &Place<'_>, code: &'static str, message: impl Into<String>) {
        self.0.push(SchemaFinding { code: Some(code), ..SchemaFinding::error(at.path(), message) });
    }
}

#[cfg(test)]
mod testing {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::{Value, json};

    use crate::object::IstioObject;

    /// The findings of a spec, written out; the object is `test` in the namespace `ns`.
    pub(super) fn lines<T: IstioObject>(spec: &Value) -> Vec<String> {
        lines_of::<T>(json!({"metadata": {"name": "test", "namespace": "ns"}, "spec": spec}))
    }

    pub(super) fn lines_of<T: IstioObject>(object: Value) -> Vec<String> {
        let object: T = serde_json::from_value(object).unwrap();
        object.validate().iter().map(ToString::to_string).collect()
    }
}
