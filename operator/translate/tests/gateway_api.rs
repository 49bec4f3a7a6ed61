//! Statuses of the Gateway API's objects, and the objects of Istio that they mean: beside each `tests/golden/gateway_api/<case>/input.yaml` stands `statuses.yaml`,
//! what is written when one proxy of each ingress serves its newest snapshot, and its Service has an address, and
//! `istio.yaml`. Where a Gateway is of a translating class `written.yaml` has the objects that are in the cluster then.
//!
//! `UPDATE_GOLDEN=1 cargo test -p postern-translate --test gateway_api` writes them anew; look at the diff then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::finding::Level;
use postern_api::gateway_api::GROUP;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::{Kind, ObjectKey};
use postern_api::parse::parse;
use postern_snapshot::ack::{Ack, Applied};
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_translate::gateway_api::{IstioObject, Mode, Translated, istio_objects};
use postern_translate::status::{
    ApplyProblem, IngressView, Proxy, Running, Subject, TranslatedView, gateway_api_status_of,
};
use postern_translate::{Options, Outcome, World, translate};
use serde_json::{Map, Value, json};

#[test]
fn golden() {
    let mut failures = Vec::new();
    let cases = cases();
    assert!(cases.len() >= 90, "cases are missing");
    for case in cases {
        let mut scene = Scene::read(&fs::read_to_string(case.join("input.yaml")).unwrap(), true);
        scene.write();
        let text = serde_saphyr::to_string(&scene.shown()).unwrap();
        compare(&case.join("statuses.yaml"), &text, &mut failures);
        let objects = istio_objects(&scene.world, &Options::default());
        objects.iter().for_each(is_valid);
        compare(&case.join("istio.yaml"), &objects.iter().map(written).collect::<String>(), &mut failures);
        let objects = scene.outcome.translated.objects.values().map(|written| &written.object);
        let text = objects.map(|object| format!("---\n{}", serde_saphyr::to_string(object).unwrap()));
        compare(&case.join("written.yaml"), &text.collect::<String>(), &mut failures);
        assert_eq!(scene.write(), 0, "{}: what is written is not written again", case.display());
    }
    assert!(failures.is_empty(), "{} files differ:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn features_are_sorted() {
    for mode in Mode::ALL {
        let mut sorted = mode.supported_features().to_vec();
        sorted.sort_unstable();
        assert_eq!(sorted, mode.supported_features());
    }
    // What others serve is not more than what Postern does.
    let served = Mode::Serving.supported_features();
    assert!(Mode::Translating.supported_features().iter().all(|feature| served.contains(feature)));
}

#[test]
fn nothing_is_programmed_before_a_proxy_says_so() {
    let input = fs::read_to_string(case("simple").join("input.yaml")).unwrap();
    let mut scene = Scene::read(&input, false);
    scene.write();
    let status = scene.status("Gateway shop/web");
    assert_eq!(condition(&status["conditions"], "Accepted")["status"], "True");
    let programmed = condition(&status["conditions"], "Programmed");
    assert_eq!((&programmed["status"], &programmed["reason"]), (&json!("False"), &json!("Pending")));
    let listener = condition(&status["listeners"][0]["conditions"], "Programmed");
    assert_eq!(listener["status"], "False");
}

#[test]
fn entries_of_other_controllers_stay() {
    let other =
        json!({"parentRef": {"name": "web"}, "controllerName": "example.com/other", "conditions": []});
    let ours = json!({"parentRef": {"name": "gone"}, "controllerName": "postern.dev/gateway-controller", "conditions": []});
    let input = fs::read_to_string(case("simple").join("input.yaml")).unwrap();
    let mut scene = Scene::read(&input, true);
    scene.set("HTTPRoute shop/api", json!({"parents": [ours, other]}));
    scene.write();
    let parents = scene.status("HTTPRoute shop/api")["parents"].clone();
    assert_eq!(parents[0], other, "the other controller's is as it was");
    assert_eq!(
        parents[1]["parentRef"],
        json!({"name": "web"}),
        "and the one of a parent that is not named any more is gone"
    );
    assert_eq!(parents.as_array().unwrap().len(), 2);

    // The API server fills in defaults: that is no change.
    let mut status = scene.status("HTTPRoute shop/api").clone();
    status["parents"][1]["parentRef"] = json!({"group": GROUP, "kind": "Gateway", "name": "web"});
    scene.set("HTTPRoute shop/api", status);
    assert_eq!(scene.write(), 0);
}

#[test]
fn a_gateway_needs_the_address_that_it_asks_for() {
    let input = fs::read_to_string(case("simple").join("input.yaml")).unwrap();
    let input = input.replace(
        "gatewayClassName: postern\n",
        "gatewayClassName: postern\n  addresses: [{ value: 192.0.2.9 }]\n",
    );
    for addresses in [vec!["192.0.2.1".to_owned()], vec![]] {
        let mut scene = Scene::read(&input, true);
        scene.addresses = addresses;
        scene.write();
        let programmed = condition(&scene.status("Gateway shop/web")["conditions"], "Programmed").clone();
        assert_eq!(
            (&programmed["status"], &programmed["reason"]),
            (&json!("False"), &json!("AddressNotUsable"))
        );
    }
}

/// Programmed of the Gateway of the case `translating`.
fn translated_programmed(scene: &mut Scene) -> (Value, Value, String) {
    scene.write();
    let programmed = condition(&scene.status("Gateway shop/web")["conditions"], "Programmed").clone();
    let message = programmed["message"].as_str().unwrap().to_owned();
    (programmed["status"].clone(), programmed["reason"].clone(), message)
}

#[test]
fn a_translated_gateway_is_programmed_when_its_objects_are_in_the_cluster() {
    let input = fs::read_to_string(case("translating").join("input.yaml")).unwrap();
    let mut scene = Scene::read(&input, false);
    let (status, reason, message) = translated_programmed(&mut scene);
    assert_eq!((status, reason), (json!("False"), json!("Pending")));
    assert!(message.starts_with("6 of 6 objects"), "{message}");

    let gateway = ObjectKey::new::<postern_api::gateway_api::gateway::Gateway>("shop", "web");
    let view = scene.translated.get_mut(&gateway).unwrap();
    view.objects.values_mut().for_each(|there| *there = true);
    assert_eq!(translated_programmed(&mut scene).0, json!("True"));

    let object = ObjectKey::new::<VirtualService>("shop", "api");
    let problem = ApplyProblem { object, path: None, owner: None, message: "it is there already".to_owned() };
    scene.translated.get_mut(&gateway).unwrap().problems.push(problem);
    let (status, reason, message) = translated_programmed(&mut scene);
    assert_eq!((status, reason), (json!("False"), json!("ApplyFailed")));
    assert_eq!(message, "VirtualService shop/api: it is there already");
    let set = condition(&scene.status("ListenerSet team/more")["conditions"], "Programmed");
    assert_eq!(set["status"], "False", "a ListenerSet is written with its Gateway");
}

#[test]
fn a_translated_gateway_needs_the_address_that_it_asks_for() {
    let input = fs::read_to_string(case("translating").join("input.yaml")).unwrap();
    let asking = "gatewayClassName: postern-istio\n  addresses: [{ value: 192.0.2.7 }]\n";
    let mut scene = Scene::read(&input.replace("gatewayClassName: postern-istio\n", asking), true);
    assert_eq!(translated_programmed(&mut scene).0, json!("True"));
    scene.load_balancers.clear();
    assert_eq!(translated_programmed(&mut scene).1, json!("AddressNotUsable"));
}

/// A key of an object of Istio, and the labels that Postern gave it.
type Labelled = (ObjectKey, BTreeMap<String, String>);

fn labelled(outcome: &Outcome) -> Vec<Labelled> {
    let labels = |object: &IstioObject| {
        let value = serde_json::to_value(object).unwrap();
        serde_json::from_value(value["metadata"]["labels"].clone()).unwrap()
    };
    let objects = outcome.translated.objects.iter();
    objects.map(|(key, written)| (key.clone(), labels(&written.object))).collect()
}

#[test]
fn what_is_not_meant_any_more_is_unwanted_unless_its_gateway_is_held() {
    let input = fs::read_to_string(case("translating").join("input.yaml")).unwrap();
    let before = labelled(&Scene::read(&input, true).outcome);
    let unwanted = |input: &str| -> Vec<String> {
        let translated = Scene::read(input, true).outcome.translated;
        let unwanted = before.iter().filter(|(key, labels)| translated.is_unwanted(key, labels));
        unwanted.map(|(key, _)| key.to_string()).collect()
    };
    assert_eq!(unwanted(&input), [""; 0]);
    assert_eq!(before.len(), 6);
    assert_eq!(unwanted("").len(), 6, "without the class");
    let other = "parentRefs: [{ name: other }]";
    let detached = unwanted(&input.replace("parentRefs: [{ name: web }, { name: own }]", other));
    assert_eq!(detached.len(), 1, "{detached:?}");
    assert!(detached[0].starts_with("VirtualService shop/api-"), "{detached:?}");
    let lost = "controllerName: postern.dev/istio-translator, parametersRef: { group: '', kind: ConfigMap, name: x, namespace: x } }";
    let held = unwanted(&input.replace("controllerName: postern.dev/istio-translator }", lost));
    assert_eq!(held, [""; 0], "a selector that is lost takes nothing away");
}

fn compare(path: &Path, text: &str, failures: &mut Vec<String>) {
    let expected = fs::read_to_string(path).unwrap_or_default();
    if text == expected {
        return;
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, text).unwrap();
    } else {
        let diff = similar_asserts::SimpleDiff::from_str(&expected, text, "expected", "actual");
        failures.push(format!("{}\n{diff}", path.display()));
    }
}

