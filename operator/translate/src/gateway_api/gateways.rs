//! Postern's Gateways with their ListenerSets.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::Level;
use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::gateway::{FromNamespaces, Gateway};
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::meta::{Generation, ObjectKey};

use super::Context;
use super::class::Classes;
use super::conflicts;
use super::denial::Denial;
use super::gateway_tls;
use super::infrastructure::Infrastructure;
use super::listener::Listener;
use super::mode::Mode;
use super::names;
use super::namespaces::Namespaces;
use super::parameters;
use super::selector::{self, Selector};
use crate::at::At;
use crate::children::parameters::IngressParameters;
use crate::config::{OwnIngress, by_age};
use crate::finding::{ConditionType, Findings, Reason};
use crate::ingress::IngressName;
use crate::plan::OwningGateway;
use crate::world::key_of;

/// A Gateway of one of Postern's classes.
pub(super) struct GatewayEntry<'a> {
    pub(super) key: ObjectKey,
    pub(super) object: &'a Gateway,
    pub(super) ingress: IngressName,
    pub(super) mode: Mode,
    /// By itself, whatever its listeners and parameters are. If not, nothing of it is served.
    pub(super) accepted: Result<(), Denial>,
    /// What its class says about its ingress.
    class_infrastructure: Result<&'a Infrastructure, Denial>,
    /// What it says itself.
    infrastructure: Result<Infrastructure, Denial>,
    /// What backends are shown.
    pub(super) backend_certificate: Result<Option<(String, String)>, Denial>,
    /// Its own listeners, then those of its ListenerSets in their order of precedence.
    pub(super) lists: Vec<ListenerList<'a>>,
}

/// The listeners of a Gateway or of a ListenerSet.
pub(super) struct ListenerList<'a> {
    pub(super) key: ObjectKey,
    pub(super) generation: Generation,
    pub(super) metadata: &'a ObjectMeta,
    /// Of a ListenerSet: whether the Gateway takes it.
    pub(super) accepted: Result<(), Denial>,
    pub(super) listeners: Vec<Listener<'a>>,
}

/// A listener, by its places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ListenerId {
    pub(super) gateway: usize,
    pub(super) list: usize,
    pub(super) listener: usize,
}

/// All of Postern's Gateways.
pub(super) struct Gateways<'a> {
    pub(super) entries: Vec<GatewayEntry<'a>>,
    /// Where the listeners of a Gateway or ListenerSet are.
    parents: BTreeMap<ObjectKey, (usize, usize)>,
}

impl<'a> Gateways<'a> {
    pub(super) fn read(context: Context<'a>, classes: &'a Classes<'_>) -> Self {
        let mut sets: BTreeMap<ObjectKey, Vec<&ListenerSet>> = BTreeMap::new();
        for set in context.world.listener_sets.iter() {
            let parent = &set.spec.parent_ref;
            if (parent.group(), parent.kind()) == (GROUP, "Gateway") {
                let own = set.metadata.namespace.as_deref().unwrap_or("default");
                let namespace = parent.namespace.as_deref().unwrap_or(own);
                sets.entry(ObjectKey::new::<Gateway>(namespace, &*parent.name)).or_default().push(set);
            }
        }
        let ours = context.world.kubernetes_gateways.iter();
        let entries: Vec<_> = ours
            .filter_map(|gateway| {
                let class = classes.infrastructure(&gateway.spec.gateway_class_name)?;
                let key = key_of(gateway.as_ref());
                let sets = sets.remove(&key).unwrap_or_default();
                Some(GatewayEntry::new(gateway, key, class, sets, context))
            })
            .collect();
        let mut parents = BTreeMap::new();
        for (gateway, entry) in entries.iter().enumerate() {
            for (list, part) in entry.lists.iter().enumerate() {
                parents.insert(part.key.clone(), (gateway, list));
            }
        }
        Self { entries, parents }
    }

    /// The places of a parent's listeners.
    pub(super) fn parent(&self, key: &ObjectKey) -> Option<(&GatewayEntry<'a>, usize, usize)> {
        let (gateway, list) = self.parents.get(key).copied()?;
        Some((self.entries.get(gateway)?, gateway, list))
    }

