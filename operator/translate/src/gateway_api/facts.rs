//! What was decided about the objects of the Gateway API: everything that their statuses say, but for what only the
//! running proxies know.

use std::collections::{BTreeMap, BTreeSet};

use postern_api::gateway_api::reference::ParentReference;
use postern_api::meta::{Generation, ObjectKey};

use super::attach::{self, Attachments};
use super::backend_tls::Policies;
use super::denial::{Denial, condition};
use super::gateways::{GatewayEntry, Gateways, ListenerList};
use super::istio_pods::IstioPods;
use super::listener::Listener;
use super::mode::Mode;
pub use super::route_kind::RouteKind;
use super::routes::{Route, Rules};
use crate::finding::{ConditionType, Reason};
use crate::ingress::IngressName;
use crate::status::{Condition, reason};
use crate::world::World;

/// What was decided about all objects of the Gateway API that are Postern's to look after.
#[derive(Clone, Debug, Default)]
pub struct GatewayApiFacts {
    /// GatewayClasses.
    pub classes: BTreeMap<ObjectKey, ClassFacts>,
    /// Gateways.
    pub gateways: BTreeMap<ObjectKey, GatewayFacts>,
    /// ListenerSets of these Gateways.
    pub listener_sets: BTreeMap<ObjectKey, ListenerSetFacts>,
    /// Routes with a parent among them.
    pub routes: BTreeMap<ObjectKey, RouteFacts>,
    /// BackendTLSPolicies of Services that these routes send requests to.
    pub policies: BTreeMap<ObjectKey, PolicyFacts>,
}

/// A BackendTLSPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFacts {
    /// Its generation.
    pub generation: Generation,
    /// The Gateways that send requests to its Services, and who serves them.
    pub ancestors: Vec<(ObjectKey, Mode)>,
    /// `Accepted` and `ResolvedRefs`, the same for each of them.
    pub conditions: Vec<Condition>,
}

/// A GatewayClass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFacts {
    /// Its generation.
    pub generation: Generation,
    /// Who serves its Gateways.
    pub mode: Mode,
    /// `Accepted`.
    pub conditions: Vec<Condition>,
}

/// A Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayFacts {
    /// Its generation.
    pub generation: Generation,
    /// What serves it.
    pub data_plane: DataPlane,
    /// `Accepted` and `ResolvedRefs`. What the proxies say is told by `Programmed`.
    pub conditions: Vec<Condition>,
    /// Its own listeners.
    pub listeners: Vec<ListenerFacts>,
    /// How many ListenerSets have a listener that is served.
    pub attached_listener_sets: usize,
    /// The addresses that it asks for: type and value.
    pub addresses: Vec<(String, Option<String>)>,
}

/// What serves a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataPlane {
    /// Its own ingress. It is there when the Gateway is accepted.
    Ingress(IngressName),
    /// Pods of somebody who reads Istio's objects.
    Istio(IstioPods),
}

/// A ListenerSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSetFacts {
    /// Its generation.
    pub generation: Generation,
    /// Its Gateway.
    pub gateway: ObjectKey,
    /// `Accepted`.
    pub conditions: Vec<Condition>,
    /// Its listeners; none when the Gateway does not take it.
    pub listeners: Vec<ListenerFacts>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerFacts {
    /// Its name.
    pub name: String,
    /// Which routes it takes.
    pub supported_kinds: Vec<RouteKind>,
    /// How many routes are attached.
    pub attached_routes: usize,
    /// Is it in the snapshot? One that terminates TLS is not without a certificate.
    pub serves: bool,
    /// `Accepted`, `Conflicted` and `ResolvedRefs`.
    pub conditions: Vec<Condition>,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteFacts {
    /// Its generation.
    pub generation: Generation,
    /// Its parents that are Postern's, in the order of the route.
    pub parents: Vec<ParentFacts>,
}

/// A route at one of its parents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParentFacts {
    /// The reference, as it is written.
    pub parent: ParentReference,
    /// Who serves the parent.
    pub mode: Mode,
    /// `Accepted`, `ResolvedRefs`, and `PartiallyInvalid` when it holds.
    pub conditions: Vec<Condition>,
}