fn written(translated: &Translated) -> String {
    let notes: String = translated.comments().map(|comment| format!("{comment}\n")).collect();
    let object = translated.object.as_ref().map(|object| serde_saphyr::to_string(object).unwrap());
    format!("---\n{notes}{}", object.unwrap_or_default())
}

/// What is printed is what Istio takes: it is read without an error.
fn is_valid(translated: &Translated) {
    let Some(object) = &translated.object else {
        assert!(!translated.notes.is_empty());
        return;
    };
    let value = serde_json::to_value(object).unwrap();
    let findings = match object {
        IstioObject::Gateway(_) => parse::<Gateway>(value.clone()).findings,
        IstioObject::VirtualService(_) => parse::<VirtualService>(value.clone()).findings,
        IstioObject::DestinationRule(_) => parse::<DestinationRule>(value.clone()).findings,
        IstioObject::ServiceEntry(_) => parse::<ServiceEntry>(value.clone()).findings,
    };
    let errors: Vec<_> = findings.iter().filter(|finding| finding.level == Level::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{value:#}");
}

fn condition<'v>(list: &'v Value, type_: &str) -> &'v Value {
    list.as_array().unwrap().iter().find(|condition| condition["type"] == type_).unwrap()
}

fn cases() -> Vec<PathBuf> {
    let root = case("simple").parent().unwrap().to_owned();
    let mut cases: Vec<_> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    cases
}

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/gateway_api").join(name)
}