    pub(super) fn listener(&self, id: ListenerId) -> Option<&Listener<'a>> {
        self.entries.get(id.gateway)?.lists.get(id.list)?.listeners.get(id.listener)
    }

    pub(super) fn listener_mut(&mut self, id: ListenerId) -> Option<&mut Listener<'a>> {
        self.entries.get_mut(id.gateway)?.lists.get_mut(id.list)?.listeners.get_mut(id.listener)
    }

    /// Is the Gateway at this place one of a translating class?
    pub(super) fn is_translated(&self, gateway: usize) -> bool {
        self.entries.get(gateway).is_some_and(|entry| entry.mode == Mode::Translating)
    }

    /// The ingresses that there should be: one for each Gateway that is accepted, and that Postern serves itself.
    pub(super) fn ingresses(&self) -> Vec<OwnIngress> {
        let served = self.entries.iter().filter(|entry| entry.mode == Mode::Serving);
        let accepted = served.filter(|entry| entry.accepted.is_ok());
        let ingress = |entry: &GatewayEntry<'_>| OwnIngress {
            name: entry.ingress.clone(),
            labels: names::pod_labels(&entry.key.name, &entry.object.spec.gateway_class_name),
            gateway: entry.key.clone(),
            object: entry.owner(),
            client_certificate: entry.backend_certificate.as_ref().ok().cloned().flatten(),
        };
        accepted.map(ingress).collect()
    }

    /// Says what is wrong with them.
    pub(super) fn report(&self, findings: &mut Findings) {
        for entry in &self.entries {
            if let Err(denial) = &entry.accepted {
                let at = At::object(&entry.key);
                findings.error(&at.field("spec"), denial.problem(ConditionType::Accepted));
            }
            match &entry.infrastructure {
                Ok(own) => own.report(findings),
                Err(denial) => {
                    let problem = denial.problem(ConditionType::Accepted);
                    findings.at_path(&entry.key, parameters::path_of_gateway(), Level::Error, problem);
                }
            }
            if let Err(denial) = &entry.class_infrastructure {
                let at = At::object(&entry.key);
                let at = at.field("spec");
                findings.error(&at.field("gatewayClassName"), denial.problem(ConditionType::Accepted));
            }
            if let Err(denial) = &entry.backend_certificate {
                let at = At::object(&entry.key);
                let at = at.field("spec");
                let at = at.field("tls");
                findings.error(&at.field("backend"), denial.problem(ConditionType::ResolvedRefs));
            }
            for list in &entry.lists {
                list.report(findings);
            }
        }
    }
}

impl<'a> GatewayEntry<'a> {
    fn new(
        object: &'a Gateway,
        key: ObjectKey,
        (mode, class): (Mode, Result<&'a Infrastructure, &Denial>),
        mut sets: Vec<&'a ListenerSet>,
        context: Context<'a>,
    ) -> Self {
        sets.sort_by(|a, b| by_precedence(&a.metadata, &key_of(*a), &b.metadata, &key_of(*b)));
        let accepted = check_gateway(object);
        let own = ListenerList {
            generation: Generation::of(object),
            metadata: &object.metadata,
            accepted: Ok(()),
            listeners: listeners(&object.spec.listeners, &key, context),
            key: key.clone(),
        };
        let allowed = allowed_sets(object, &key.namespace, context);
        let mut lists = vec![own];
        lists.extend(sets.into_iter().map(|set| ListenerList::of_set(set, &allowed, &accepted, context)));
        for listener in lists.iter_mut().flat_map(|list| &mut list.listeners) {
            listener.check_clients(object, &key, context);
            if mode == Mode::Translating {
                listener.check_translated();
            }
        }
        conflicts::find(&mut lists);
        let ingress = IngressName::of_gateway(&key, &object.spec.gateway_class_name);
        let backend_certificate = gateway_tls::backend_certificate(object, &key, context);
        let infrastructure = parameters::of_gateway(object, &key, context.world)
            .and_then(|found| Infrastructure::read(found, mode));
        let class_infrastructure = class.map_err(|denial| {
            let message = format!("GatewayClass {}: {}", object.spec.gateway_class_name, denial.message);
            Denial::new(denial.reason, message)
        });
        Self {
            key,
            object,
            ingress,
            mode,
            accepted,
            class_infrastructure,
            infrastructure,
            backend_certificate,
            lists,
        }
    }

    /// Is it accepted, apart from its listeners? What was served before its parameters were wrong goes on.
    pub(super) fn verdict(&self) -> Result<(), Denial> {
        self.accepted.clone().and(self.parameters().map(|_| ()))
    }

    /// The labels of the pods that serve it. `None`: its parameters do not let themselves be read.
    pub(super) fn selector(&self) -> Option<Selector> {
        if self.mode == Mode::Serving {
            return Some(names::pod_labels(&self.key.name, &self.object.spec.gateway_class_name));
        }
        let (own, class) = (self.infrastructure.as_ref().ok()?, self.class_infrastructure.as_ref().ok()?);
        let said = own.selector.as_ref().or(class.selector.as_ref());
        Some(said.cloned().unwrap_or_else(selector::of_istio))
    }

    /// What its parameters and those of its class say.
    fn parameters(&self) -> Result<IngressParameters, Denial> {
        let class = self.class_infrastructure.as_ref().map_err(Denial::clone)?;
        let own = self.infrastructure.as_ref().map_err(Denial::clone)?;
        Ok(Infrastructure::parameters(class, own))
    }

    /// What the objects of its ingress say of it. Keys of the Gateway API are not the user's to set (Istio).
    fn owner(&self) -> OwningGateway {
        let infrastructure = self.object.spec.infrastructure.clone().unwrap_or_default();
        let own = |key: &String| !key.starts_with("gateway.networking.k8s.io/");
        let mut labels = infrastructure.labels;
        let mut annotations = infrastructure.annotations;
        labels.retain(|key, _| own(key));
        annotations.retain(|key, _| own(key));
        labels.extend(names::pod_labels(&self.key.name, &self.object.spec.gateway_class_name));
        let uid = self.object.metadata.uid.clone();
        let mut addresses =
            self.object.spec.addresses.iter().filter(|address| address.type_() == "IPAddress");
        let address = addresses.find_map(|address| address.value.clone());
        let (name, parameters) = (self.key.name.clone(), self.parameters().ok());
        OwningGateway { name, uid, labels, annotations, address, parameters }
    }

    /// The listeners that are served, with their places: list and listener.
    pub(super) fn served(&self) -> impl Iterator<Item = (usize, usize, &Listener<'a>)> {
        let lists =
            self.lists.iter().enumerate().filter(|(_, list)| self.accepted.is_ok() && list.accepted.is_ok());
        lists.flat_map(|(list, part)| {
            let served = part.listeners.iter().enumerate().filter(|(_, listener)| listener.is_accepted());
            served.map(move |(index, listener)| (list, index, listener))
        })
    }

    /// How many ListenerSets have a listener that is served.
    pub(super) fn attached_sets(&self) -> usize {
        let sets = self.lists.iter().skip(1).filter(|list| list.accepted.is_ok());
        sets.filter(|list| list.listeners.iter().any(Listener::serves)).count()
    }
}

impl<'a> ListenerList<'a> {
    fn of_set(
        set: &'a ListenerSet,
        allowed: &Namespaces,
        gateway: &Result<(), Denial>,
        context: Context<'a>,
    ) -> Self {
        let key = key_of(set);
        let accepted = if !allowed.admit(&key.namespace) {
            let message =
                format!("allowedListeners of the Gateway does not admit ListenerSets of {}", key.namespace);
            Err(Denial::new(Reason::NotAllowed, message))
        } else if let Err(denial) = gateway {
            Err(Denial::new(
                Reason::ParentNotAccepted,
                format!("the Gateway is not accepted: {}", denial.message),
            ))
        } else {
            Ok(())
        };
        Self {
            generation: Generation::of(set),
            metadata: &set.metadata,
            accepted,
            listeners: listeners(&set.spec.listeners, &key, context),
            key,
        }
    }

