//! Golden files of child objects: `tests/children/<case>/input.yaml`, Gateways and IngressGateways, beside
//! `children.yaml`, the objects for server-side apply of each ingress, and `findings.yaml` about the IngressGateways.
//!
//! `UPDATE_GOLDEN=1 cargo test -p postern-translate --test children` writes them anew; look at the diff then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use postern_api::meta::ObjectKey;
use postern_api::parse::parse;
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_translate::children::publication::{Published, publication};
use postern_translate::children::settings::{MatchedSettings, match_settings};
use postern_translate::children::{
    ChildDefaults, Children, IngressSettings, Keep, REPLICAS_MANAGER, plan_children,
};
use postern_translate::{Finding, IngressName, Options, Outcome, Plan, World, translate};
use serde_json::Value;

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/children");
    let mut cases: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "cases are missing in {}", root.display());
    let mut failures = Vec::new();
    for case in &cases {
        let input = fs::read_to_string(case.join("input.yaml")).unwrap();
        let Case { plans, matched, findings: translated } = read(&input);
        let children: Vec<_> = plans
            .iter()
            .map(|(name, plan)| plan_children(plan, &matched.settings[name], &defaults()))
            .collect();
        check(&case.join("children.yaml"), &objects(&children), &mut failures);
        check(&case.join("findings.yaml"), &findings(&translated, &matched, &children), &mut failures);
    }
    assert!(failures.is_empty(), "{} files differ:\n{}", failures.len(), failures.join("\n"));
}

fn defaults() -> ChildDefaults {
    ChildDefaults { image: "registry.example/postern-proxy:1.0".to_owned(), image_pull_policy: None }
}

struct Case {
    plans: BTreeMap<IngressName, Plan>,
    /// Of the translation.
    findings: BTreeMap<ObjectKey, Vec<Finding>>,
    matched: MatchedSettings,
}

fn read(yaml: &str) -> Case {
    let mut world = World::builder();
    let mut settings = Vec::new();
    for document in common::documents(yaml) {
        if document["kind"] == "IngressGateway" {
            let parsed = parse::<IngressGateway>(document.clone());
            assert_eq!(parsed.findings, [], "the input is not valid");
            settings.extend(parsed.object);
        }
        common::add(&mut world, document);
    }
    let Outcome { plans, findings, .. } = translate(&world.build(), &Options::default());
    let matched = match_settings(&plans, &settings);
    Case { plans, matched, findings }
}

fn objects(children: &[Children]) -> String {
    let documents = children.iter().flat_map(|children| {
        let mut documents: Vec<String> = children.objects().unwrap().iter().map(document).collect();
        let replicas = children.replicas.as_ref().map(document);
        documents.extend(replicas.map(|object| format!("# Of field manager {REPLICAS_MANAGER}:\n{object}")));
        match children.keep {
            Keep::Nothing => {}
            Keep::Deployment => {
                documents.push("# The Deployment is kept as it is, if there is one.\n".to_owned());
            }
            Keep::Everything => return vec!["# What is there is kept as it is.\n".to_owned()],
        }
        let unwanted = children.unwanted();
        documents.extend(unwanted.iter().map(|key| format!("# Not wanted: {key}\n")));
        documents
    });
    documents.collect::<Vec<_>>().join("---\n")
}

fn document(object: &Value) -> String {
    assert_no_nulls(object);
    serde_saphyr::to_string(object).unwrap()
}

/// Server-side apply takes a null for a field that is to be removed.
fn assert_no_nulls(value: &Value) {
    match value {
        Value::Null => panic!("a null in an object for server-side apply"),
        Value::Array(values) => values.iter().for_each(assert_no_nulls),
        Value::Object(fields) => fields.values().for_each(assert_no_nulls),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn findings(
    translated: &BTreeMap<ObjectKey, Vec<Finding>>,
    matched: &MatchedSettings,
    children: &[Children],
) -> String {
    // What is wrong with routes and listeners has golden files of its own.
    let is_about = |finding: &&Finding| finding.path.as_str().contains("parametersRef");
    let about = translated.values().flatten().filter(is_about);
    let findings = about.chain(matched.findings.values().flatten());
    let all = findings.chain(children.iter().flat_map(|children| &children.findings));
    let line = |finding: &Finding| format!("{}/{}: {finding}", finding.condition, finding.reason);
    let lines: Vec<String> = all.map(line).collect();
    if lines.is_empty() { String::new() } else { serde_saphyr::to_string(&lines).unwrap() }
}

/// Compares with a file; one that is empty need not be there.
fn check(path: &Path, actual: &str, failures: &mut Vec<String>) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        if actual.is_empty() {
            fs::remove_file(path).unwrap();
        } else {
            fs::write(path, actual).unwrap();
        }
        return;
    }
    let diff = similar_asserts::SimpleDiff::from_str(&expected, actual, "expected", "actual");
    failures.push(format!("{}\n{diff}", path.display()));
}

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: web, namespace: shop}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}
";

