//! What was read of the cluster, as the watches tell it, and what follows from a change.

mod kept;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::DynamicObject;
use postern_api::gateway_api::GROUP as GATEWAY_API;
use postern_api::gateway_api::reference_grant::ReferenceGrant;
use postern_api::istio::gateway::Gateway;
use postern_api::meta::{Kind, ObjectKey};
use postern_api::parse::Parsed;
use postern_translate::children::elsewhere::Workload;
use postern_translate::children::ingress_of;
use postern_translate::{IngressName, World, WorldObject, is_subset};

use super::apply::{KnownTranslated, Objects};
use super::observed;
use super::state::{Observed, Subject};
use super::watch::{Change, Key};
use kept::{Kept, keep};

/// What follows from changes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Effects {
    /// The World has to be translated again.
    pub(super) translate: bool,
    /// Objects' statuses, or versions, are others.
    pub(super) subjects: bool,
    /// What runs is another.
    pub(super) observed: bool,
    /// Something that runs these ingresses was changed, by whomever.
    pub(super) children: BTreeSet<IngressName>,
    /// The snapshots, or the pods, of these ingresses were changed, by whomever.
    pub(super) volumes: BTreeSet<IngressName>,
    /// Objects of Istio that Postern wrote were changed, by whomever.
    pub(super) translated: bool,
    /// Pods of anybody's that came, went, or got other labels.
    workloads: Vec<Workload>,
}

impl Effects {
    /// Is there something to write?
    pub(super) fn is_work(&self) -> bool {
        self.translate || self.translated || !self.children.is_empty() || !self.volumes.is_empty()
    }

    /// Together with what follows from another change.
    pub(super) fn add(&mut self, other: Self) {
        self.translate |= other.translate;
        self.subjects |= other.subjects;
        self.observed |= other.observed;
        self.translated |= other.translated;
        self.children.extend(other.children);
        self.volumes.extend(other.volumes);
    }

    fn touched(&mut self, key: &Key, object: &DynamicObject) {
        let volume = [Pod::KIND, ConfigMap::KIND, Secret::KIND].contains(&key.kind.name);
        let set = if volume { &mut self.volumes } else { &mut self.children };
        set.extend(ingress_of(&object.metadata));
    }
}

/// All that was read.
#[derive(Debug, Default)]
pub(super) struct Store {
    watches: BTreeMap<usize, BTreeMap<Key, Kept>>,
}

impl Store {
    /// Has everything been read once? Before, what seems to be missing may only not have been read yet.
    pub(super) fn is_complete(&self, watches: usize) -> bool {
        self.watches.len() == watches
    }

    /// Takes a change in.
    pub(super) fn take(&mut self, change: Change) -> Effects {
        let mut effects = Effects::default();
        match change {
            Change::All(watch, objects) => {
                let first = !self.watches.contains_key(&watch);
                let mut before = self.watches.remove(&watch).unwrap_or_default();
                let mut after = BTreeMap::new();
                for (key, content) in objects {
                    let kept = keep(content, before.remove(&key), &key, &mut effects);
                    after.insert(key, kept);
                }
                before.iter().for_each(|(key, kept)| kept.gone(key, &mut effects));
                self.watches.insert(watch, after);
                effects.translate |= first;
            }
            Change::Applied(watch, key, content) => {
                let objects = self.watches.entry(watch).or_default();
                let before = objects.remove(&key);
                let kept = keep(*content, before, &key, &mut effects);
                objects.insert(key, kept);
            }
            Change::Deleted(watch, key) => {
                let gone = self.watches.entry(watch).or_default().remove(&key);
                gone.iter().for_each(|kept| kept.gone(&key, &mut effects));
            }
            Change::Absent(watch) => {
                effects.translate |= !self.watches.contains_key(&watch);
                let gone = self.watches.insert(watch, BTreeMap::new()).unwrap_or_default();
                gone.iter().for_each(|(key, kept)| kept.gone(key, &mut effects));
            }
        }
        let workloads = std::mem::take(&mut effects.workloads);
        effects.translate = effects.translate || self.is_any_selected(&workloads);
        effects
    }

