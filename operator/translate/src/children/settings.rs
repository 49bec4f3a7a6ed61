//! Which `IngressGateway` speaks for which ingress.

use std::collections::BTreeMap;

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use postern_api::finding::{FieldPath, Level};
use postern_api::gateway_api::gateway::Gateway as KubernetesGateway;
use postern_api::meta::ObjectKey;
use postern_api::postern::ingress_gateway::{IngressGateway, IngressGatewaySpec};
use postern_api::postern::proxy::ProxySettings;
use postern_api::postern::service::{ServiceSettings, ServiceType};
use postern_snapshot::model::{HttpChain, ListenerProtocol, Snapshot, Terminated, TlsAction};

use super::parameters::{IngressParameters, Overlays};
use crate::config::by_age;
use crate::finding::{ConditionType, Finding, Reason};
use crate::ingress::IngressName;
use crate::options::Options;
use crate::plan::{OwningGateway, Plan};
use crate::world::{World, key_of};
use crate::{Outcome, translate};

/// How one ingress is to run. The default is that of an ingress without an `IngressGateway`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IngressSettings {
    /// The `IngressGateway` that they are from.
    pub object: Option<ObjectKey>,
    /// What it says; its selector does not matter here.
    pub spec: IngressGatewaySpec,
    /// Its pod overlay, read.
    pub pod_overlay: Option<PodTemplateSpec>,
    /// What ConfigMaps say, in the order in which they are merged over the objects.
    pub overlays: Vec<Overlays>,
    /// What stays as it is, because what it is to be cannot be read. Rather that than to lose what was asked for until
    /// somebody has mended it.
    pub keep: Keep,
    /// Who owns all objects of the ingress, in its namespace.
    pub owner: Option<OwnerReference>,
    /// What all objects of the ingress carry, the pods too. Postern's own labels go before these.
    pub labels: BTreeMap<String, String>,
    /// What all objects of the ingress carry, the pods too.
    pub annotations: BTreeMap<String, String>,
}

/// What of an ingress is kept as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Keep {
    /// Nothing: all is written as it is to be.
    #[default]
    Nothing,
    /// The Deployment, if there is one: the pod overlay cannot be used.
    Deployment,
    /// All that runs it; and if there is no ingress yet, none is made: the parameters cannot be used. Its snapshot goes
    /// on being written.
    Everything,
}

impl IngressSettings {
    /// What an `IngressGateway` says, and what is wrong with it.
    #[must_use]
    pub fn of(object: &IngressGateway) -> (Self, Vec<Finding>) {
        let key = key_of(object);
        let (pod_overlay, findings) =
            object.spec.pod_overlay.as_ref().map_or_else(Default::default, |it| it.read());
        let unusable = object.spec.pod_overlay.is_some() && pod_overlay.is_none();
        let keep = if unusable { Keep::Deployment } else { Keep::Nothing };
        let findings = findings.iter().map(|finding| Finding::of_schema(&key, finding)).collect();
        let settings =
            Self { object: Some(key), spec: object.spec.clone(), pod_overlay, keep, ..Self::default() };
        (settings, findings)
    }

    /// What the Plan itself says, and what is wrong with the `IngressGateway` that it names: that of the ingress of a
    /// Gateway of the Gateway API, which owns its objects.
    #[must_use]
    pub fn of_plan(plan: &Plan) -> (Self, Vec<Finding>) {
        let Some(gateway) = plan.gateway.clone() else {
            return Default::default();
        };
        let OwningGateway { name, uid, labels, annotations, address, parameters } = gateway;
        let usable = parameters.is_some();
        let IngressParameters { ingress_gateway, overlays } = parameters.unwrap_or_default();
        let (mut settings, findings) = ingress_gateway.as_deref().map_or_else(Default::default, Self::of);
        if !usable {
            settings.keep = Keep::Everything;
        }
        let owner = uid.map(|uid| OwnerReference {
            api_version: KubernetesGateway::API_VERSION.to_owned(),
            kind: KubernetesGateway::KIND.to_owned(),
            name,
            uid,
            controller: Some(true),
            block_owner_deletion: None,
        });
        let is_balanced = |service: &ServiceSettings| service.type_() == ServiceType::LoadBalancer;
        if address.is_some() && settings.spec.service.as_ref().is_none_or(is_balanced) {
            settings.spec.service.get_or_insert_default().load_balancer_ip = address;
        }
        (Self { overlays, owner, labels, annotations, ..settings }, findings)
    }

    /// Its settings of proxies.
    pub(super) fn proxy(&self) -> ProxySettings {
        self.spec.proxy.clone().unwrap_or_default()
    }

    /// Writes what is for the snapshot into it: the trusted hops, on every listener for HTTP that has no number of
    /// its own. Do this before the snapshot is encoded.
    pub fn write_into(&self, snapshot: &mut Snapshot) {
        let Some(hops) = self.proxy().trusted_hops else { return };
        for chain in
            snapshot.routes.listeners.iter_mut().flat_map(|listener| http_chains(&mut listener.protocol))
        {
            chain.settings.xff_trusted_hops.get_or_insert(hops);
        }
    }
}

