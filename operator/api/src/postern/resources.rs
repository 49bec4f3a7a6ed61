//! `spec.resources`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// The syntax of a quantity (Kubernetes, `resource.Quantity`), without a sign: nothing less than nothing can be had.
const PATTERN: &str = r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// CPU, memory and other resources of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct Resources {
    /// What is set aside for it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// What it cannot exceed. Without a request for the same resource this is the request too, as everywhere in
    /// Kubernetes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}

/// An amount: `500m`, `64Mi`, or a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Quantity(String);

impl Quantity {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("got {0:?}; an amount is a number with or without a unit: 2, 500m, 64Mi")]
pub struct QuantityError(String);

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(unit_at);
        let digits = number.bytes().any(|byte| byte.is_ascii_digit());
        let dots = number.bytes().filter(|byte| *byte == b'.').count();
        if digits && dots <= 1 && is_unit(unit) {
            Ok(Self(text.to_owned()))
        } else {
            Err(QuantityError(text.to_owned()))
        }
    }
}

fn is_unit(unit: &str) -> bool {
    if let Some(exponent) = unit.strip_prefix(['e', 'E']).filter(|exponent| !exponent.is_empty()) {
        let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        return exponent == "i" && unit.starts_with('E')
            || !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    }
    matches!(
        unit,
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi" | "Ei"
    )
}

/// As text, or as a whole number: `cpu: 2`.
impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "an amount is a number with or without a unit: 2, 500m, 64Mi")]
        enum Form {
            Number(u64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number.to_string())),
            Form::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [{"type": "integer"}, {"type": "string"}],
            "pattern": PATTERN,
            "x-kubernetes-int-or-string": true,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn quantities_are_text_or_numbers() {
        let read = |json: &str| serde_json::from_str::<Quantity>(json);
        assert_eq!(read("2").unwrap().as_str(), "2");
        assert_eq!(read("\"64Mi\"").unwrap().as_str(), "64Mi");
        assert!(read("\"64MB\"").is_err());
        assert!(read("-1").is_err());
    }

    proptest! {
        /// What the schema lets pass can be read, and nothing else.
        #[test]
        fn the_schema_and_the_reader_agree(text in r"[0-9.]{0,3}[KMGTPEnumkie+-]{0,2}[0-9]{0,2}") {
            let pattern = regex::Regex::new(PATTERN).unwrap();
            prop_assert_eq!(text.parse::<Quantity>().is_ok(), pattern.is_match(&text), "{}", text);
        }
    }
}
