//! `manifests/crds/postern.yaml` is what the types say. `UPDATE_GOLDEN=1 cargo test -p postern-api --test crd` writes it
//! anew; look at the diff then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use postern_api::postern::crd::crd;
use serde_json::Value;

const HEADER: &str = "# IngressGateway, Postern's own kind. Generated from operator/api/src/postern: change it there, then\n\
     #   UPDATE_GOLDEN=1 cargo test -p postern-api --test crd\n";

#[test]
fn the_manifest_is_what_the_types_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crds/postern.yaml");
    let mut value = serde_json::to_value(crd().unwrap()).unwrap();
    whole_numbers(&mut value);
    let yaml = format!("{HEADER}{}", serde_saphyr::to_string(&value).unwrap());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &yaml).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == yaml, "{} is not what the types say: see the head of this file", path.display());
}

/// `1.0`, as limits are in the API's types, is `1` in everybody's YAML.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        Value::Number(number) => {
            if let Some(float) = number.as_f64().filter(|float| number.is_f64() && float.fract() == 0.0) {
                #[allow(clippy::cast_possible_truncation, reason = "limits are small whole numbers")]
                let whole = float as i64;
                *value = whole.into();
            }
        }
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// The rules of a structural schema that the API server insists on, as far as these types could break them.
#[test]
fn the_schema_is_structural() {
    let crd = crd().unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let mut seen = 0;
    check(schema, "", &mut seen);
    assert!(seen > 40, "only {seen} fields were looked at");
}

fn check(schema: &JSONSchemaProps, path: &str, seen: &mut usize) {
    *seen += 1;
    assert_eq!(schema.ref_path, None, "{path}");
    assert_eq!(schema.title, None, "{path}");
    assert_eq!(schema.nullable, None, "{path}");
    assert_eq!(schema.one_of, None, "{path}");
    assert_eq!(schema.all_of, None, "{path}");
    let int_or_string = schema.x_kubernetes_int_or_string == Some(true);
    assert_eq!(schema.type_.is_none(), int_or_string, "{path}: type {:?}", schema.type_);
    assert_eq!(schema.any_of.is_some(), int_or_string, "{path}");
    if let Some(format) = &schema.format {
        assert!(
            ["int32", "int64", "date-time", "cidr"].contains(&format.as_str()),
            "{path}: format {format}"
        );
    }
    let described = path.is_empty()
        || ["apiVersion", "kind", "metadata", "spec", "status"].iter().any(|name| path == format!(".{name}"))
        || path.ends_with("[]")
        || path.ends_with(".status");
    assert!(described || schema.description.is_some(), "{path} has no description");
    for (name, inner) in schema.properties.iter().flatten() {
        check(inner, &format!("{path}.{name}"), seen);
    }
    match &schema.items {
        Some(JSONSchemaPropsOrArray::Schema(items)) => check(items, &format!("{path}[]"), seen),
        Some(JSONSchemaPropsOrArray::Schemas(_)) => panic!("{path}: one schema for all items"),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &schema.additional_properties {
        check(values, &format!("{path}[]"), seen);
    }
}