    /// Does a Gateway select one of these pods, or is one of a subset? Others come and go without a meaning for anybody
    /// here.
    fn is_any_selected(&self, workloads: &[Workload]) -> bool {
        if workloads.is_empty() {
            return false;
        }
        let selects = |labels| workloads.iter().any(|it| is_subset(labels, &it.labels));
        self.objects().any(|object| match object {
            WorldObject::Gateway(gateway) => selects(&gateway.spec.selector),
            WorldObject::DestinationRule(rule) => {
                rule.spec.subsets.iter().any(|subset| !subset.labels.is_empty() && selects(&subset.labels))
            }
            _ => false,
        })
    }

    fn kept(&self) -> impl Iterator<Item = (&Key, &Kept)> {
        self.watches.values().flatten()
    }

    /// The World of now, without these Gateways.
    pub(super) fn world(&self, without: &BTreeSet<ObjectKey>) -> World {
        let mut builder = World::builder();
        let has_subsets = self.has_subsets();
        for (key, kept) in self.kept() {
            match kept {
                Kept::Workload(pod) if has_subsets => {
                    builder.pod(pod.object.namespace.clone(), pod.object.name.clone(), pod.labels.clone());
                }
                Kept::World { parsed, .. } if !without.contains(key) => {
                    builder.parsed(key.clone(), Parsed::clone(parsed));
                }
                Kept::IngressGateway { parsed, .. } => {
                    builder.parsed(key.clone(), Parsed::clone(parsed));
                }
                _ => {}
            }
        }
        builder.build()
    }

    /// What could be read of the World.
    fn objects(&self) -> impl Iterator<Item = &WorldObject> {
        self.kept().filter_map(|(_, kept)| match kept {
            Kept::World { parsed, .. } => parsed.object.as_ref(),
            _ => None,
        })
    }

    /// All Gateways that could be read.
    pub(super) fn gateways(&self) -> Vec<Arc<Gateway>> {
        let gateway = |object: &WorldObject| match object {
            WorldObject::Gateway(gateway) => Some(Arc::clone(gateway)),
            _ => None,
        };
        self.objects().filter_map(gateway).collect()
    }

    /// Has any DestinationRule subsets? Else the labels of pods say nothing about endpoints.
    fn has_subsets(&self) -> bool {
        self.objects().any(
            |object| matches!(object, WorldObject::DestinationRule(rule) if !rule.spec.subsets.is_empty()),
        )
    }

    /// The pods of everybody, by their labels.
    pub(super) fn workloads(&self) -> Vec<Workload> {
        let workload = |kept: &Kept| match kept {
            Kept::Workload(workload) => Some(workload.clone()),
            _ => None,
        };
        self.kept().filter_map(|(_, kept)| workload(kept)).collect()
    }

    /// The objects that get a status.
    pub(super) fn subjects(&self) -> BTreeMap<ObjectKey, Arc<Subject>> {
        let subject = |(key, kept): (&Key, &Kept)| match kept {
            Kept::World { subject, .. } if has_status(key) => Some((key.clone(), Arc::clone(subject))),
            Kept::IngressGateway { subject, .. } => Some((key.clone(), Arc::clone(subject))),
            _ => None,
        };
        self.kept().filter_map(subject).collect()
    }

    /// What every object that gets a status is at this moment: its uid and generation.
    pub(super) fn generations(&self) -> BTreeMap<ObjectKey, (String, i64)> {
        self.subjects().into_iter().map(|(key, it)| (key, (it.uid.clone(), it.generation))).collect()
    }

    /// What Postern made and is there, with uids, by ingress.
    pub(super) fn children(&self) -> BTreeMap<IngressName, Objects> {
        let mut children: BTreeMap<IngressName, Objects> = BTreeMap::new();
        for (key, kept) in self.kept() {
            if let Kept::Child { object, .. } = kept
                && let Some(ingress) = ingress_of(&object.metadata)
            {
                let uid = object.metadata.uid.clone().unwrap_or_default();
                children.entry(ingress).or_default().insert(key.clone(), uid);
            }
        }
        children
    }