/// Objects with their statuses, and what they mean.
struct Scene {
    world: World,
    outcome: Outcome,
    /// Those of the Gateway API.
    statuses: BTreeMap<ObjectKey, Value>,
    /// Whether proxies are ready, and objects written.
    runs: bool,
    /// Those of every Service of an ingress.
    addresses: Vec<String>,
    /// What is written of the Gateways of translating classes.
    translated: BTreeMap<ObjectKey, TranslatedView>,
    /// The addresses of Services that are not Postern's.
    load_balancers: BTreeMap<ObjectKey, Vec<String>>,
}

impl Scene {
    fn read(input: &str, runs: bool) -> Self {
        let defaults = case("simple").join("../../_defaults.yaml");
        let defaults = fs::read_to_string(defaults).unwrap();
        let mut world = World::builder();
        let mut statuses = BTreeMap::new();
        for document in [defaults.as_str(), input].into_iter().flat_map(common::documents) {
            statuses.extend(key(&document).map(|key| (key, json!({}))));
            common::add(&mut world, document);
        }
        let world = world.build();
        let outcome = translate(&world, &Options::default());
        let mut translated: BTreeMap<_, TranslatedView> = BTreeMap::new();
        for (key, written) in &outcome.translated.objects {
            for gateway in &written.gateways {
                translated.entry(gateway.clone()).or_default().objects.insert(key.clone(), runs);
            }
        }
        let load_balancer = ObjectKey::new::<Service>("istio-ingress", "istio-ingressgateway");
        Self {
            outcome,
            world,
            statuses,
            runs,
            addresses: vec!["192.0.2.1".to_owned()],
            translated,
            load_balancers: [(load_balancer, vec!["192.0.2.7".to_owned()])].into(),
        }
    }

