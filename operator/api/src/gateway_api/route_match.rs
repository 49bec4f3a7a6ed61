//! Conditions on requests.

use serde::{Deserialize, Serialize};

/// A condition on the path (`HTTPPathMatch`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "PathFields", into = "PathFields")]
pub enum PathMatch {
    /// This path; it begins with `/`.
    Exact(String),
    /// Begins with these segments: `/app` takes `/app` and `/app/x`, not `/apple`. It begins with `/`.
    PathPrefix(String),
    /// The whole path fits this expression in RE2's syntax.
    RegularExpression(String),
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct PathFields {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

impl TryFrom<PathFields> for PathMatch {
    type Error = String;

    fn try_from(fields: PathFields) -> Result<Self, String> {
        let value = fields.value.unwrap_or_else(|| "/".to_owned());
        let kind = fields.type_.as_deref().unwrap_or("PathPrefix");
        if kind != "RegularExpression" && !value.starts_with('/') {
            return Err(format!("{value:?} is not a path; it must begin with \"/\""));
        }
        match kind {
            "Exact" => Ok(Self::Exact(value)),
            "PathPrefix" => Ok(Self::PathPrefix(value)),
            "RegularExpression" => Ok(Self::RegularExpression(value)),
            other => Err(unknown_type(other, "Exact, PathPrefix and RegularExpression")),
        }
    }
}

impl From<PathMatch> for PathFields {
    fn from(value: PathMatch) -> Self {
        let (kind, value) = match value {
            PathMatch::Exact(value) => ("Exact", value),
            PathMatch::PathPrefix(value) => ("PathPrefix", value),
            PathMatch::RegularExpression(value) => ("RegularExpression", value),
        };
        Self { type_: Some(kind.to_owned()), value: Some(value) }
    }
}

/// A condition on a header or a query parameter (`HTTPHeaderMatch`, `HTTPQueryParamMatch`, `GRPCHeaderMatch`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "NamedFields", into = "NamedFields")]
pub struct NamedMatch {
    /// The name as written. Of headers case does not matter.
    pub name: String,
    /// What the value is.
    pub value: TextMatch,
}

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextMatch {
    /// This text.
    Exact(String),
    /// It fits this expression in RE2's syntax.
    RegularExpression(String),
}

#[derive(Clone, Serialize, Deserialize)]
struct NamedFields {
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    name: String,
    value: String,
}

impl TryFrom<NamedFields> for NamedMatch {
    type Error = String;

    fn try_from(fields: NamedFields) -> Result<Self, String> {
        let value = match fields.type_.as_deref() {
            None | Some("Exact") => TextMatch::Exact(fields.value),
            Some("RegularExpression") => TextMatch::RegularExpression(fields.value),
            Some(other) => return Err(unknown_type(other, "Exact and RegularExpression")),
        };
        Ok(Self { name: fields.name, value })
    }
}

impl From<NamedMatch> for NamedFields {
    fn from(found: NamedMatch) -> Self {
        let (kind, value) = match found.value {
            TextMatch::Exact(value) => ("Exact", value),
            TextMatch::RegularExpression(value) => ("RegularExpression", value),
        };
        Self { type_: Some(kind.to_owned()), name: found.name, value }
    }
}

/// A condition on the called method (`GRPCMethodMatch`): one of service and method at least.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "MethodFields", into = "MethodFields")]
pub struct GrpcMethodMatch {
    /// The service with its package: `helloworld.Greeter`.
    pub service: Option<TextMatch>,
    /// The method: `SayHello`.
    pub method: Option<TextMatch>,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct MethodFields {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
}

impl TryFrom<MethodFields> for GrpcMethodMatch {
    type Error = String;

    fn try_from(fields: MethodFields) -> Result<Self, String> {
        let wrap: fn(String) -> TextMatch = match fields.type_.as_deref() {
            None | Some("Exact") => TextMatch::Exact,
            Some("RegularExpression") => TextMatch::RegularExpression,
            Some(other) => return Err(unknown_type(other, "Exact and RegularExpression")),
        };
        let set = |text: Option<String>| text.filter(|text| !text.is_empty()).map(wrap);
        let (service, method) = (set(fields.service), set(fields.method));
        if service.is_none() && method.is_none() {
            return Err(format!("one of service and method {}", crate::value::NONE_WAS_GOT));
        }
        Ok(Self { service, method })
    }
}

impl From<GrpcMethodMatch> for MethodFields {
    fn from(found: GrpcMethodMatch) -> Self {
        let is_regex = |part: &Option<TextMatch>| matches!(part, Some(TextMatch::RegularExpression(_)));
        let kind =
            if is_regex(&found.service) || is_regex(&found.method) { "RegularExpression" } else { "Exact" };
        let text = |part: Option<TextMatch>| {
            part.map(|part| match part {
                TextMatch::Exact(text) | TextMatch::RegularExpression(text) => text,
            })
        };
        Self { type_: Some(kind.to_owned()), service: text(found.service), method: text(found.method) }
    }
}

/// What is said about a `type` that no union has.
pub(super) fn unknown_type(got: &str, known: &str) -> String {
    format!("{got:?} is not a type here; {known} are")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_path_has_defaults() {
        let read = |value| serde_json::from_value::<PathMatch>(value);
        assert_eq!(read(json!({})).unwrap(), PathMatch::PathPrefix("/".to_owned()));
        assert_eq!(read(json!({"value": "/a"})).unwrap(), PathMatch::PathPrefix("/a".to_owned()));
        assert_eq!(read(json!({"type": "Exact", "value": "/a"})).unwrap(), PathMatch::Exact("/a".to_owned()));
        assert!(read(json!({"value": "a"})).is_err());
        assert!(read(json!({"type": "Glob", "value": "/a"})).is_err());
    }

    #[test]
    fn a_method_names_something() {
        let read = |value| serde_json::from_value::<GrpcMethodMatch>(value);
        assert!(read(json!({})).is_err());
        let found = read(json!({"service": "a.B"})).unwrap();
        assert_eq!((found.service, found.method), (Some(TextMatch::Exact("a.B".to_owned())), None));
    }
}