fn http_chains(protocol: &mut ListenerProtocol) -> Vec<&mut HttpChain> {
    match protocol {
        ListenerProtocol::Http(chain) => vec![chain],
        ListenerProtocol::Tcp(_) | ListenerProtocol::Udp(_) => Vec::new(),
        ListenerProtocol::Tls { chains } => chains
            .iter_mut()
            .filter_map(|chain| match &mut chain.action {
                TlsAction::Terminate { then: Terminated::Http(chain), .. } => Some(chain),
                TlsAction::Terminate { then: Terminated::Tcp(_), .. } | TlsAction::Passthrough(_) => None,
            })
            .collect(),
    }
}

/// The settings of all ingresses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MatchedSettings {
    /// An entry for each ingress.
    pub settings: BTreeMap<IngressName, IngressSettings>,
    /// What is wrong with `IngressGateway`s. An error of the condition Accepted makes one count for nothing, or keeps
    /// a Deployment as it is; one of Programmed says that there is no ingress for it.
    pub findings: BTreeMap<ObjectKey, Vec<Finding>>,
}

/// What a World means, and the settings of each ingress: of its IngressGateways what is for the snapshots is in them, and
/// what is wrong with them is among the findings.
#[must_use]
pub fn translate_with_settings(
    world: &World,
    options: &Options,
) -> (Outcome, BTreeMap<IngressName, IngressSettings>) {
    let mut outcome = translate(world, options);
    let objects = world.ingress_gateways.iter().map(AsRef::as_ref);
    let MatchedSettings { settings, findings } = match_settings(&outcome.plans, objects);
    for (key, list) in findings {
        let all = outcome.findings.entry(key).or_default();
        all.extend(list);
        all.sort();
    }
    for (name, settings) in &settings {
        if let Some(plan) = outcome.plans.get_mut(name) {
            settings.write_into(&mut plan.snapshot);
        }
    }
    (outcome, settings)
}

/// Finds the `IngressGateway` of each ingress: the one in its namespace whose selector gives the ingress its name. Of
/// several the oldest counts (then by name), and the others are told so.
#[must_use]
pub fn match_settings<'a>(
    plans: &BTreeMap<IngressName, Plan>,
    objects: impl IntoIterator<Item = &'a IngressGateway>,
) -> MatchedSettings {
    let mut objects: Vec<_> = objects.into_iter().map(|object| (key_of(object), object)).collect();
    objects.sort_by(|(a_key, a), (b_key, b)| by_age(&a.metadata, a_key, &b.metadata, b_key));
    let mut claims: BTreeMap<IngressName, ObjectKey> = BTreeMap::new();
    let mut matched = MatchedSettings::default();
    for (name, plan) in plans {
        let (settings, findings) = IngressSettings::of_plan(plan);
        if let Some(key) = &settings.object {
            matched.findings.insert(key.clone(), findings);
        }
        matched.settings.insert(name.clone(), settings);
    }
    for (key, object) in objects {
        let is_named = matched.findings.contains_key(&key);
        if object.spec.selector.is_empty() {
            if !is_named {
                matched.findings.insert(key.clone(), vec![without_selector(&key)]);
            }
            continue;
        }
        let ingress = IngressName::of(&object.spec.selector, key.namespace.clone());
        let mut findings = Vec::new();
        if let Some(older) = claims.get(&ingress) {
            findings.push(conflict(&key, older, &ingress));
        } else {
            claims.insert(ingress.clone(), key.clone());
            let (settings, about) = IngressSettings::of(object);
            findings.extend(about);
            if plans.contains_key(&ingress) {
                matched.settings.insert(ingress, settings);
            } else if !is_named {
                findings.push(no_ingress(&key, &ingress, plans));
            }
        }
        if !findings.is_empty() {
            let all = matched.findings.entry(key).or_default();
            all.extend(findings);
            all.sort();
            all.dedup();
        }
    }
    matched.findings.retain(|_, findings| !findings.is_empty());
    matched
}

fn conflict(key: &ObjectKey, older: &ObjectKey, ingress: &IngressName) -> Finding {
    let message =
        format!("{older} has the same selector and is older: ingress {ingress} runs as that one says");
    finding(key, ConditionType::Accepted, Reason::Conflicted, message)
}

fn without_selector(key: &ObjectKey) -> Finding {
    let message = "no Gateway of the Gateway API, and no GatewayClass, names this object in its parametersRef, and it has \
                   no selector for Istio Gateways: nothing runs as it says";
    finding(key, ConditionType::Programmed, Reason::GatewayNotFound, message.to_owned())
}

fn no_ingress(key: &ObjectKey, ingress: &IngressName, plans: &BTreeMap<IngressName, Plan>) -> Finding {
    // Of the same name in another namespace: what the user most likely meant.
    if let Some(other) = plans.keys().find(|other| other.name == ingress.name) {
        let message = format!(
            "ingress {} runs in namespace {:?}: move this object there, or nothing comes of it",
            other.name, other.namespace
        );
        return finding(key, ConditionType::Accepted, Reason::Ineffective, message);
    }
    let message = format!(
        "no Gateway with servers has this selector, so there is no ingress {ingress}; it will run as this object says"
    );
    finding(key, ConditionType::Programmed, Reason::GatewayNotFound, message)
}

fn finding(key: &ObjectKey, condition: ConditionType, reason: Reason, message: String) -> Finding {
    let path = FieldPath::spec().field("selector");
    Finding { object: key.clone(), path, level: Level::Error, condition, reason, message, code: None }
}