    fn report(&self, findings: &mut Findings) {
        let at = At::object(&self.key);
        let at = at.field("spec");
        if let Err(denial) = &self.accepted {
            findings.error(&at.field("parentRef"), denial.problem(ConditionType::Accepted));
            return;
        }
        let at = at.field("listeners");
        for (index, listener) in self.listeners.iter().enumerate() {
            listener.report(&at.index(index), findings);
        }
    }
}

fn listeners<'a>(
    specs: &'a [postern_api::gateway_api::listener::Listener],
    owner: &ObjectKey,
    context: Context<'a>,
) -> Vec<Listener<'a>> {
    specs.iter().map(|spec| Listener::new(spec, owner, context)).collect()
}

/// The namespaces whose ListenerSets a Gateway takes.
fn allowed_sets(gateway: &Gateway, own: &str, context: Context<'_>) -> Namespaces {
    let namespaces = gateway.spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
    let from = namespaces.and_then(|namespaces| namespaces.from).unwrap_or(FromNamespaces::None);
    Namespaces::of(from, namespaces.and_then(|it| it.selector.as_ref()), own, context.world)
}

/// What is wrong with a Gateway as a whole.
fn check_gateway(gateway: &Gateway) -> Result<(), Denial> {
    let known = ["IPAddress", "Hostname"];
    let strange = gateway.spec.addresses.iter().find(|address| !known.contains(&address.type_()));
    if let Some(address) = strange {
        let message = format!("addresses of type {} are not assigned by Postern", address.type_());
        return Err(Denial::new(Reason::UnsupportedAddress, message));
    }
    Ok(())
}

/// The order of ListenerSets (GEP-1713): the oldest first, then by namespace and name.
fn by_precedence(a: &ObjectMeta, a_key: &ObjectKey, b: &ObjectMeta, b_key: &ObjectKey) -> std::cmp::Ordering {
    let place = |key: &ObjectKey| (key.namespace.clone(), key.name.clone());
    let created = a.creation_timestamp.cmp(&b.creation_timestamp);
    // `by_age` looks at names before namespaces, as Istio does.
    created.then_with(|| place(a_key).cmp(&place(b_key))).then_with(|| by_age(a, a_key, b, b_key))
}
