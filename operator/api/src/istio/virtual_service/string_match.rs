//! Matching of text.

use serde::{Deserialize, Serialize};

use crate::value::NONE_WAS_GOT;

/// How a text must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum StringMatch {
    /// The same.
    Exact(String),
    /// Begins with this.
    Prefix(String),
    /// As a whole matches this regular expression in RE2's syntax.
    Regex(String),
}

/// How a header or query parameter must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub enum ValueMatch {
    /// It is there, with any value; written `{}`.
    Present,
    /// It is there and its value is like this.
    Value(StringMatch),
}

/// Both in their form on the wire: a message with a one-of.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct Fields {
    #[serde(skip_serializing_if = "Option::is_none")]
    exact: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<String>,
}

#[derive(Debug, thiserror::Error)]
enum StringMatchError {
    #[error("one of exact, prefix and regex {NONE_WAS_GOT}")]
    None,
    #[error("only one of exact, prefix and regex may be set")]
    Several,
}

impl Fields {
    fn into_match(self) -> Result<Option<StringMatch>, StringMatchError> {
        match (self.exact, self.prefix, self.regex) {
            (None, None, None) => Ok(None),
            (Some(text), None, None) => Ok(Some(StringMatch::Exact(text))),
            (None, Some(text), None) => Ok(Some(StringMatch::Prefix(text))),
            (None, None, Some(text)) => Ok(Some(StringMatch::Regex(text))),
            _ => Err(StringMatchError::Several),
        }
    }
}

impl TryFrom<Fields> for StringMatch {
    type Error = StringMatchError;

    fn try_from(fields: Fields) -> Result<Self, StringMatchError> {
        fields.into_match()?.ok_or(StringMatchError::None)
    }
}

impl From<StringMatch> for Fields {
    fn from(value: StringMatch) -> Self {
        let mut fields = Self::default();
        match value {
            StringMatch::Exact(text) => fields.exact = Some(text),
            StringMatch::Prefix(text) => fields.prefix = Some(text),
            StringMatch::Regex(text) => fields.regex = Some(text),
        }
        fields
    }
}

impl TryFrom<Fields> for ValueMatch {
    type Error = StringMatchError;

    fn try_from(fields: Fields) -> Result<Self, StringMatchError> {
        Ok(fields.into_match()?.map_or(Self::Present, Self::Value))
    }
}

impl From<ValueMatch> for Fields {
    fn from(value: ValueMatch) -> Self {
        match value {
            ValueMatch::Present => Self::default(),
            ValueMatch::Value(text) => text.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn exactly_one_form_is_set() {
        let read = |value| serde_json::from_value::<StringMatch>(value);
        assert_eq!(read(json!({"prefix": "/app"})).unwrap(), StringMatch::Prefix("/app".into()));
        assert!(read(json!({})).is_err());
        assert!(read(json!({"exact": "a", "regex": "b"})).is_err());
    }

    #[test]
    fn a_header_may_just_be_there() {
        let read = |value| serde_json::from_value::<ValueMatch>(value).unwrap();
        assert_eq!(read(json!({})), ValueMatch::Present);
        assert_eq!(read(json!({"exact": ""})), ValueMatch::Value(StringMatch::Exact(String::new())));
        assert_eq!(serde_json::to_value(ValueMatch::Present).unwrap(), json!({}));
    }
}