    /// The objects of Istio that Postern wrote and that are there.
    pub(super) fn translated(&self) -> KnownTranslated {
        let translated = |(key, kept): (&Key, &Kept)| match kept {
            Kept::Translated { object, .. } => Some((key.clone(), Arc::clone(object))),
            _ => None,
        };
        self.kept().filter_map(translated).collect()
    }

    /// Objects of a type that Postern made of an ingress.
    pub(super) fn typed<T: Resource + serde::de::DeserializeOwned>(&self, ingress: &IngressName) -> Vec<T> {
        self.kept()
            .filter(|(key, _)| key.kind.name == T::KIND && key.namespace == ingress.namespace)
            .filter_map(|(_, kept)| match kept {
                Kept::Child { object, .. } if ingress_of(&object.metadata).as_ref() == Some(ingress) => {
                    typed(object)
                }
                _ => None,
            })
            .collect()
    }

    /// The ConfigMaps and Secrets of an ingress's snapshot.
    pub(super) fn volume(&self, ingress: &IngressName) -> (Vec<ConfigMap>, Vec<Secret>) {
        (self.typed(ingress), self.typed(ingress))
    }

    /// What runs.
    pub(super) fn observed(&self) -> Observed {
        let mut observed = Observed::default();
        for (key, kept) in self.kept() {
            if let Kept::World { subject, .. } = kept
                && is_service(key)
            {
                let addresses = observed::load_balancer(&subject.status);
                if !addresses.is_empty() {
                    observed.load_balancers.insert(key.clone(), addresses);
                }
            }
            let Kept::Child { object, .. } = kept else { continue };
            let Some(ingress) = ingress_of(&object.metadata) else { continue };
            let running = observed.ingresses.entry(ingress).or_default();
            match key.kind.name {
                Pod::KIND => observed::pod(running, typed(object)),
                Service::KIND => observed::service(running, typed(object)),
                Deployment::KIND => observed::deployment(running, typed(object)),
                _ => {}
            }
        }
        observed
    }
}

/// Is it of a kind whose status Postern writes?
fn has_status(key: &Key) -> bool {
    key.kind.group == Gateway::GROUP || key.kind.group == GATEWAY_API && key.kind.name != ReferenceGrant::KIND
}

fn is_service(key: &Key) -> bool {
    key.kind == Kind::of::<Service>()
}