impl GatewayApiFacts {
    pub(super) fn add_gateways(&mut self, gateways: &Gateways<'_>, world: &World) {
        for entry in &gateways.entries {
            self.gateways.insert(entry.key.clone(), gateway(entry, world));
            for list in entry.lists.iter().skip(1) {
                let listeners = if list.accepted.is_ok() { listeners(list) } else { Vec::new() };
                let facts = ListenerSetFacts {
                    generation: list.generation,
                    gateway: entry.key.clone(),
                    conditions: vec![all_accepted(&list.accepted, &list.listeners, |it| it.served())],
                    listeners,
                };
                self.listener_sets.insert(list.key.clone(), facts);
            }
        }
    }

    pub(super) fn add_policies(
        &mut self,
        policies: &Policies<'_>,
        rules: &[Rules],
        attachments: &Attachments,
        gateways: &Gateways<'_>,
    ) {
        let users = attach::users(attachments, rules);
        for policy in policies.iter() {
            let hosts = policy.targets.iter().filter_map(|target| users.get(target.host.as_str()));
            let ancestors = hosts.flatten().filter_map(|place| gateways.entries.get(*place));
            let ancestors: BTreeSet<_> = ancestors.map(|entry| (entry.key.clone(), entry.mode)).collect();
            let conditions = vec![
                condition(ConditionType::Accepted, &policy.accepted, reason::ACCEPTED, "it is carried out"),
                condition(
                    ConditionType::ResolvedRefs,
                    &policy.resolved_refs,
                    reason::RESOLVED_REFS,
                    "everything that it names exists",
                ),
            ];
            let ancestors = ancestors.into_iter().collect();
            let facts = PolicyFacts { generation: policy.generation, ancestors, conditions };
            self.policies.insert(policy.key.clone(), facts);
        }
    }

