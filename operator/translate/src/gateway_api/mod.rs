//! The Gateway API's objects → Istio's: pure, and the first step of the translation.
//!
//! As Istio does it: each listener becomes a Gateway with one server, all routes that serve the same hosts on it become
//! one VirtualService, whose rules are sorted by the Gateway API's precedence. What Istio's API cannot say is said by
//! fields beside the objects: [`RouteSemantics::GATEWAY_API`](crate::config::RouteSemantics), the origin of each rule
//! ([`RuleOrigin`](crate::config::RuleOrigin)), an ingress of one's own ([`Placement::Own`](crate::config::Placement)).
//!
//! The files, in the order in which they are used:
//! 1. `class`: which GatewayClasses are Postern's; `mode`: who serves their Gateways. `parameters`: what `parametersRef`s
//!    lead to; `infrastructure` and `selector`: what that means.
//! 2. `gateways`: their Gateways and ListenerSets; `listener`: each listener by itself; `certificates`, `gateway_tls`;
//!    `conflicts`: listeners that cannot be told apart.
//! 3. `routes`: routes of all kinds, as far as they are alike; `attach`: which listeners take them, for which hosts.
//! 4. `http`, `grpc`, `l4`: their rules; `filters` and `backends`, which they share.
//!    `backend_tls`: TLS towards their backends.
//! 5. `servers`, `virtual_services`: the objects of Istio that all of this means.
//!    `istio_objects` writes them out for other readers of Istio's API, `istio_losses` says what is lost. `written`: those that
//!    are in the cluster for Gateways of translating classes; `in_cluster`: as they are there; `istio_pods`: who reads them.
//! 6. `facts`: what the statuses say about it.

mod attach;
mod backend_tls;
mod backends;
mod certificates;
mod class;
mod conflicts;
mod denial;
pub mod facts;
mod filters;
mod gateway_tls;
mod gateways;
mod grants;
mod grpc;
mod http;
mod in_cluster;
mod infrastructure;
mod istio_losses;
mod istio_object;
mod istio_objects;
mod istio_pods;
mod l4;
mod listener;
mod mode;
mod names;
mod namespaces;
mod order;
mod parameters;
mod refused_backend;
mod route_kind;
mod routes;
mod selector;
mod servers;
mod unsupported;
mod virtual_services;
mod written;

pub use class::{CONTROLLER_NAME, SUPPORTED_FEATURES};
pub use in_cluster::{TRANSLATED, WRITTEN_KINDS, first_difference, is_translated, surplus};
pub use istio_object::IstioObject;
pub use istio_objects::{TRANSLATED_FROM, Translated, istio_objects};
pub use istio_pods::{IstioPods, PodsService};
pub use mode::{Mode, TRANSLATED_FEATURES, TRANSLATOR_NAME};
pub use written::{TranslatedObjects, WrittenObject};

use std::collections::BTreeMap;

use crate::config::{BackendTls, GatewayConfig, OwnIngress, VirtualServiceConfig};
use crate::finding::Findings;
use crate::options::Options;
use crate::world::World;

use backend_tls::Policies;
use class::Classes;
use facts::GatewayApiFacts;
use gateways::Gateways;
use grants::Grants;
use written::Sources;

/// What the objects of the Gateway API mean in Istio's model.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    pub(crate) gateways: Vec<GatewayConfig>,
    pub(crate) virtual_services: Vec<VirtualServiceConfig>,
    pub(crate) ingresses: Vec<OwnIngress>,
    pub(crate) backend_tls: BTreeMap<String, Vec<BackendTls>>,
    /// What Postern does not serve itself.
    pub(crate) translated: TranslatedObjects,
}

/// What all parts of the translation look at.
#[derive(Clone, Copy)]
struct Context<'a> {
    world: &'a World,
    options: &'a Options,
    grants: &'a Grants<'a>,
}

/// Translates.
pub(crate) fn translate(
    world: &World,
    options: &Options,
    findings: &mut Findings,
) -> (Translation, GatewayApiFacts) {
    let classes = Classes::new(world);
    let mut facts = GatewayApiFacts { classes: classes.facts(), ..GatewayApiFacts::default() };
    if classes.is_empty() {
        class::report_unknown(world, findings);
        return (Translation::default(), facts);
    }
    let grants = Grants::new(world);
    let context = Context { world, options, grants: &grants };
    let mut gateways = Gateways::read(context, &classes);
    let routes = routes::all(context);
    let attachments = attach::attach(&routes, &mut gateways);
    let policies = Policies::new(context);
    let rules: Vec<_> = routes.iter().map(|route| route.rules(context)).collect();
    let virtual_services = virtual_services::virtual_services(&routes, &rules, &attachments, &gateways);
    let (translated_gateways, served_gateways) = split(servers::gateways(&gateways), &gateways);
    let (translated_services, served_services) = split(virtual_services, &gateways);
    let sources = Sources {
        context,
        gateways: &gateways,
        rules: &rules,
        attachments: &attachments,
        policies: &policies,
    };
    let translation = Translation {
        gateways: served_gateways.into_iter().map(|(_, config)| config).collect(),
        virtual_services: served_services.into_iter().map(|(_, config)| config).collect(),
        ingresses: gateways.ingresses(),
        backend_tls: policies.settings(),
        translated: sources.objects(&translated_gateways, translated_services, findings),
    };
    facts.add_gateways(&gateways, world);
    facts.add_routes(&routes, &rules, &attachments, &gateways);
    facts.add_policies(&policies, &rules, &attachments, &gateways);
    class::report_unknown(world, findings);
    classes.report(findings);
    gateways.report(findings);
    policies.report(findings);
    unsupported::report(&gateways, &routes, &attachments, &policies, findings);
    attach::report(&routes, &rules, &attachments, findings);
    (translation, facts)
}

/// What each thing with the place of its Gateway is of: a translating class, or another.
type Placed<T> = Vec<(usize, T)>;

fn split<T>(all: Placed<T>, gateways: &Gateways<'_>) -> (Placed<T>, Placed<T>) {
    all.into_iter().partition(|(gateway, _)| gateways.is_translated(*gateway))
}
