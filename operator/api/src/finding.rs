//! What is wrong, or noteworthy, about one object.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How bad a finding is. The order is from harmless to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Good to know; everything works as written.
    Info,
    /// Part of the object has no effect, or not the likely one.
    Warning,
    /// Part of the object is refused.
    Error,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// The codes of Istio's analysis (`istioctl analyze`) that this crate's findings can have.
pub mod code {
    /// Deprecated (warning).
    pub const DEPRECATED: &str = "IST0002";
    /// SchemaValidationError (error).
    pub const SCHEMA_VALIDATION_ERROR: &str = "IST0106";
    /// SchemaWarning (warning).
    pub const SCHEMA_WARNING: &str = "IST0133";
}

/// The place of a field in an object: `spec.servers[0].tls.mode`. Empty for the whole object. A map's
/// key that has other characters than letters, digits, `-` and `_` is quoted: `labels["a.b/c"]`.
///
/// The order is that of a reader: `spec.http[2]` is before `spec.http[10]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FieldPath(String);

impl FieldPath {
    /// `spec`, where most begin.
    #[must_use]
    pub fn spec() -> Self {
        Self::default().field("spec")
    }

    /// The field, or entry of a map, with this name.
    #[must_use]
    pub fn field(&self, name: &str) -> Self {
        let plain = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        Self(match (plain, self.0.is_empty()) {
            (true, true) => name.to_owned(),
            (true, false) => format!("{}.{name}", self.0),
            (false, _) => format!("{}[{name:?}]", self.0),
        })
    }

    /// The element of a list with this index, from 0.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    /// This path with more behind it, in the form of the text.
    pub(crate) fn with_suffix(&self, suffix: &str) -> Self {
        Self(format!("{}{suffix}", self.0))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `part` or lies in it: `spec.http[1].match[0]` in `spec.http[1]`, and everything
    /// in the whole object. So the smallest part that an error concerns can be found.
    #[must_use]
    pub fn is_within(&self, part: &Self) -> bool {
        part.0.is_empty()
            || self
                .0
                .strip_prefix(part.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    }
}

impl Ord for FieldPath {
    fn cmp(&self, other: &Self) -> Ordering {
        fn steps(path: &str) -> impl Iterator<Item = (Option<usize>, &str)> {
            path.split(['.', '[', ']']).map(|step| (step.parse().ok(), step))
        }
        steps(&self.0).cmp(steps(&other.0)).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for FieldPath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is wrong with one field of one object. Which object is for the caller to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SchemaFinding {
    /// The field.
    pub path: FieldPath,
    /// How bad it is.
    pub level: Level,
    /// What was got and what is allowed, for a person.
    pub message: String,
    /// Istio's analysis code, where it has one; see [`code`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

impl SchemaFinding {
    /// The field is refused.
    #[must_use]
    pub fn error(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, level: Level::Error, message: message.into(), code: Some(code::SCHEMA_VALIDATION_ERROR) }
    }

    /// The field has no effect, or not the likely one.
    #[must_use]
    pub fn warning(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, level: Level::Warning, message: message.into(), code: Some(code::SCHEMA_WARNING) }
    }

    /// The field works, but another one should be used.
    #[must_use]
    pub fn deprecated(path: FieldPath, message: impl Into<String>) -> Self {
        Self { path, level: Level::Warning, message: message.into(), code: Some(code::DEPRECATED) }
    }
}

impl fmt::Display for SchemaFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.level)?;
        if !self.path.as_str().is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)?;
        match self.code {
            Some(code) => write!(f, " [{code}]"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_like_the_yaml() {
        let mode = FieldPath::spec().field("servers").index(0).field("tls").field("mode");
        assert_eq!(mode.as_str(), "spec.servers[0].tls.mode");
        let label = FieldPath::spec().field("selector").field("app.kubernetes.io/name");
        assert_eq!(label.as_str(), r#"spec.selector["app.kubernetes.io/name"]"#);
    }

    #[test]
    fn paths_are_in_a_readers_order() {
        let rule = |index| FieldPath::spec().field("http").index(index);
        assert!(rule(2) < rule(10));
        assert!(rule(2) < rule(2).field("match"));
        assert!(rule(2).field("match") < rule(3));
        assert!(FieldPath::spec().field("gateways") < rule(0));
    }

    #[test]
    fn a_path_lies_within_its_parts() {
        let rule = FieldPath::spec().field("http").index(1);
        assert!(rule.field("match").index(0).is_within(&rule));
        assert!(rule.is_within(&rule));
        assert!(rule.is_within(&FieldPath::default()));
        assert!(!FieldPath::spec().field("http").index(10).is_within(&rule));
        assert!(!FieldPath::spec().field("httpx").is_within(&FieldPath::spec().field("http")));
    }
}
