//! The Gateway API's objects → Istio's: pure, and the first step of the translation.
//!
//! As Istio does it: each listener becomes a Gateway with one server, all routes that serve the same hosts on it become
//! one VirtualService, whose rules are sorted by the Gateway API's precedence. What Istio's API cannot say is said by
//! fields beside the objects: [`RouteSemantics::GATEWAY_API`](crate::config::RouteSemantics), the origin of each rule
//! ([`RuleOrigin`](crate::config::RuleOrigin)), an ingress of one's own ([`Placement::Own`](crate::config::Placement)).
//!
//! The files, in the order in which they are used:
//! 1. `class`: which GatewayClasses are Postern's. `parameters`: what `parametersRef`s lead to; `infrastructure`: what that
//!    means.
//! 2. `gateways`: their Gateways and ListenerSets; `listener`: each listener by itself; `certificates`, `gateway_tls`;
//!    `conflicts`: listeners that cannot be told apart.
//! 3. `routes`: routes of all kinds, as far as they are alike; `attach`: which listeners take them, for which hosts.
//! 4. `http`, `grpc`, `l4`: their rules; `filters` and `backends`, which they share.
//!    `backend_tls`: TLS towards their backends.
//! 5. `servers`, `virtual_services`: the objects of Istio that all of this means.
//!    `istio_objects` writes them out for other readers of Istio's API, `istio_losses` says what is lost.
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
mod infrastructure;
mod istio_losses;
mod istio_objects;
mod l4;
mod listener;
mod names;
mod namespaces;
mod order;
mod parameters;
mod route_kind;
mod routes;
mod servers;
mod unsupported;
mod virtual_services;

pub use class::{CONTROLLER_NAME, SUPPORTED_FEATURES};
pub use istio_objects::{IstioObject, TRANSLATED_FROM, Translated, istio_objects};

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

/// What the objects of the Gateway API mean in Istio's model.
#[derive(Debug, Default)]
pub(crate) struct Translation {
    pub(crate) gateways: Vec<GatewayConfig>,
    pub(crate) virtual_services: Vec<VirtualServiceConfig>,
    pub(crate) ingresses: Vec<OwnIngress>,
    pub(crate) backend_tls: BTreeMap<String, Vec<BackendTls>>,
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
    let translation = Translation {
        gateways: servers::gateways(&gateways),
        virtual_services: virtual_services::virtual_services(&routes, &rules, &attachments, &gateways),
        ingresses: gateways.ingresses(),
        backend_tls: policies.settings(),
    };
    facts.add_gateways(&gateways);
    facts.add_routes(&routes, &rules, &attachments);
    facts.add_policies(&policies, &rules, &attachments, &gateways);
    class::report_unknown(world, findings);
    classes.report(findings);
    gateways.report(findings);
    policies.report(findings);
    unsupported::report(&gateways, &routes, &attachments, &policies, findings);
    attach::report(&routes, &rules, &attachments, findings);
    (translation, facts)
}
