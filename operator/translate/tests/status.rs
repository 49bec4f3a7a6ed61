//! Golden files of statuses: `tests/status/<case>/input.yaml`, objects with the statuses that they have, and how their
//! ingresses run in `run.yaml`, beside `status.yaml`, the statuses that they get. `tests/golden/_defaults.yaml` is part of
//! every case's input.
//!
//! `UPDATE_GOLDEN=1 cargo test -p postern-translate --test status` writes them anew; look at the diff then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::envoy_filter::EnvoyFilter;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::ObjectKey;
use postern_api::parse::parse;
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_snapshot::ack::{Ack, Applied, Refused, Rejected};
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_snapshot::manifest::Hash;
use postern_translate::children::elsewhere::{Workload, managed_elsewhere};
use postern_translate::children::settings::match_settings;
use postern_translate::status::{
    ApplyProblem, IngressView, Proxy, Status, Subject, claims_programmed, status_of,
};
use postern_translate::{Finding, IngressName, Options, Plan, World, translate};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::{Value, json};

/// How an ingress runs.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Run {
    addresses: Vec<String>,
    wanted: usize,
    unpublished: bool,
    problems: Vec<Trouble>,
    proxies: BTreeMap<String, Said>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trouble {
    kind: String,
    path: Option<String>,
    owner: Option<String>,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Said {
    /// It serves the newest snapshot.
    newest: bool,
    /// It serves one with the newest generations, of the round in which each object is for the first time: 0.
    older: bool,
    /// It serves one that nobody remembers.
    forgotten: bool,
    refused: Vec<Refused>,
    rejected: Option<String>,
}

#[test]
fn golden() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status");
    let mut cases: Vec<PathBuf> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 10, "cases are missing in {}", root.display());
    let mut failures = Vec::new();
    for case in &cases {
        check(case, &mut failures);
    }
    assert!(failures.is_empty(), "{} files differ:\n{}", failures.len(), failures.join("\n"));
}

fn check(case: &Path, failures: &mut Vec<String>) {
    let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
    let runs: BTreeMap<String, Run> = serde_saphyr::from_str(&read("run.yaml")).unwrap();
    let mut scene = Scene::read(&read("input.yaml"));
    let names: BTreeSet<_> = scene.plans.keys().map(|name| &name.name).collect();
    assert!(runs.keys().all(|name| names.contains(name)), "{}: {names:?}", case.display());
    scene.write(&runs, "2026-11-24T15:00:00Z");
    let text = serde_saphyr::to_string(&scene.shown()).unwrap();
    let path = case.join("status.yaml");
    let expected = fs::read_to_string(&path).unwrap_or_default();
    if text != expected {
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &text).unwrap();
        } else {
            let diff = similar_asserts::SimpleDiff::from_str(&expected, &text, "expected", "actual");
            failures.push(format!("{}\n{diff}", path.display()));
        }
    }
    let written = scene.write(&runs, "2026-11-24T16:00:00Z");
    assert_eq!(written, 0, "{}: what is written is not written again", case.display());
}

/// Objects, and what they mean.
struct Scene {
    subjects: BTreeMap<ObjectKey, (i64, Value)>,
    claimed: BTreeSet<ObjectKey>,
    findings: BTreeMap<ObjectKey, Vec<Finding>>,
    plans: BTreeMap<IngressName, Plan>,
    settings: BTreeMap<IngressName, ObjectKey>,
}

impl Scene {
    fn read(input: &str) -> Self {
        let defaults = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/_defaults.yaml");
        let defaults = fs::read_to_string(defaults).unwrap();
        let mut world = World::builder();
        let (mut subjects, mut settings, mut workloads) = (BTreeMap::new(), Vec::new(), Vec::new());
        let mut gateways = Vec::new();
        for document in [defaults.as_str(), input].into_iter().flat_map(common::documents) {
            subjects.extend(subject(&document));
            match document["kind"].as_str().unwrap() {
                "IngressGateway" => {
                    settings.push(parse::<IngressGateway>(document.clone()).object.unwrap());
                    common::add(&mut world, document);
                }
                "Pod" => workloads
                    .push(Workload::of_pod(&serde_json::from_value(document["metadata"].clone()).unwrap())),
                "Gateway" if !is_gateway_api(&document) => gateways.push(document),
                _ => common::add(&mut world, document),
            }
        }
        let parsed: Vec<_> = gateways.iter().filter_map(|it| parse::<Gateway>(it.clone()).object).collect();
        let elsewhere = managed_elsewhere(&parsed, &workloads);
        for document in gateways {
            if !elsewhere.gateways.contains(&subject(&document).unwrap().0) {
                common::add(&mut world, document);
            }
        }
        let outcome = translate(&world.build(), &Options::default());
        let matched = match_settings(&outcome.plans, &settings);
        let mut findings = outcome.findings;
        let more = matched.findings.into_iter();
        let more = more.chain(elsewhere.findings.into_iter().map(|(key, it)| (key, vec![it])));
        for (key, list) in more {
            findings.entry(key).or_default().extend(list);
        }
        let settings =
            matched.settings.into_iter().filter_map(|(name, it)| Some((name, it.object?))).collect();
        let claims = |(key, (generation, status)): (&ObjectKey, &(i64, Value))| {
            claims_programmed(status, *generation).then(|| key.clone())
        };
        let claimed = subjects.iter().filter_map(claims).collect();
        Self { subjects, claimed, findings, plans: outcome.plans, settings }
    }

