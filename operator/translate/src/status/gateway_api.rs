//! The statuses of the Gateway API's objects: what the translation decided about them ([`GatewayApiFacts`]), and what the
//! proxies of their ingress say.
//!
//! Routes are shared: each controller has entries of its own in `status.parents`. Those of others stay as and where they
//! are; Postern's go when the route names none of its Gateways any more.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::reference::ParentReference;
use postern_api::meta::ObjectKey;
use serde_json::{Map, Value, json};

use super::programmed::{Programmed, programmed};
use super::translated::{self, TranslatedView};
use super::{Condition, IngressView, Status, Subject, conditions, ingress_gateway, reason};
use crate::finding::{ConditionType, Reason};
use crate::gateway_api::facts::{
    ClassFacts, DataPlane, GatewayApiFacts, GatewayFacts, ListenerFacts, ListenerSetFacts, ParentFacts,
    PolicyFacts, RouteKind,
};
use crate::gateway_api::{IstioPods, Mode};
use crate::ingress::IngressName;

/// So many entries may be in a policy's status (the schema's limit).
const MOST_ANCESTORS: usize = 16;

/// What serves Gateways, as it runs.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    /// Postern's ingresses.
    pub ingresses: &'a [IngressView<'a>],
    /// The objects of Istio of the Gateways of translating classes, by Gateway.
    pub translated: &'a BTreeMap<ObjectKey, TranslatedView>,
    /// The addresses that load balancers gave to Services of others, by Service.
    pub addresses: &'a BTreeMap<ObjectKey, Vec<String>>,
}

/// What is to be said about an object of the Gateway API. `None`: it is not Postern's, and its status is left alone.
/// `now` is the time of conditions that change; it is written in whole seconds.
#[must_use]
pub fn gateway_api_status_of(
    subject: &Subject<'_>,
    facts: &GatewayApiFacts,
    running: Running<'_>,
    now: &Time,
) -> Option<Status> {
    let key = subject.key;
    let writer = Writer { subject, running, now };
    if let Some(facts) = facts.classes.get(key) {
        return Some(writer.class(facts));
    }
    if let Some(facts) = facts.gateways.get(key) {
        return Some(writer.gateway(facts));
    }
    let all = facts;
    if let Some(facts) = facts.listener_sets.get(key) {
        return Some(writer.listener_set(facts, all.gateways.get(&facts.gateway)));
    }
    if let Some(facts) = facts.policies.get(key) {
        return Some(writer.policy(facts));
    }
    let parents = facts.routes.get(key).map(|facts| facts.parents.as_slice());
    (parents.is_some() || is_route(key)).then(|| writer.route(parents.unwrap_or_default()))
}

fn is_route(key: &ObjectKey) -> bool {
    key.kind.group == GROUP && RouteKind::ALL.iter().any(|kind| kind.name() == key.kind.name)
}

struct Writer<'s> {
    subject: &'s Subject<'s>,
    running: Running<'s>,
    now: &'s Time,
}

