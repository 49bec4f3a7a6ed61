//! From Rust types to *structural* schemas, as a CustomResourceDefinition must have them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

/// The schema of a type, without references, `null`s and formats that Kubernetes does not know.
///
/// # Errors
/// When a type has a schema that a CustomResourceDefinition cannot have: a mistake in this crate.
pub(super) fn structural<T: JsonSchema>() -> Result<JSONSchemaProps, serde_json::Error> {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.inline_subschemas = true;
        settings.meta_schema = None;
    });
    let mut schema = settings.into_generator().into_root_schema_for::<T>().to_value();
    rewrite(&mut schema);
    serde_json::from_value(schema)
}

/// A schema and all that are in it.
fn rewrite(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for name in ["$schema", "title", "default"] {
        fields.remove(name);
    }
    take_null_away(fields);
    merge_variants(fields);
    if let Some(format) = fields.get("format").and_then(Value::as_str)
        && format.starts_with("uint")
    {
        fields.remove("format");
    }
    if let Some(description) = fields.get_mut("description")
        && let Some(text) = description.as_str()
    {
        *description = Value::String(unwrap_lines(text));
    }
    for name in ["items", "additionalProperties"] {
        if let Some(inner) = fields.get_mut(name) {
            rewrite(inner);
        }
    }
    if let Some(properties) = fields.get_mut("properties").and_then(Value::as_object_mut) {
        properties.values_mut().for_each(rewrite);
    }
}

/// That a field can be left out is said by `required`; to write `null` would be a second way to say it.
fn take_null_away(fields: &mut Map<String, Value>) {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(any_of)) = fields.get_mut("anyOf")
        && any_of.iter().any(is_null)
    {
        any_of.retain(|schema| !is_null(schema));
        if let [Value::Object(only)] = any_of.as_slice() {
            let only = only.clone();
            fields.remove("anyOf");
            for (name, value) in only {
                fields.entry(name).or_insert(value);
            }
        }
    }
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            fields.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(values)) = fields.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
}

/// An enum is one schema for each variant, with its description; a structural schema has one list of values.
fn merge_variants(fields: &mut Map<String, Value>) {
    let Some(Value::Array(variants)) = fields.get("oneOf") else { return };
    let names: Vec<Value> = variants.iter().filter_map(|variant| variant.get("const").cloned()).collect();
    if names.len() != variants.len() {
        return;
    }
    let lines = variants.iter().filter_map(|variant| {
        let name = variant.get("const")?.as_str()?;
        Some(format!("{name}: {}", unwrap_lines(variant.get("description")?.as_str()?)))
    });
    let about = fields.get("description").and_then(Value::as_str).map(unwrap_lines);
    let description: Vec<String> = about.into_iter().chain(lines).collect();
    fields.insert("description".to_owned(), Value::String(description.join("\n\n")));
    fields.remove("oneOf");
    fields.insert("type".to_owned(), json!("string"));
    fields.insert("enum".to_owned(), Value::Array(names));
}

/// Lines of a docstring end where the source is wide enough; paragraphs stay.
fn unwrap_lines(text: &str) -> String {
    let paragraphs =
        text.split("\n\n").map(|paragraph| paragraph.split('\n').map(str::trim).collect::<Vec<_>>());
    paragraphs.map(|lines| lines.join(" ")).collect::<Vec<_>>().join("\n\n")
}

/// Labels that something must have, at least one.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "string",
            "maxLength": 63,
            "pattern": "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$",
        },
        "minProperties": 1,
        "maxProperties": 64,
    })
}

/// Networks, as `192.0.2.0/24`.
pub(super) fn networks(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "array", "maxItems": 256, "items": {"type": "string", "format": "cidr"}})
}

/// A name of at most 63 lower-case letters, digits and dashes (RFC 1123).
pub(super) fn dns_label(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "maxLength": 63, "pattern": "^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"})
}

/// `metav1.Condition`s, by their types.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "description": "One aspect of an object's state.",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "type": {"type": "string", "maxLength": 316, "description": "The aspect: Programmed."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "maxLength": 1024, "description": "Why, in one word, for programs."},
                "message": {"type": "string", "maxLength": 32768, "description": "Why, for people."},
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When the status changed last.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The generation of the object that this speaks of.",
                },
            },
        },
    })
}
