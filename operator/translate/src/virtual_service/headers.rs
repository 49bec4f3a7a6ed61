//! Changes of headers.
//!
//! `host` and `:authority` are no headers to Envoy, and so to Istio: to set (or add) one rewrites the request's host;
//! in responses, and in `remove`, they are ignored.

use postern_api::istio::virtual_service::{HeaderOperations, Headers};
use postern_snapshot::model::HeaderOps;

use crate::at::At;
use crate::finding::{Findings, Problem, Reason};

/// The changes of a route or a destination.
#[derive(Debug, Default)]
pub(crate) struct HeaderChanges {
    pub(crate) request: HeaderOps,
    pub(crate) response: HeaderOps,
    /// The host that the upstream sees.
    pub(crate) host: Option<String>,
}

/// The changes that `headers` says. `at` is the place of `headers`.
pub(crate) fn header_changes(
    headers: Option<&Headers>,
    at: &At<'_>,
    findings: &mut Findings,
) -> HeaderChanges {
    let Some(Headers { request, response }) = headers else { return HeaderChanges::default() };
    let mut changes = HeaderChanges::default();
    if let Some(operations) = request {
        changes.request = header_ops(operations, &at.field("request"), findings);
        let host = |values: &std::collections::BTreeMap<String, String>| {
            values.iter().rfind(|(name, _)| is_host(name)).map(|(_, value)| value.clone())
        };
        changes.host = host(&operations.set).or_else(|| host(&operations.add));
    }
    if let Some(operations) = response {
        changes.response = header_ops(operations, &at.field("response"), findings);
    }
    changes
}

fn is_host(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// What no change of headers reaches.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

fn header_ops(operations: &HeaderOperations, at: &At<'_>, findings: &mut Findings) -> HeaderOps {
    let HeaderOperations { set, add, remove } = operations;
    let mut values = |field: &str, values: &std::collections::BTreeMap<String, String>| {
        let at = at.field(field);
        let mut list = Vec::new();
        for (name, value) in values.iter().filter(|(name, _)| !is_internal(name)) {
            if let Some(value) = plain_value(value, &at.field(name), findings) {
                list.push((name.to_ascii_lowercase(), value));
            }
        }
        list
    };
    HeaderOps {
        set: values("set", set),
        add: values("add", add),
        remove: remove
            .iter()
            .filter(|name| !is_internal(name))
            .map(|name| name.to_ascii_lowercase())
            .collect(),
    }
}

/// A value without substitutions.
fn plain_value(value: &str, at: &At<'_>, findings: &mut Findings) -> Option<String> {
    let plain = literal(value);
    if plain.is_none() {
        let message = "Postern does not fill in Envoy's %substitutions% yet; this header is left as it is";
        findings.warn(at, Problem::programmed(Reason::UnsupportedValue, message));
    }
    plain
}

/// What a format of Envoy's says that has no substitutions, or `None`. Envoy reads `%NAME%` and `%NAME(ARGUMENT)%` as
/// such, and `%%` as `%`.
pub(crate) fn literal(value: &str) -> Option<String> {
    if !value.contains('%') {
        return Some(value.to_owned());
    }
    let without_escapes = value.replace("%%", "");
    let substitution = without_escapes.match_indices('%').any(|(start, _)| {
        let rest = without_escapes.get(start + 1..).unwrap_or_default();
        let name =
            rest.chars().take_while(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_').count();
        name > 0 && rest.get(name..).is_some_and(|rest| rest.starts_with(['%', '(']))
    });
    (!substitution).then(|| value.replace("%%", "%"))
}