impl Writer<'_> {
    fn class(&self, facts: &ClassFacts) -> Status {
        let mut patch = Map::new();
        self.put_conditions(&mut patch, &facts.conditions);
        let features = facts.mode.supported_features();
        let features: Vec<_> = features.iter().map(|name| json!({ "name": name })).collect();
        conditions::put(&mut patch, self.subject.status, "supportedFeatures", Value::Array(features));
        status(facts.conditions.clone(), patch, false)
    }

    fn gateway(&self, facts: &GatewayFacts) -> Status {
        let found = self.addresses(&facts.data_plane);
        let (programmed, waiting) = self.programmed(facts, &found);
        let mut all = facts.conditions.clone();
        all.push(programmed.clone());
        let mut patch = Map::new();
        self.put_conditions(&mut patch, &all);
        conditions::put(&mut patch, self.subject.status, "addresses", ingress_gateway::addresses(&found));
        self.put_listeners(&mut patch, &facts.listeners, &programmed);
        let sets = json!(facts.attached_listener_sets);
        conditions::put(&mut patch, self.subject.status, "attachedListenerSets", sets);
        status(all, patch, waiting)
    }

    fn listener_set(&self, facts: &ListenerSetFacts, gateway: Option<&GatewayFacts>) -> Status {
        let pods = gateway.and_then(|gateway| match &gateway.data_plane {
            DataPlane::Ingress(_) => None,
            DataPlane::Istio(pods) => Some(pods),
        });
        let (programmed, waiting) = refused(&facts.conditions).map_or_else(
            || match pods {
                None => self.served(),
                // Its addresses are its Gateway's business.
                Some(pods) => self.translated(&facts.gateway, pods, (&[], &[])),
            },
            |condition| (condition, false),
        );
        let mut all = facts.conditions.clone();
        all.push(programmed.clone());
        let mut patch = Map::new();
        self.put_conditions(&mut patch, &all);
        self.put_listeners(&mut patch, &facts.listeners, &programmed);
        status(all, patch, waiting)
    }

    /// The condition Programmed of a Gateway, and whether it only waits for proxies or for writes. `found` are its
    /// addresses.
    fn programmed(&self, facts: &GatewayFacts, found: &[&String]) -> (Condition, bool) {
        if let Some(condition) = refused(&facts.conditions) {
            return (condition, false);
        }
        match &facts.data_plane {
            DataPlane::Istio(pods) => self.translated(self.subject.key, pods, (&facts.addresses, found)),
            DataPlane::Ingress(ingress) => {
                let (condition, waiting) = self.served();
                let lacking = condition.holds.then(|| address_problem(facts, ingress, found)).flatten();
                lacking.map_or((condition, waiting), |condition| (condition, false))
            }
        }
    }

    /// What the proxies say.
    fn served(&self) -> (Condition, bool) {
        let Programmed { condition, waiting, .. } = programmed(self.subject, self.running.ingresses);
        (condition, waiting)
    }

    /// What is in the cluster of a Gateway's objects of Istio.
    fn translated(
        &self,
        gateway: &ObjectKey,
        pods: &IstioPods,
        addresses: (&[(String, Option<String>)], &[&String]),
    ) -> (Condition, bool) {
        translated::programmed(self.subject, self.running.translated.get(gateway), pods, addresses)
    }

    fn addresses<'a>(&'a self, data_plane: &'a DataPlane) -> Vec<&'a String> {
        match data_plane {
            DataPlane::Istio(pods) => pods.addresses(self.running.addresses),
            DataPlane::Ingress(name) => {
                let view = self.running.ingresses.iter().find(|view| view.name == name);
                view.iter().flat_map(|view| view.addresses).collect()
            }
        }
    }

    fn route(&self, parents: &[ParentFacts]) -> Status {
        let before = self.subject.status.get("parents").and_then(Value::as_array);
        let before = before.map_or(&[][..], Vec::as_slice);
        let (ours, others): (Vec<&Value>, Vec<&Value>) = before.iter().partition(|entry| is_ours(entry));
        let mut entries: Vec<Value> = others.into_iter().cloned().collect();
        entries.extend(parents.iter().map(|facts| self.parent(facts, &ours)));
        // In the order in which they stood, so that nothing moves.
        let place =
            |entry: &Value| before.iter().position(|old| same_entry(old, entry)).unwrap_or(usize::MAX);
        entries.sort_by_key(place);
        let mut patch = Map::new();
        if !(entries.is_empty() && before.is_empty()) {
            conditions::put(&mut patch, self.subject.status, "parents", Value::Array(entries));
        }
        let conditions = parents.iter().flat_map(|facts| facts.conditions.clone()).collect();
        status(conditions, patch, false)
    }

    fn policy(&self, facts: &PolicyFacts) -> Status {
        let before = self.subject.status.get("ancestors").and_then(Value::as_array);
        let before = before.map_or(&[][..], Vec::as_slice);
        let mut entries: Vec<Value> = before.iter().filter(|entry| !is_ours(entry)).cloned().collect();
        let ancestors = facts.ancestors.iter().take(MOST_ANCESTORS.saturating_sub(entries.len()));
        let ours: Vec<_> = ancestors
            .map(|(gateway, mode)| {
                let reference = json!({
                    "group": GROUP, "kind": gateway.kind.name, "namespace": gateway.namespace, "name": gateway.name,
                });
                let ours = before.iter().filter(|entry| is_ours(entry));
                let old = ours.into_iter().find(|it| it.get("ancestorRef") == Some(&reference));
                let absent = Value::Null;
                let generation = self.subject.generation;
                let old = old.unwrap_or(&absent);
                let said = self.said(*mode, &facts.conditions);
                let list = conditions::merged(old, &said, &[], generation, self.now);
                let controller = mode.controller_name();
                json!({ "ancestorRef": reference, "controllerName": controller, "conditions": list })
            })
            .collect();
        entries.extend(ours);
        let place = |entry: &Value| {
            let same = |old: &Value| {
                ["ancestorRef", "controllerName"].iter().all(|field| old.get(field) == entry.get(field))
            };
            before.iter().position(same).unwrap_or(usize::MAX)
        };
        entries.sort_by_key(place);
        let mut patch = Map::new();
        if !(entries.is_empty() && before.is_empty()) {
            conditions::put(&mut patch, self.subject.status, "ancestors", Value::Array(entries));
        }
        status(facts.conditions.clone(), patch, false)
    }

    fn parent(&self, facts: &ParentFacts, before: &[&Value]) -> Value {
        let old =
            before.iter().find(|entry| parent_of(entry).is_some_and(|it| same_parent(&it, &facts.parent)));
        let absent = Value::Null;
        let generation = self.subject.generation;
        let gone = [ConditionType::Accepted, ConditionType::ResolvedRefs, ConditionType::PartiallyInvalid];
        let old = old.copied().unwrap_or(&absent);
        let said = self.said(facts.mode, &facts.conditions);
        let list = conditions::merged(old, &said, &gone, generation, self.now);
        // The API server has filled in defaults; what it made of the reference stays.
        let reference = old.get("parentRef").cloned().unwrap_or_else(|| json!(facts.parent));
        let controller = facts.mode.controller_name();
        json!({ "parentRef": reference, "controllerName": controller, "conditions": list })
    }

    /// What is said at a parent or an ancestor, which is served by this.
    fn said(&self, mode: Mode, conditions: &[Condition]) -> Vec<Condition> {
        match mode {
            Mode::Serving => conditions.to_vec(),
            Mode::Translating => translated::with_losses(conditions, self.subject),
        }
    }

    fn put_conditions(&self, patch: &mut Map<String, Value>, ours: &[Condition]) {
        let status = self.subject.status;
        let gone = [ConditionType::InsecureFrontendValidationMode];
        let list = conditions::merged(status, ours, &gone, self.subject.generation, self.now);
        conditions::put(patch, status, "conditions", Value::Array(list));
    }

    fn put_listeners(&self, patch: &mut Map<String, Value>, facts: &[ListenerFacts], programmed: &Condition) {
        let before = self.subject.status.get("listeners").and_then(Value::as_array);
        let before = before.map_or(&[][..], Vec::as_slice);
        let absent = Value::Null;
        let entries: Vec<_> = facts
            .iter()
            .map(|facts| {
                let old = before.iter().find(|entry| entry.get("name") == Some(&json!(facts.name)));
                let mut all = facts.conditions.clone();
                all.push(listener_programmed(facts, programmed));
                let generation = self.subject.generation;
                let list = conditions::merged(old.unwrap_or(&absent), &all, &[], generation, self.now);
                let kinds = facts.supported_kinds.iter();
                let kinds: Vec<_> =
                    kinds.map(|kind| json!({ "group": GROUP, "kind": kind.name() })).collect();
                json!({
                    "name": facts.name,
                    "supportedKinds": kinds,
                    "attachedRoutes": facts.attached_routes,
                    "conditions": list,
                })
            })
            .collect();
        let value = if entries.is_empty() { Value::Null } else { Value::Array(entries) };
        conditions::put(patch, self.subject.status, "listeners", value);
    }
}

