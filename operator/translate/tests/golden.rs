//! Golden files: `tests/golden/<area>/<case>/input.yaml` beside what must come out of it, `plan.yaml` and
//! `findings.yaml`. `tests/golden/_defaults.yaml` is part of every case's input. With an `options.yaml` that says
//! `local: true` the options are those of `postern serve`.
//!
//! `UPDATE_GOLDEN=1 cargo test -p postern-translate --test golden` writes them anew; look at the diff then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use postern_snapshot::model::{Certificates, Endpoint, Routes};
use postern_translate::{Finding, Options, Outcome, Plan, World, translate};
use serde::Serialize;
use serde_json::Value;

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut failures = Vec::new();
    let cases = cases(&root);
    assert!(cases.len() >= 2, "no cases in {}", root.display());
    let defaults = fs::read_to_string(root.join("_defaults.yaml")).unwrap();
    for case in &cases {
        let outcome = run(case, &defaults);
        check(&case.join("plan.yaml"), &plans(&outcome), update, &mut failures);
        check(&case.join("findings.yaml"), &findings(&outcome), update, &mut failures);
    }
    assert!(
        failures.is_empty(),
        "{} of {} cases differ:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let directories = |path: &Path| {
        let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.is_dir()).collect::<Vec<_>>()
    };
    let mut cases: Vec<_> = directories(root).iter().flat_map(|area| directories(area)).collect();
    cases.sort();
    cases
}

fn run(case: &Path, defaults: &str) -> Outcome {
    let input = fs::read_to_string(case.join("input.yaml")).unwrap();
    let documents = [defaults, &input].into_iter().flat_map(common::documents);
    let mut world = World::builder();
    for document in documents {
        common::add(&mut world, document);
    }
    translate(&world.build(), &options(case))
}

fn options(case: &Path) -> Options {
    let Ok(text) = fs::read_to_string(case.join("options.yaml")) else { return Options::default() };
    let value: Value = serde_saphyr::from_str(&text).unwrap();
    match value.get("local").and_then(Value::as_bool) {
        Some(true) => Options::local(),
        _ => panic!("{}: options.yaml can only say `local: true`", case.display()),
    }
}

fn check(path: &Path, actual: &str, update: bool, failures: &mut Vec<String>) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if expected == actual {
        return;
    }
    if update {
        fs::write(path, actual).unwrap();
        return;
    }
    let diff = similar_asserts::SimpleDiff::from_str(&expected, actual, "expected", "actual");
    failures.push(format!("{}\n{diff}", path.display()));
}

fn yaml<T: Serialize>(value: &T) -> String {
    let text = serde_saphyr::to_string(value).unwrap();
    if text.ends_with('\n') { text } else { format!("{text}\n") }
}

/// A Plan as people read it.
#[derive(Serialize)]
struct PlanView<'a> {
    ingress: String,
    labels: &'a BTreeMap<String, String>,
    ports: Vec<String>,
    programmed: Vec<String>,
    routes: &'a Routes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    endpoints: BTreeMap<&'a str, Vec<String>>,
    #[serde(skip_serializing_if = "is_empty")]
    certificates: &'a Certificates,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<&'a str>,
}

fn is_empty(certificates: &&Certificates) -> bool {
    **certificates == Certificates::default()
}

impl<'a> PlanView<'a> {
    fn new(plan: &'a Plan) -> Self {
        let snapshot = &plan.snapshot;
        let endpoint = |endpoint: &Endpoint| match endpoint.weight {
            Some(weight) => format!("{}:{} weight {weight}", endpoint.address, endpoint.port),
            None => format!("{}:{}", endpoint.address, endpoint.port),
        };
        assert_eq!(snapshot.ingress, plan.ingress.to_string());
        assert_eq!(snapshot.sources.len(), plan.programmed.len());
        Self {
            ingress: plan.ingress.to_string(),
            labels: &plan.labels,
            ports: plan
                .ports
                .iter()
                .map(|port| {
                    format!("{} {} -> {} ({})", port.name, port.port, port.target_port, port.app_protocol)
                })
                .collect(),
            programmed: plan
                .programmed
                .iter()
                .map(|(key, generation)| format!("{key} #{generation}"))
                .collect(),
            routes: &snapshot.routes,
            endpoints: snapshot
                .endpoints
                .0
                .iter()
                .map(|(cluster, endpoints)| (cluster.as_str(), endpoints.iter().map(endpoint).collect()))
                .collect(),
            certificates: &snapshot.certificates,
            keys: snapshot.keys.0.keys().map(postern_snapshot::KeyId::as_str).collect(),
        }
    }
}

fn plans(outcome: &Outcome) -> String {
    yaml(&outcome.plans.values().map(PlanView::new).collect::<Vec<_>>())
}

/// A finding without its object, which is the key.
#[derive(Serialize)]
struct FindingView<'a> {
    path: &'a str,
    level: String,
    condition: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    message: &'a str,
}

fn findings(outcome: &Outcome) -> String {
    fn view(finding: &Finding) -> FindingView<'_> {
        let Finding { object: _, path, level, condition, reason, message, code } = finding;
        let condition = format!("{condition}/{reason}");
        FindingView { path: path.as_str(), level: level.to_string(), condition, code: *code, message }
    }
    let by_object: BTreeMap<String, Vec<FindingView<'_>>> = outcome
        .findings
        .iter()
        .map(|(object, findings)| (object.to_string(), findings.iter().map(view).collect()))
        .collect();
    yaml(&by_object)
}
