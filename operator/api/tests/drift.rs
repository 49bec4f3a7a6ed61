//! That no field of Istio's API is forgotten: for every property in the schema of each vendored
//! CustomResourceDefinition (manifests/crds/istio.yaml) a sample is made, read and written again. A property that our
//! types lack is an unknown field, or is lost on the way.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod schema;
mod support;

use std::collections::BTreeSet;

use postern_api::finding::SchemaFinding;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::envoy_filter::EnvoyFilter;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::object::IstioObject;
use postern_api::parse::parse;
use serde_json::Value;

use schema::{Crd, Sample};

/// Properties that are read but written in another way, by their places: none is lost.
const REWRITTEN: [(&str, &str); 1] = [
    // The old spelling of mirrorPercent; protobuf's JSON reads both and writes one.
    ("spec.http[].mirror_percent", "spec.http[].mirrorPercent"),
];

#[test]
fn gateway() {
    check::<Gateway>(48);
}

#[test]
fn virtual_service() {
    check::<VirtualService>(175);
}

#[test]
fn destination_rule() {
    check::<DestinationRule>(334);
}

#[test]
fn service_entry() {
    check::<ServiceEntry>(38);
}

#[test]
fn envoy_filter() {
    check::<EnvoyFilter>(75);
}

/// All versions of a kind have one schema, and our types hold all of it. `at_least` is how many properties there are
/// at least: a walk that goes nowhere finds nothing missing.
fn check<T: IstioObject + serde::Serialize>(at_least: usize) {
    let crd = Crd::of(T::KIND);
    let versions: Vec<&str> = crd.versions.keys().map(String::as_str).collect();
    let mut known = T::VERSIONS.to_vec();
    known.sort_unstable();
    assert_eq!(versions, known, "the versions of {}", T::KIND);
    assert_eq!(crd.plural, T::URL_PATH_SEGMENT);
    assert_eq!(crd.group, T::GROUP);

    let mut properties = BTreeSet::new();
    for (version, root) in &crd.versions {
        for sample in schema::samples(root) {
            check_sample::<T>(version, &sample);
            properties.insert(sample.property);
        }
    }
    assert!(
        properties.len() >= at_least,
        "{} has {} properties, and {at_least} are expected at least",
        T::KIND,
        properties.len()
    );
}

fn check_sample<T: IstioObject + serde::Serialize>(version: &str, sample: &Sample) {
    let mut source = sample.object.clone();
    let fields = source.as_object_mut().unwrap();
    fields.insert("apiVersion".into(), format!("{}/{version}", T::GROUP).into());
    fields.insert("kind".into(), T::KIND.into());
    fields.insert("metadata".into(), serde_json::json!({"name": "sample", "namespace": "default"}));
    let object: T = serde_json::from_value(source.clone())
        .unwrap_or_else(|error| panic!("{} {}: {error}\n{source:#}", T::KIND, sample.property));

    let is_unknown = |finding: &&SchemaFinding| finding.message.starts_with("unknown field");
    let findings = parse::<T>(source.clone()).findings;
    let unknown: Vec<String> = findings.iter().filter(is_unknown).map(ToString::to_string).collect();
    assert_eq!(unknown, [""; 0], "{} {}", T::KIND, sample.property);

    let written = serde_json::to_value(&object).unwrap();
    for top in ["spec", "status"] {
        let lost = schema::lost(source.get(top).unwrap_or(&Value::Null), &written[top], top);
        let rewritten = REWRITTEN.iter().find(|(property, _)| *property == sample.property);
        match rewritten {
            None => assert_eq!(lost, [""; 0], "{} {} is lost", T::KIND, sample.property),
            Some((_, instead)) => {
                let mut at = &written;
                for name in instead.split('.') {
                    at = match name.strip_suffix("[]") {
                        Some(name) => &at[name][0],
                        None => &at[name],
                    };
                }
                assert!(!at.is_null(), "{} {} is lost", T::KIND, sample.property);
            }
        }
    }
}