    /// Gives every object its status, and says how many had another one.
    fn write(&mut self, runs: &BTreeMap<String, Run>, now: &str) -> usize {
        let mut changes = Vec::new();
        {
            let running: Vec<_> = self.plans.values().map(|plan| Running::new(plan, runs)).collect();
            let views: Vec<_> =
                running.iter().map(|it| it.view(self.settings.get(&it.plan.ingress))).collect();
            for (key, (generation, status)) in &self.subjects {
                let findings = self.findings.get(key).map_or(&[][..], Vec::as_slice);
                let claimed = self.claimed.contains(key);
                let subject = Subject { key, generation: *generation, status, findings, since: 1, claimed };
                changes.push((key.clone(), status_of(&subject, &views, &time(now))));
            }
        }
        let mut written = 0;
        for (key, Status { patch, .. }) in changes {
            let status = &mut self.subjects.get_mut(&key).unwrap().1;
            for (field, value) in patch.iter().flatten() {
                if status.is_null() {
                    *status = json!({});
                }
                if value.is_null() {
                    status.as_object_mut().unwrap().remove(field);
                } else {
                    status[field] = value.clone();
                }
            }
            written += usize::from(patch.is_some());
        }
        written
    }

    fn shown(&self) -> BTreeMap<String, Value> {
        self.subjects.iter().map(|(key, (_, status))| (key.to_string(), status.clone())).collect()
    }
}

/// Those have golden files of their own.
fn is_gateway_api(document: &Value) -> bool {
    document["apiVersion"].as_str().unwrap().starts_with(postern_api::gateway_api::GROUP)
}

fn subject(document: &Value) -> Option<(ObjectKey, (i64, Value))> {
    let metadata = &document["metadata"];
    let name = metadata["name"].as_str().unwrap().to_owned();
    let namespace = metadata["namespace"].as_str().unwrap_or("default").to_owned();
    let key = match document["kind"].as_str().unwrap() {
        _ if is_gateway_api(document) => return None,
        "Gateway" => ObjectKey::new::<Gateway>(namespace, name),
        "VirtualService" => ObjectKey::new::<VirtualService>(namespace, name),
        "DestinationRule" => ObjectKey::new::<DestinationRule>(namespace, name),
        "ServiceEntry" => ObjectKey::new::<ServiceEntry>(namespace, name),
        "EnvoyFilter" => ObjectKey::new::<EnvoyFilter>(namespace, name),
        "IngressGateway" => ObjectKey::new::<IngressGateway>(namespace, name),
        _ => return None,
    };
    Some((key, (metadata["generation"].as_i64().unwrap_or_default(), document["status"].clone())))
}

fn time(text: &str) -> Time {
    serde_json::from_value(json!(text)).unwrap()
}

/// An ingress with its proxies.
struct Running<'a> {
    plan: &'a Plan,
    hash: Hash,
    gateways: BTreeSet<ObjectKey>,
    problems: Vec<ApplyProblem>,
    proxies: Vec<Proxy>,
    addresses: Vec<String>,
    wanted: usize,
    published: bool,
}

impl<'a> Running<'a> {
    fn new(plan: &'a Plan, runs: &BTreeMap<String, Run>) -> Self {
        let none = Run::default();
        let run = runs.get(&plan.ingress.name).unwrap_or(&none);
        let hash = encode(&plan.snapshot, &EncodeOptions::default()).unwrap().manifest.hash;
        let of_plan = plan.programmed.keys().chain(plan.listeners.values().flatten());
        Self {
            plan,
            hash,
            gateways: of_plan.filter(|key| key.kind.name == "Gateway").cloned().collect(),
            problems: run.problems.iter().map(|it| problem(it, plan)).collect(),
            proxies: run.proxies.iter().map(|(name, said)| proxy(name, said, plan, hash)).collect(),
            addresses: run.addresses.clone(),
            wanted: run.wanted,
            published: !run.unpublished,
        }
    }