fn typed<T: serde::de::DeserializeOwned>(object: &DynamicObject) -> Option<T> {
    let mut value = object.data.clone();
    value["metadata"] = serde_json::to_value(&object.metadata).ok()?;
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    use super::super::watch::tests::{content, key};
    use super::*;

    const WATCH: usize = 0;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn gateway(version: &str, generation: i64, host: &str) -> DynamicObject {
        object(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": {"name": "web", "namespace": "shop", "uid": "1", "generation": generation, "resourceVersion": version},
            "spec": {"selector": {"istio": "edge"}, "servers": [
                {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": [host]}]},
            "status": {"conditions": [{"type": "Programmed", "status": version}]},
        }))
    }

    fn pod(name: &str, labels: &Value) -> DynamicObject {
        object(json!({"metadata": {"name": name, "namespace": "shop", "uid": name, "labels": labels}}))
    }

    fn applied(store: &mut Store, kind: &str, object: DynamicObject) -> Effects {
        let key = key(kind, &object);
        store.take(Change::Applied(WATCH, key, Box::new(content(kind, object))))
    }

    fn all(store: &mut Store, watch: usize, kind: &str, objects: Vec<DynamicObject>) -> Effects {
        let objects = objects.into_iter().map(|object| (key(kind, &object), content(kind, object)));
        store.take(Change::All(watch, objects.collect()))
    }

    #[test]
    fn a_status_or_a_version_is_told_and_not_translated() {
        let mut store = Store::default();
        assert!(all(&mut store, WATCH, "Gateway", vec![gateway("1", 1, "a.example.com")]).translate);
        let before = store.subjects();
        let effects = applied(&mut store, "Gateway", gateway("2", 1, "a.example.com"));
        assert_eq!((effects.translate, effects.subjects), (false, true));
        let after = store.subjects();
        let (Some(before), Some(after)) = (before.values().next(), after.values().next()) else { panic!() };
        assert_eq!((after.resource_version.as_str(), after.changed), ("2", before.changed));

        let effects = applied(&mut store, "Gateway", gateway("3", 2, "b.example.com"));
        assert_eq!((effects.translate, effects.subjects), (true, true));
        assert!(store.subjects().values().all(|subject| subject.changed > before.changed));
    }

    #[test]
    fn parameters_of_a_gateway_are_translated_when_they_change() {
        let mut store = Store::default();
        let map = |version: &str, text: &str| {
            object(json!({
                "metadata": {"name": "options", "namespace": "shop", "uid": "1", "resourceVersion": version},
                "data": {"deployment": text},
            }))
        };
        assert!(all(&mut store, WATCH, "ConfigMap", vec![map("1", "spec: {replicas: 1}")]).translate);
        assert!(!applied(&mut store, "ConfigMap", map("2", "spec: {replicas: 1}")).translate);
        assert!(applied(&mut store, "ConfigMap", map("3", "spec: {replicas: 2}")).translate);
        let settings = |image: &str| {
            object(json!({
                "metadata": {"name": "edge", "namespace": "shop", "uid": "2", "generation": 1, "resourceVersion": "1"},
                "spec": {"image": image},
            }))
        };
        let others = 1;
        assert!(all(&mut store, others, "IngressGateway", vec![settings("a")]).translate);
        assert!(!all(&mut store, others, "IngressGateway", vec![settings("a")]).translate);
        assert!(all(&mut store, others, "IngressGateway", vec![settings("b")]).translate);
    }

    #[test]
    fn what_a_new_list_lacks_is_gone() {
        let mut store = Store::default();
        all(&mut store, WATCH, "Gateway", vec![gateway("1", 1, "a.example.com")]);
        let effects = all(&mut store, WATCH, "Gateway", vec![gateway("1", 1, "a.example.com")]);
        assert!(!effects.translate, "the same again");
        assert!(all(&mut store, WATCH, "Gateway", vec![]).translate);
        assert!(store.subjects().is_empty());
        all(&mut store, WATCH, "Gateway", vec![gateway("1", 1, "a.example.com")]);
        assert!(store.take(Change::Absent(WATCH)).translate);
        assert!(store.subjects().is_empty());
    }

    #[test]
    fn pods_matter_when_a_gateway_selects_them() {
        let mut store = Store::default();
        let pods = 1;
        all(&mut store, WATCH, "Gateway", vec![gateway("1", 1, "a.example.com")]);
        all(&mut store, pods, "Pod", vec![]);
        assert!(!all(&mut store, pods, "Pod", vec![pod("app", &json!({"app": "x"}))]).translate);
        let theirs = || pod("theirs", &json!({"istio": "edge", "app": "x"}));
        assert!(all(&mut store, pods, "Pod", vec![theirs()]).translate);
        assert!(!all(&mut store, pods, "Pod", vec![theirs()]).translate, "nothing new");
        assert!(all(&mut store, pods, "Pod", vec![]).translate);
    }

    #[test]
    fn pods_matter_when_they_are_of_a_subset() {
        let mut store = Store::default();
        let pods = 1;
        let rule = object(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
            "metadata": {"name": "app", "namespace": "shop", "uid": "2", "generation": 1, "resourceVersion": "1"},
            "spec": {"host": "app", "subsets": [{"name": "v1", "labels": {"version": "v1"}}, {"name": "all"}]},
        }));
        all(&mut store, WATCH, "DestinationRule", vec![rule]);
        all(&mut store, pods, "Pod", vec![]);
        let canary = || pod("canary", &json!({"version": "v2"}));
        assert!(!all(&mut store, pods, "Pod", vec![canary()]).translate);
        let v1 = || pod("canary", &json!({"version": "v1"}));
        assert!(all(&mut store, pods, "Pod", vec![v1()]).translate);
        assert!(!all(&mut store, pods, "Pod", vec![v1()]).translate, "nothing new");
        assert!(all(&mut store, pods, "Pod", vec![canary()]).translate, "it was of the subset");
    }

    #[test]
    fn nothing_is_complete_before_every_watch_has_answered() {
        let mut store = Store::default();
        assert!(!store.is_complete(2));
        all(&mut store, 0, "Gateway", vec![]);
        assert!(!store.is_complete(2));
        store.take(Change::Absent(1));
        assert!(store.is_complete(2));
    }

    #[test]
    fn what_somebody_does_to_a_child_is_looked_at() {
        let mut store = Store::default();
        let service = |version: &str, kind: &str| {
            object(json!({
                "metadata": {"name": "edge", "namespace": "istio-system", "uid": "1", "resourceVersion": version,
                    "labels": {"app.kubernetes.io/managed-by": "postern", "postern.dev/ingress": "edge"}},
                "spec": {"type": kind}, "status": {"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}]}},
            }))
        };
        let name = IngressName { namespace: "istio-system".to_owned(), name: "edge".to_owned() };
        let child = "Service of an ingress";
        assert_eq!(applied(&mut store, child, service("1", "LoadBalancer")).children, [name.clone()].into());
        assert!(applied(&mut store, child, service("2", "LoadBalancer")).children.is_empty());
        assert_eq!(applied(&mut store, child, service("3", "NodePort")).children, [name.clone()].into());
        assert_eq!(store.observed().ingresses[&name].addresses, ["10.0.0.1"]);
        let uids: Vec<_> = store.children()[&name].values().cloned().collect();
        assert_eq!(uids, ["1"]);
    }

    #[test]
    fn what_postern_wrote_is_no_input() {
        let mut store = Store::default();
        let labelled = |version: &str, host: &str| {
            let mut object = gateway(version, 1, host);
            let labels =
                [("app.kubernetes.io/managed-by", "postern"), ("postern.dev/translated", "gateway-api")];
            object.metadata.labels =
                Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
            object
        };
        all(&mut store, WATCH, "Gateway", vec![]);
        let effects = applied(&mut store, "Gateway", labelled("1", "a.example.com"));
        assert_eq!((effects.translate, effects.translated, effects.is_work()), (false, true, true));
        assert!(!applied(&mut store, "Gateway", labelled("2", "a.example.com")).translated, "a status");
        assert!(applied(&mut store, "Gateway", labelled("3", "b.example.com")).translated, "a hand");
        assert_eq!((store.translated().len(), store.subjects().len(), store.gateways().len()), (1, 0, 0));

        let effects = applied(&mut store, "Gateway", gateway("4", 1, "b.example.com"));
        assert_eq!((effects.translate, effects.translated), (true, true), "it is somebody's now");
        assert_eq!((store.translated().len(), store.gateways().len()), (0, 1));
        let effects = applied(&mut store, "Gateway", labelled("5", "b.example.com"));
        assert_eq!((effects.translate, effects.translated), (true, true), "and Postern's again");
        assert!(all(&mut store, WATCH, "Gateway", vec![]).translated);
    }

    #[test]
    fn the_address_of_anybodys_service_is_told() {
        let mut store = Store::default();
        let service = |version: &str, status: &Value| {
            object(json!({
                "metadata": {"name": "istio", "namespace": "istio-ingress", "uid": "1", "resourceVersion": version},
                "spec": {"type": "LoadBalancer"}, "status": status,
            }))
        };
        assert!(all(&mut store, WATCH, "Service", vec![service("1", &json!({}))]).translate);
        assert!(store.observed().load_balancers.is_empty());
        let status =
            json!({"loadBalancer": {"ingress": [{"ip": "10.0.0.1"}, {"hostname": "lb.example.com"}]}});
        let effects = applied(&mut store, "Service", service("2", &status));
        assert_eq!((effects.translate, effects.observed), (false, true));
        let addresses: Vec<_> = store.observed().load_balancers.into_values().collect();
        assert_eq!(addresses, [["10.0.0.1", "lb.example.com"]]);
    }
}