    pub(super) fn add_routes(
        &mut self,
        routes: &[Route<'_>],
        rules: &[Rules],
        attachments: &Attachments,
        gateways: &Gateways<'_>,
    ) {
        for ((route, rules), parents) in routes.iter().zip(rules).zip(&attachments.parents) {
            let parents: Vec<_> = parents
                .iter()
                .filter_map(|(index, verdict)| {
                    let parent = route.parents.get(*index)?.clone();
                    let (entry, ..) = gateways.parent(&attach::parent_key(route, &parent)?)?;
                    let conditions = route_conditions(verdict, rules);
                    Some(ParentFacts { parent, mode: entry.mode, conditions })
                })
                .collect();
            if !parents.is_empty() {
                let facts = RouteFacts { generation: route.generation, parents };
                self.routes.insert(route.key.as_ref().clone(), facts);
            }
        }
    }
}

fn gateway(entry: &GatewayEntry<'_>, world: &World) -> GatewayFacts {
    let own = entry.lists.first();
    let its = own.map_or(&[][..], |list| list.listeners.as_slice());
    let unresolved =
        its.iter().find_map(|it| it.resolved_refs.as_ref().err().map(|why| (&it.spec.name, why)));
    let listeners_resolved = unresolved.map_or(Ok(()), |(name, why)| {
        Err(Denial::new(Reason::ListenersNotResolved, format!("listener {name:?}: {}", why.message)))
    });
    let resolved = entry.backend_certificate.clone().map(|_| ()).and(listeners_resolved);
    let addresses = entry.object.spec.addresses.iter();
    let mut conditions = vec![
        all_accepted(&entry.verdict(), its, |it| it.accepted()),
        condition(
            ConditionType::ResolvedRefs,
            &resolved,
            reason::RESOLVED_REFS,
            "everything that it names exists",
        ),
    ];
    if its.iter().any(|it| it.clients.as_ref().is_some_and(|clients| clients.fallback)) {
        let type_ = ConditionType::InsecureFrontendValidationMode;
        let message = "clients without a good certificate are let in on some ports";
        conditions.push(Condition::new(type_, true, Reason::ConfigurationChanged, message));
    }
    GatewayFacts {
        generation: own.map(|list| list.generation).unwrap_or_default(),
        data_plane: match entry.mode {
            Mode::Serving => DataPlane::Ingress(entry.ingress.clone()),
            Mode::Translating => DataPlane::Istio(IstioPods::of(entry, world)),
        },
        conditions,
        listeners: own.map(listeners).unwrap_or_default(),
        attached_listener_sets: entry.attached_sets(),
        addresses: addresses.map(|it| (it.type_().to_owned(), it.value.clone())).collect(),
    }
}

/// `Accepted` of what has listeners: `False` when none is valid; with reason ListenersNotValid when some are not.
/// `verdict` says which are.
fn all_accepted(
    whole: &Result<(), Denial>,
    listeners: &[Listener<'_>],
    verdict: impl Fn(&Listener<'_>) -> Result<(), Denial>,
) -> Condition {
    let type_ = ConditionType::Accepted;
    let bad: Vec<_> = listeners.iter().filter_map(|it| Some((&it.spec.name, verdict(it).err()?))).collect();
    match (whole, bad.as_slice()) {
        (Err(_), _) | (Ok(()), []) => condition(type_, whole, reason::ACCEPTED, "its listeners are accepted"),
        (Ok(()), bad) => {
            let texts = bad.iter().map(|(name, why)| format!("listener {name:?}: {}", why.message));
            let text = texts.collect::<Vec<_>>().join("; ");
            Condition::new(type_, bad.len() < listeners.len(), Reason::ListenersNotValid, text)
        }
    }
}

fn listeners(list: &ListenerList<'_>) -> Vec<ListenerFacts> {
    let facts = |listener: &Listener<'_>| ListenerFacts {
        name: listener.spec.name.clone(),
        supported_kinds: if listener.is_supported() { listener.kinds.clone() } else { Vec::new() },
        attached_routes: listener.attached,
        serves: listener.serves(),
        conditions: listener_conditions(listener),
    };
    list.listeners.iter().map(facts).collect()
}

fn listener_conditions(listener: &Listener<'_>) -> Vec<Condition> {
    let conflicted = match &listener.conflict {
        Ok(()) => Condition::new(
            ConditionType::Conflicted,
            false,
            reason::NO_CONFLICTS,
            "it can be told from all other listeners",
        ),
        Err(denial) => Condition::new(ConditionType::Conflicted, true, denial.reason, denial.message.clone()),
    };
    vec![
        condition(ConditionType::Accepted, &listener.accepted(), reason::ACCEPTED, "it is valid"),
        conflicted,
        condition(
            ConditionType::ResolvedRefs,
            &listener.resolved_refs,
            reason::RESOLVED_REFS,
            "everything that it names exists",
        ),
    ]
}

fn route_conditions(verdict: &Result<(), Denial>, rules: &Rules) -> Vec<Condition> {
    let rejected = rules.rejected().map_or(Ok(()), |denial| Err(denial.clone()));
    let accepted = verdict.clone().and(rejected.clone());
    let mut conditions = vec![
        condition(ConditionType::Accepted, &accepted, reason::ACCEPTED, "the parent takes it"),
        condition(
            ConditionType::ResolvedRefs,
            &rules.resolved_refs(),
            reason::RESOLVED_REFS,
            "everything that it names exists and may be used",
        ),
    ];
    if rejected.is_ok()
        && let Some(denial) = rules.invalid()
    {
        let message = format!("Dropped Rule: {}", denial.message);
        conditions.push(Condition::new(ConditionType::PartiallyInvalid, true, denial.reason, message));
    }
    conditions
}