    fn view<'b>(&'b self, settings: Option<&'b ObjectKey>) -> IngressView<'b> {
        IngressView {
            name: &self.plan.ingress,
            plan: self.plan,
            hash: Some(self.hash),
            published: self.published,
            problems: &self.problems,
            settings,
            gateways: &self.gateways,
            addresses: &self.addresses,
            wanted: self.wanted,
            proxies: &self.proxies,
        }
    }
}

fn problem(trouble: &Trouble, plan: &Plan) -> ApplyProblem {
    let IngressName { namespace, name } = plan.ingress.clone();
    ApplyProblem {
        object: match trouble.kind.as_str() {
            "Deployment" => ObjectKey::new::<Deployment>(namespace, name),
            _ => ObjectKey::new::<ConfigMap>(namespace, name),
        },
        path: trouble.path.clone(),
        owner: trouble.owner.clone(),
        message: trouble.message.clone(),
    }
}

fn proxy(name: &str, said: &Said, plan: &Plan, newest: Hash) -> Proxy {
    let hash = if said.newest { newest } else { Hash::of(b"an older one") };
    let applied = (said.newest || said.older || said.forgotten).then(|| Applied {
        hash,
        ingress: plan.ingress.to_string(),
        sources: plan.snapshot.sources.clone(),
        refused: said.refused.clone(),
    });
    let rejected =
        said.rejected.as_ref().map(|problem| Rejected { hash: Some(newest), problem: problem.clone() });
    let heard = applied.is_some() || rejected.is_some();
    let ack = Ack { proxy_version: "1".to_owned(), applied, rejected };
    let round = if said.forgotten { None } else { Some(u64::from(said.newest)) };
    Proxy { name: name.to_owned(), ack: heard.then(|| Arc::new(ack.into())), round }
}

/// Statuses that somebody else, or an older Postern, may have written.
fn some_status() -> impl Strategy<Value = Value> {
    let condition = (
        prop_oneof![Just("Accepted"), Just("ResolvedRefs"), Just("Programmed"), Just("Reconciled"), Just("")],
        prop_oneof![Just("True"), Just("False"), Just("Unknown"), Just("")],
        prop_oneof![Just("Programmed"), Just("ManagedElsewhere"), Just("Mine")],
        prop_oneof![Just(json!(1)), Just(json!("1")), Just(json!(2)), Just(Value::Null)],
        prop_oneof![Just(json!("2020-01-01T00:00:00Z")), Just(Value::Null)],
    );
    let condition = condition.prop_map(|(type_, status, reason, generation, time)| {
        json!({"type": type_, "status": status, "reason": reason, "message": "m",
            "observedGeneration": generation, "lastTransitionTime": time})
    });
    let field = prop_oneof![
        Just(json!([])),
        Just(json!("x")),
        Just(Value::Null),
        Just(json!([{"value": "1.2.3.4"}]))
    ];
    (proptest::collection::vec(condition, 0..5), field.clone(), field, any::<bool>()).prop_map(
        |(conditions, addresses, messages, some)| {
            let status =
                json!({"conditions": conditions, "addresses": addresses, "validationMessages": messages});
            if some { status } else { Value::Null }
        },
    )
}

fn foreign(status: &Value) -> Vec<Value> {
    let ours = ["Accepted", "ResolvedRefs", "Programmed"];
    let list = status["conditions"].as_array().cloned().unwrap_or_default();
    list.into_iter().filter(|it| !ours.iter().any(|ours| it["type"] == *ours)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is there before: the second time nothing is written, and what others say stays.
    #[test]
    fn writing_twice_changes_nothing(before in some_status(), newest in any::<bool>(), elsewhere in any::<bool>()) {
        let case = if elsewhere { "managed_elsewhere" } else { "partially_invalid" };
        let input = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/status").join(case).join("input.yaml");
        let mut scene = Scene::read(&fs::read_to_string(input).unwrap());
        for (_, status) in scene.subjects.values_mut() {
            *status = before.clone();
        }
        let run = || Run {
            wanted: 1,
            proxies: [("a".to_owned(), Said { newest, ..Said::default() })].into(),
            ..Run::default()
        };
        let runs = [("istio-ingressgateway".to_owned(), run())].into();
        scene.write(&runs, "2026-11-24T15:00:00Z");
        for (_, status) in scene.subjects.values() {
            prop_assert_eq!(foreign(status), foreign(&before));
        }
        let after = scene.shown();
        prop_assert_eq!(scene.write(&runs, "2026-11-24T16:00:00Z"), 0);
        prop_assert_eq!(scene.shown(), after);
    }
}
