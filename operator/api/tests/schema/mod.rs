//! Walks the schemas of CustomResourceDefinitions and makes samples of what they describe.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Map, Number, Value, json};

/// A CustomResourceDefinition, as far as it matters here.
pub(crate) struct Crd {
    pub(crate) group: String,
    pub(crate) plural: String,
    /// The schema of each version.
    pub(crate) versions: BTreeMap<String, Value>,
}

impl Crd {
    pub(crate) fn of(kind: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crds/istio.yaml");
        let text = fs::read_to_string(path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        let crd = documents
            .into_iter()
            .find(|document| document["spec"]["names"]["kind"] == kind)
            .unwrap_or_else(|| panic!("there is no CustomResourceDefinition of {kind}"));
        let spec = &crd["spec"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let versions = spec["versions"].as_array().unwrap().iter();
        Self {
            group: text(&spec["group"]),
            plural: text(&spec["names"]["plural"]),
            versions: versions
                .map(|version| (text(&version["name"]), version["schema"]["openAPIV3Schema"].clone()))
                .collect(),
        }
    }
}

/// An object that holds one property, and besides only what is required.
pub(crate) struct Sample {
    /// `spec.http[].match[].headers{}.exact`: `[]` is an element of a list, `{}` a value of a map.
    pub(crate) property: String,
    pub(crate) object: Value,
}

/// A sample for each property of a schema, and for each value of an enum.
pub(crate) fn samples(root: &Value) -> Vec<Sample> {
    let mut samples = Vec::new();
    walk(root, "", &|value| value, &mut samples);
    samples
}

/// Walks down; `wrap` puts a value of this schema into a whole object.
fn walk(schema: &Value, property: &str, wrap: &dyn Fn(Value) -> Value, samples: &mut Vec<Sample>) {
    if !property.is_empty() {
        for value in values(schema, property) {
            samples.push(Sample { property: property.to_owned(), object: wrap(value) });
        }
    }
    for (name, below) in properties(schema) {
        let property = if property.is_empty() { name.clone() } else { format!("{property}.{name}") };
        let here = required(schema, &property);
        let wrap_field = |value: Value| {
            let mut fields = here.clone();
            fields.insert(name.clone(), value);
            wrap(Value::Object(fields))
        };
        walk(below, &property, &wrap_field, samples);
    }
    if let Some(items) = schema.get("items") {
        walk(items, &format!("{property}[]"), &|value| wrap(json!([value])), samples);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        walk(values, &format!("{property}{{}}"), &|value| wrap(json!({ "key": value })), samples);
    }
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema.get("properties").and_then(Value::as_object).into_iter().flatten()
}

/// The required fields of an object.
fn required(schema: &Value, property: &str) -> Map<String, Value> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let fields = names.filter_map(Value::as_str).map(|name| {
        let below = &schema["properties"][name];
        let value = values(below, &format!("{property}.{name}")).into_iter().next().unwrap();
        (name.to_owned(), value)
    });
    let mut fields: Map<String, Value> = fields.collect();
    // The root's spec is required by our types where they must hold something.
    if schema.get("properties").is_some_and(|properties| properties.get("spec").is_some()) {
        fields
            .entry("spec")
            .or_insert_with(|| Value::Object(required(&schema["properties"]["spec"], "spec")));
    }
    fields
}

/// The required fields of an object, and the first of those of which one must be set.
fn one_of(schema: &Value, property: &str) -> Map<String, Value> {
    let mut fields = required(schema, property);
    let alternatives = schema.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let first = alternatives.filter_map(|alternative| alternative["required"][0].as_str()).next();
    if let Some(name) = first {
        let value = values(&schema["properties"][name], &format!("{property}.{name}")).remove(0);
        fields.insert(name.to_owned(), value);
    }
    fields
}

/// Values of a schema: one, or all of an enum. None of them is what protobuf takes for "not set".
fn values(schema: &Value, property: &str) -> Vec<Value> {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.clone();
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return vec![json!(7), json!("7")];
    }
    let value = match schema.get("type").and_then(Value::as_str) {
        Some("object") => Value::Object(one_of(schema, property)),
        Some("array") => json!([values(&schema["items"], &format!("{property}[]")).remove(0)]),
        Some("string") => json!(text(schema, property)),
        Some("boolean") => json!(true),
        Some("integer") => {
            let minimum = schema.get("minimum").and_then(Value::as_u64).unwrap_or_default();
            Value::Number(Number::from(minimum.max(80)))
        }
        Some("number") => json!(12.5),
        other => panic!("{property} is of type {other:?}, of which no sample can be made"),
    };
    vec![value]
}

/// A text in the syntax that the property has.
fn text(schema: &Value, property: &str) -> &'static str {
    let duration = schema
        .get("x-kubernetes-validations")
        .is_some_and(|rules| rules.to_string().contains("duration(self)"));
    let field = property.rsplit('.').next().unwrap_or_default();
    match (schema.get("format").and_then(Value::as_str), field) {
        (Some("byte"), _) => "c2FtcGxl",
        (Some("date-time"), _) => "2026-11-24T10:00:00Z",
        _ if duration => "1.5s",
        (_, "ttl" | "budgetInterval" | "idleTimeout") => "1.5s",
        (_, "hosts[]" | "sniHosts[]" | "host") => "sample.example.com",
        (_, "bind") => "10.0.0.1",
        (_, "protocol") if property.ends_with("tunnel.protocol") => "CONNECT",
        (_, "protocol") => "TCP",
        (_, "destinationSubnets[]" | "sourceSubnet" | "addresses[]") => "10.0.0.0/8",
        _ => "sample",
    }
}

/// What of `source` is not in `written`, by place.
pub(crate) fn lost(source: &Value, written: &Value, at: &str) -> Vec<String> {
    match (source, written) {
        (Value::Object(fields), _) => fields
            .iter()
            .flat_map(|(name, value)| {
                let below = written.get(name).unwrap_or(&Value::Null);
                lost(value, below, &format!("{at}.{name}"))
            })
            .collect(),
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            let pairs = elements.iter().zip(others).enumerate();
            pairs
                .flat_map(|(index, (element, other))| lost(element, other, &format!("{at}[{index}]")))
                .collect()
        }
        (source, written) if is_same(source, written) => Vec::new(),
        (source, written) => vec![format!("{at}: {source} became {written}")],
    }
}

/// Numbers may be written as text, and whole ones with a decimal point.
fn is_same(source: &Value, written: &Value) -> bool {
    let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    source == written
        || (source.is_number() && source.as_f64() == written.as_f64())
        || (written.is_number() && plain(source) == plain(written))
}
