//! What the objects mean: the pure steps, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use postern_api::gateway_api::gateway::Gateway as KubernetesGateway;
use postern_api::istio::gateway::Gateway;
use postern_api::meta::ObjectKey;
use postern_snapshot::codec::{EncodeOptions, encode};
use postern_translate::children::elsewhere::{Workload, managed_elsewhere};
use postern_translate::children::settings::translate_with_settings;
use postern_translate::children::{ChildDefaults, plan_children};
use postern_translate::{Finding, IngressName, Options, Outcome, Plan, is_subset};

use super::apply::Wanted;
use super::store::Store;

/// The input, taken at one moment.
pub(super) struct Input {
    world: postern_translate::World,
    elsewhere: BTreeMap<ObjectKey, Finding>,
    gateways: Vec<Arc<Gateway>>,
    generations: BTreeMap<ObjectKey, (String, i64)>,
}

/// What it means.
pub(super) struct Meaning {
    pub(super) outcome: Arc<Outcome>,
    pub(super) findings: Arc<BTreeMap<ObjectKey, Vec<Finding>>>,
    pub(super) wanted: BTreeMap<IngressName, Arc<Wanted>>,
    /// The Gateways of each ingress, also those of which nothing can be served.
    pub(super) gateways: BTreeMap<IngressName, BTreeSet<ObjectKey>>,
    /// What was translated: the uid and generation of each object that gets a status.
    pub(super) generations: BTreeMap<ObjectKey, (String, i64)>,
}

impl Input {
    /// What is in the store now.
    pub(super) fn of(store: &Store) -> Self {
        let gateways = store.gateways();
        let workloads: Vec<Workload> = store.workloads();
        let elsewhere = managed_elsewhere(gateways.iter().map(AsRef::as_ref), &workloads);
        let world = store.world(&elsewhere.gateways);
        let ours = |gateway: &Arc<Gateway>| {
            !elsewhere.gateways.contains(&postern_translate::key_of(gateway.as_ref()))
        };
        let gateways = gateways.into_iter().filter(ours).collect();
        Self { world, elsewhere: elsewhere.findings, gateways, generations: store.generations() }
    }

    /// What it means.
    pub(super) fn meaning(self, options: &Options, defaults: &ChildDefaults) -> Meaning {
        let (mut outcome, settings) = translate_with_settings(&self.world, options);
        let mut findings = std::mem::take(&mut outcome.findings);
        for (key, finding) in self.elsewhere {
            findings.entry(key).or_default().push(finding);
        }
        let mut wanted = BTreeMap::new();
        for (name, plan) in &outcome.plans {
            let settings = settings.get(name).cloned().unwrap_or_default();
            let children = plan_children(plan, &settings, defaults);
            for finding in &children.findings {
                findings.entry(finding.object.clone()).or_default().push(finding.clone());
            }
            let encoded =
                encode(&plan.snapshot, &EncodeOptions::default()).map_err(|error| error.to_string());
            wanted.insert(name.clone(), Arc::new(Wanted { children, settings, encoded }));
        }
        findings.retain(|_, list| !list.is_empty());
        let gateways =
            outcome.plans.iter().map(|(name, plan)| (name.clone(), members(plan, &self.gateways))).collect();
        let generations = self.generations;
        Meaning { outcome: Arc::new(outcome), findings: Arc::new(findings), wanted, gateways, generations }
    }
}

/// The Gateways of an ingress: its own, or those whose selector its pods have.
fn members(plan: &Plan, gateways: &[Arc<Gateway>]) -> BTreeSet<ObjectKey> {
    if let Some(own) = &plan.gateway {
        return [ObjectKey::new::<KubernetesGateway>(&plan.ingress.namespace, &own.name)].into();
    }
    let selects = |gateway: &&Arc<Gateway>| is_subset(&gateway.spec.selector, &plan.labels);
    gateways.iter().filter(selects).map(|gateway| postern_translate::key_of(gateway.as_ref())).collect()
}
