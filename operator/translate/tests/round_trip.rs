//! The objects of Istio that objects of the Gateway API mean are read again without an error: for each golden case, those
//! of `tests/golden/gateway_api/<case>/istio.yaml`, beside the Services, Secrets and so on of its input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::fs;
use std::path::Path;

use postern_api::finding::Level;
use postern_translate::gateway_api::{IstioObject, istio_objects};
use postern_translate::{Options, World, translate};
use serde_json::Value;

/// What is said of an object about which a comment in the output says the same.
const TOLD: [&str; 2] = ["no-valid-certificate", "://"];

fn world(documents: impl IntoIterator<Item = Value>) -> World {
    let mut builder = World::builder();
    documents.into_iter().for_each(|document| common::add(&mut builder, document));
    builder.build()
}

fn is_gateway_api(document: &Value) -> bool {
    document["apiVersion"].as_str().unwrap_or_default().starts_with(postern_api::gateway_api::GROUP)
}

/// Credentials are read where the pods are: with their Gateway, as they are for the Gateway API.
fn options(documents: &[Value]) -> Options {
    let gateway = documents.iter().find(|it| it["kind"] == "Gateway");
    let namespace = gateway.and_then(|it| it["metadata"]["namespace"].as_str()).unwrap_or("default");
    Options { root_namespace: namespace.to_owned(), ..Options::default() }
}

#[test]
fn what_is_printed_has_no_errors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gateway_api");
    let mut errors = Vec::new();
    let mut cases = 0;
    for entry in fs::read_dir(&root).unwrap() {
        let case = entry.unwrap().path();
        cases += 1;
        let input = common::documents(&fs::read_to_string(case.join("input.yaml")).unwrap());
        let objects = istio_objects(&world(input.clone()), &Options::default());
        let printed = objects.iter().filter_map(|it| it.object.as_ref());
        let printed = printed.map(|object| serde_json::to_value(object).unwrap());
        let others = input.iter().filter(|it| !is_gateway_api(it)).cloned();
        let again = world(others.chain(printed));
        let outcome = translate(&again, &options(&input));
        let served = objects.iter().any(|it| matches!(it.object, Some(IstioObject::Gateway(_))));
        assert_eq!(served, !outcome.plans.is_empty(), "{}", case.display());
        for finding in outcome.findings.values().flatten().filter(|it| it.level == Level::Error) {
            if !TOLD.iter().any(|told| finding.message.contains(told)) {
                errors.push(format!("{}: {finding}", case.file_name().unwrap().display()));
            }
        }
    }
    assert!(cases >= 90, "cases are missing");
    assert!(errors.is_empty(), "{errors:#?}");
}