fn one_plan(more: &str) -> (Plan, IngressSettings) {
    let Case { plans, matched, .. } = read(&format!("{GATEWAY}{more}"));
    let (name, plan) = plans.into_iter().next().unwrap();
    (plan, matched.settings[&name].clone())
}

/// A pod is replaced when its image or arguments change, and for nothing that the snapshot brings.
#[test]
fn pods_are_replaced_for_their_image_and_arguments_only() {
    let template = |more: &str, image: &str| {
        let (plan, settings) = one_plan(more);
        let defaults = ChildDefaults { image: image.to_owned(), ..defaults() };
        plan_children(&plan, &settings, &defaults).deployment.spec.unwrap().template
    };
    let before = template("", "proxy:1");
    let another_server = "
  - {port: {number: 9000, name: tcp, protocol: TCP}, hosts: ['*']}
";
    assert_eq!(template(another_server, "proxy:1"), before);
    let settings = |proxy: &str| {
        format!(
            "---
apiVersion: postern.dev/v1alpha1
kind: IngressGateway
metadata: {{name: edge, namespace: istio-system}}
spec: {{selector: {{istio: ingressgateway}}, replicas: 3, proxy: {proxy}, service: {{type: NodePort}}}}
"
        )
    };
    assert_eq!(template(&settings("{trustedHops: 2}"), "proxy:1"), before);
    assert_ne!(template(&settings("{workers: 2}"), "proxy:1"), before);
    assert_ne!(template("", "proxy:2"), before);
}

#[test]
fn trusted_hops_are_in_the_snapshot() {
    let (mut plan, settings) = one_plan(
        "---
apiVersion: postern.dev/v1alpha1
kind: IngressGateway
metadata: {name: edge, namespace: istio-system}
spec: {selector: {istio: ingressgateway}, proxy: {trustedHops: 2}}
",
    );
    let before = serde_json::to_value(&plan.snapshot.routes).unwrap();
    settings.write_into(&mut plan.snapshot);
    let after = serde_json::to_value(&plan.snapshot.routes).unwrap();
    let hops = "/listeners/0/protocol/http/settings/xffTrustedHops";
    assert_eq!((before.pointer(hops), after.pointer(hops)), (None, Some(&2.into())), "{after}");
    // It says how everything is to be, so a second time changes nothing.
    settings.write_into(&mut plan.snapshot);
    assert_eq!(serde_json::to_value(&plan.snapshot.routes).unwrap(), after);
}

/// Who owns an ingress owns all that it consists of.
#[test]
fn an_owner_is_on_every_object() {
    let (plan, mut settings) = one_plan("");
    settings.spec.autoscaling = Some(serde_json::from_value(serde_json::json!({"maxReplicas": 3})).unwrap());
    let has_owner = |object: &Value| object.pointer("/metadata/ownerReferences/0/name").is_some();
    let count = |settings: &IngressSettings| {
        let children = plan_children(&plan, settings, &defaults()).objects().unwrap();
        let encoded = encode(&plan.snapshot, &EncodeOptions::default()).unwrap();
        let publication = publication(&encoded, &plan.ingress, settings, &Published::default()).unwrap();
        let written = publication.writes().map(|write| {
            use postern_translate::children::publication::Write;
            match write {
                Write::ConfigMap(object) => serde_json::to_value(object).unwrap(),
                Write::Secret(object) => serde_json::to_value(object).unwrap(),
                Write::DeleteConfigMap(_) | Write::DeleteSecret(_) => panic!("nothing to delete yet"),
            }
        });
        let objects: Vec<Value> = children.into_iter().chain(written).collect();
        (objects.iter().filter(|object| has_owner(object)).count(), objects.len())
    };
    assert_eq!(count(&settings), (0, 7));
    settings.owner = Some(OwnerReference { name: "web".to_owned(), ..OwnerReference::default() });
    assert_eq!(count(&settings), (7, 7));
}