fn status(conditions: Vec<Condition>, patch: Map<String, Value>, waiting: bool) -> Status {
    Status { conditions, patch: (!patch.is_empty()).then_some(patch), waiting }
}

/// Is it an entry of Postern's in a list that several controllers share?
fn is_ours(entry: &Value) -> bool {
    entry.get("controllerName").and_then(Value::as_str).and_then(Mode::of).is_some()
}

/// Programmed of what is not accepted.
fn refused(said: &[Condition]) -> Option<Condition> {
    let accepted = said.iter().find(|condition| condition.type_ == ConditionType::Accepted);
    let refused = accepted.filter(|condition| !condition.holds)?;
    Some(Condition::new(ConditionType::Programmed, false, &refused.reason, refused.message.clone()))
}

/// What is wrong with the addresses of a Gateway that the proxies of this ingress serve. An address that was asked for and is
/// not there is not usable, whether or not there is another one: "not assigned" is for Gateways that leave the choice.
fn address_problem(facts: &GatewayFacts, ingress: &IngressName, assigned: &[&String]) -> Option<Condition> {
    let not_programmed =
        |reason: &str, message: String| Condition::new(ConditionType::Programmed, false, reason, message);
    let mut wanted = facts.addresses.iter().filter_map(|(_, value)| value.as_ref());
    if let Some(missing) = wanted.find(|value| !assigned.contains(value)) {
        let message = format!("the Service of {ingress} did not get the address {missing}");
        return Some(not_programmed(reason::ADDRESS_NOT_USABLE, message));
    }
    assigned.is_empty().then(|| {
        let message = format!("the Service of {ingress} has no address yet");
        not_programmed(reason::ADDRESS_NOT_ASSIGNED, message)
    })
}