    /// Writes what has to change; returns of how many objects.
    fn write(&mut self) -> usize {
        let gateways = BTreeSet::new();
        let proxies: Vec<_> = self.outcome.plans.values().map(|plan| self.proxies(plan)).collect();
        let views: Vec<_> = self
            .outcome
            .plans
            .values()
            .zip(&proxies)
            .map(|(plan, proxies)| IngressView {
                name: &plan.ingress,
                plan,
                hash: Some(encode(&plan.snapshot, &EncodeOptions::default()).unwrap().manifest.hash),
                published: true,
                problems: &[],
                settings: None,
                gateways: &gateways,
                addresses: &self.addresses,
                wanted: 1,
                proxies,
            })
            .collect();
        let now = Time("2026-11-24T15:00:00Z".parse().unwrap());
        let mut written = 0;
        for (key, status) in &mut self.statuses {
            let findings = self.outcome.findings.get(key).map_or(&[][..], Vec::as_slice);
            let before = status.clone();
            let subject = Subject { key, generation: 0, status: &before, findings, since: 0, claimed: false };
            let running =
                Running { ingresses: &views, translated: &self.translated, addresses: &self.load_balancers };
            let Some(found) = gateway_api_status_of(&subject, &self.outcome.gateway_api, running, &now)
            else {
                continue;
            };
            let patch: Map<String, Value> = found.patch.unwrap_or_default();
            written += usize::from(!patch.is_empty());
            for (field, value) in patch {
                status[field] = value;
            }
        }
        written
    }

    fn proxies(&self, plan: &postern_translate::Plan) -> Vec<Proxy> {
        if !self.runs {
            return Vec::new();
        }
        let manifest = encode(&plan.snapshot, &EncodeOptions::default()).unwrap().manifest;
        let applied = Applied {
            hash: manifest.hash,
            ingress: plan.ingress.to_string(),
            sources: plan.snapshot.sources.clone(),
            refused: Vec::new(),
        };
        let ack = Ack { proxy_version: "test".to_owned(), applied: Some(applied), rejected: None };
        vec![Proxy { name: "proxy-1".to_owned(), ack: Some(Arc::new(ack.into())), round: None }]
    }

    fn status(&self, key: &str) -> &Value {
        self.statuses.iter().find(|(found, _)| found.to_string() == key).unwrap().1
    }

    fn set(&mut self, key: &str, status: Value) {
        *self.statuses.iter_mut().find(|(found, _)| found.to_string() == key).unwrap().1 = status;
    }

    /// All statuses that there are, without times.
    fn shown(&self) -> BTreeMap<String, Value> {
        let written = self.statuses.iter().filter(|(_, status)| **status != json!({}));
        written.map(|(key, status)| (key.to_string(), without_times(status.clone()))).collect()
    }
}

fn key(document: &Value) -> Option<ObjectKey> {
    const KINDS: [&str; 10] = [
        "GatewayClass",
        "Gateway",
        "ListenerSet",
        "HTTPRoute",
        "GRPCRoute",
        "TLSRoute",
        "TCPRoute",
        "UDPRoute",
        "ReferenceGrant",
        "BackendTLSPolicy",
    ];
    if !document["apiVersion"].as_str()?.starts_with(GROUP) {
        return None;
    }
    let name = KINDS.into_iter().find(|kind| document["kind"] == *kind)?;
    let namespace = if name == "GatewayClass" { "" } else { document["metadata"]["namespace"].as_str()? };
    let kind = Kind { name, group: GROUP };
    let text = |value: &str| value.to_owned();
    Some(ObjectKey { kind, namespace: text(namespace), name: text(document["metadata"]["name"].as_str()?) })
}

fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("lastTransitionTime");
            fields.remove("observedGeneration");
            // They are the same everywhere.
            fields.remove("supportedFeatures");
            fields.values_mut().for_each(|field| *field = without_times(field.take()));
        }
        Value::Array(elements) => elements.iter_mut().for_each(|it| *it = without_times(it.take())),
        _ => {}
    }
    value
}
