//! The planning half of Postern, pure: World → IstioConfig → Plan.
//!
//! [`translate`] takes everything that was read and gives, for each ingress, the snapshot that its proxies load and
//! what its Service needs, and for each object what is wrong with it. There is no clock, no network and no
//! environment here: equal Worlds give equal Outcomes, whatever the order in which their objects came.
//!
//! The stages, in order of their files:
//! 1. [`World`]: what was read, indexed.
//! 2. `gateway_api`: the Gateway API's objects → Istio's.
//! 3. `config`: the one model, Istio's, with what the Gateway API means besides as explicit fields.
//! 4. `ingress`: which ingresses there are, and which Gateways each serves.
//! 5. `virtual_service/attach`: which VirtualServices are served by which servers, for which hosts.
//! 6. `gateway/merge`: the servers of an ingress by port, conflicts settled.
//! 7. `gateway/listeners`, `virtual_service/*`, `destination`: what each listener does.
//! 8. `envoy_filter`: what EnvoyFilters change about it.
//! 9. `unsupported`: what an object says that is not honoured yet. Nothing is ignored in silence.
//!
//! What an object's status says is in [`status`].
//!
//! What runs an ingress, its Deployment and so on, is planned in [`children`] from its Plan and an `IngressGateway`.
//!
//! Everything that is refused costs as little as possible (a rule, a server), and is a [`Finding`] of its object.

mod at;
pub mod children;
mod config;
mod destination;
mod endpoints;
mod envoy_filter;
mod finding;
mod gateway;
pub mod gateway_api;
mod ingress;
mod names;
mod options;
mod plan;
mod secret;
pub mod status;
mod table;
mod unsupported;
mod virtual_service;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use postern_api::meta::ObjectKey;

pub use finding::{ConditionType, Finding, Reason, code};
pub use gateway_api::TranslatedObjects;
pub use gateway_api::facts::GatewayApiFacts;
pub use ingress::{IngressName, is_subset};
pub use options::{ClientPorts, Options, PortMapping};
pub use plan::{IngressPort, OwningGateway, Plan};
pub use world::{World, WorldBuilder, WorldObject, key_of};

use destination::{EntryIndex, RuleIndex};
use envoy_filter::EnvoyFilters;
use finding::Findings;
use plan::{Planned, Planner};

/// What a [`World`] means.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// The ingresses that there should be.
    pub plans: BTreeMap<IngressName, Plan>,
    /// The objects of Istio that are to be in the cluster, for Gateways that Postern does not serve itself.
    pub translated: TranslatedObjects,
    /// What was decided about the objects of the Gateway API, for their statuses.
    pub gateway_api: GatewayApiFacts,
    /// What is wrong or noteworthy, by object. Objects without findings are not there.
    pub findings: BTreeMap<ObjectKey, Vec<Finding>>,
}

/// What a World means.
#[must_use]
pub fn translate(world: &World, options: &Options) -> Outcome {
    let mut findings = Findings::default();
    let (mut translation, gateway_api) = gateway_api::translate(world, options, &mut findings);
    let translated = std::mem::take(&mut translation.translated);
    let config = config::istio_config(world, translation, &mut findings);
    let attachments = virtual_service::attach::attach(&config, options, &mut findings);
    let entries = EntryIndex::new(world, options);
    let rules = RuleIndex::new(world, options);
    let ingresses = ingress::ingresses(&config, options);
    let envoy_filters = EnvoyFilters::read(world, options, &ingresses, &mut findings);
    let planner = Planner {
        world,
        options,
        entries: &entries,
        rules: &rules,
        attachments: &attachments,
        backend_tls: &config.backend_tls,
        envoy_filters: &envoy_filters,
    };
    let mut plans = BTreeMap::new();
    let mut used_hosts = BTreeSet::new();
    let mut served_routes = BTreeSet::new();
    let mut matched_patches = BTreeSet::new();
    for ingress in &ingresses {
        let Planned { plan, hosts, served, matched } = planner.plan(ingress, &mut findings);
        used_hosts.extend(hosts);
        served_routes.extend(served);
        matched_patches.extend(matched);
        plans.insert(plan.ingress.clone(), plan);
    }
    virtual_service::attach::report_idle(&attachments, &served_routes, &mut findings);
    for virtual_service in &config.virtual_services {
        if virtual_service.is_of_world() {
            virtual_service::reach::report_unreachable(virtual_service, world, &mut findings);
        }
    }
    envoy_filters.report_ineffective(&matched_patches, &mut findings);
    unsupported::report(&unsupported::Scope { world, options, config: &config, used_hosts }, &mut findings);
    Outcome { plans, translated, gateway_api, findings: findings.into_map(&world.read) }
}