/// A listener is programmed when its object is, unless it is refused itself.
fn listener_programmed(facts: &ListenerFacts, whole: &Condition) -> Condition {
    let type_ = ConditionType::Programmed;
    let refused = facts.conditions.iter().find(|condition| {
        !condition.holds
            && (condition.type_ == ConditionType::Accepted
                || condition.type_ == ConditionType::ResolvedRefs && !facts.serves)
    });
    match refused {
        Some(refused) if refused.type_ == ConditionType::Accepted => {
            Condition::new(type_, false, &refused.reason, refused.message.clone())
        }
        Some(refused) => Condition::new(type_, false, Reason::Invalid, refused.message.clone()),
        None => Condition::new(type_, whole.holds, &whole.reason, whole.message.clone()),
    }
}

fn parent_of(entry: &Value) -> Option<ParentReference> {
    serde_json::from_value(entry.get("parentRef")?.clone()).ok()
}

/// Are two references the same, whatever of their defaults is written out?
fn same_parent(a: &ParentReference, b: &ParentReference) -> bool {
    let place = |it: &ParentReference| {
        let (group, kind) = (it.group().to_owned(), it.kind().to_owned());
        (group, kind, it.namespace.clone(), it.name.clone(), it.section_name.clone(), it.port)
    };
    place(a) == place(b)
}

fn same_entry(a: &Value, b: &Value) -> bool {
    let controller = |entry: &Value| entry.get("controllerName").cloned();
    controller(a) == controller(b) && parent_of(a).zip(parent_of(b)).is_some_and(|(a, b)| same_parent(&a, &b))
}
