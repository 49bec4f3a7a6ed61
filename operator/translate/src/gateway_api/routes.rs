//! Routes of all kinds, as far as they are alike.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::Level;
use postern_api::gateway_api::grpc_route::GrpcRouteRule;
use postern_api::gateway_api::hostname::Hostname;
use postern_api::gateway_api::http_route::HttpRouteRule;
use postern_api::gateway_api::l4_route::L4RouteRule;
use postern_api::gateway_api::reference::ParentReference;
use postern_api::meta::{Generation, ObjectKey};

use super::Context;
use super::denial::Denial;
use super::http::HttpEntry;
use super::l4::L4Entry;
use super::route_kind::RouteKind;
use super::{grpc, http, l4};
use crate::config::{RuleOrigin, by_age};
use crate::finding::Reason;
use crate::world::key_of;

/// A route.
pub(super) struct Route<'a> {
    pub(super) kind: RouteKind,
    pub(super) key: Arc<ObjectKey>,
    pub(super) generation: Generation,
    pub(super) metadata: &'a ObjectMeta,
    pub(super) parents: &'a [ParentReference],
    /// None: those of the listeners.
    pub(super) hostnames: &'a [Hostname],
    pub(super) use_default_gateways: bool,
    body: Body<'a>,
}

enum Body<'a> {
    Http(&'a [HttpRouteRule]),
    Grpc(&'a [GrpcRouteRule]),
    L4(&'a [L4RouteRule]),
}

/// The rules of a route in Istio's model, and what is wrong with them.
#[derive(Default)]
pub(super) struct Rules {
    /// One for each match, in the order of the route.
    pub(super) http: Vec<HttpEntry>,
    /// The first that goes somewhere.
    pub(super) l4: Option<L4Entry>,
    /// References that lead nowhere, each with the place of its rule.
    pub(super) unresolved: Vec<(RuleOrigin, Denial)>,
    /// What is not honoured, each with the place of its rule; such a rule answers 500.
    pub(super) unsupported: Vec<(RuleOrigin, Denial)>,
    /// How many rules the route has, without those that were left out on reading.
    pub(super) count: usize,
    /// Why rules were left out on reading.
    pub(super) unread: Option<Denial>,
}

impl Rules {
    /// The whole names of the services that requests or connections are sent to.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &str> {
        let http = self.http.iter().flat_map(|entry| &entry.rule.route).map(|it| &it.destination);
        let l4 = self.l4.iter().flat_map(|entry| &entry.route).map(|it| &it.destination);
        http.chain(l4).map(|destination| destination.host.as_str())
    }

    /// The first reference that leads nowhere.
    pub(super) fn resolved_refs(&self) -> Result<(), Denial> {
        self.unresolved.first().map_or(Ok(()), |(_, denial)| Err(denial.clone()))
    }

    /// Is no rule served as it is written?
    pub(super) fn rejected(&self) -> Option<&Denial> {
        let mut rules: Vec<_> = self.unsupported.iter().map(|(origin, _)| origin.position).collect();
        rules.dedup();
        self.invalid().filter(|_| rules.len() >= self.count)
    }

    /// Is a rule not served as it is written?
    pub(super) fn invalid(&self) -> Option<&Denial> {
        self.unread.as_ref().or_else(|| self.unsupported.first().map(|(_, denial)| denial))
    }
}

/// All routes, the oldest first; of the same age by namespace and name (Gateway API).
pub(super) fn all(context: Context<'_>) -> Vec<Route<'_>> {
    let world = context.world;
    let mut routes: Vec<Route<'_>> = Vec::new();
    /// Adds the routes of a table.
    macro_rules! add {
        ($table:ident, $kind:ident, |$spec:ident| $hostnames:expr, $body:expr) => {
            routes.extend(world.$table.iter().map(|route| {
                let $spec = &route.spec;
                Route {
                    kind: RouteKind::$kind,
                    key: Arc::new(key_of(route.as_ref())),
                    generation: Generation::of(route.as_ref()),
                    metadata: &route.metadata,
                    parents: &$spec.parent_refs,
                    hostnames: $hostnames,
                    use_default_gateways: $spec.use_default_gateways.is_some(),
                    body: $body,
                }
            }));
        };
    }
    add!(http_routes, Http, |spec| &spec.hostnames, Body::Http(spec.rules()));
    add!(grpc_routes, Grpc, |spec| &spec.hostnames, Body::Grpc(&spec.rules));
    add!(tls_routes, Tls, |spec| &spec.hostnames, Body::L4(&spec.rules));
    add!(tcp_routes, Tcp, |spec| &[], Body::L4(&spec.rules));
    add!(udp_routes, Udp, |spec| &[], Body::L4(&spec.rules));
    routes.sort_by(|a, b| {
        let place = |route: &Route<'_>| (route.key.namespace.clone(), route.key.name.clone());
        let created = a.metadata.creation_timestamp.cmp(&b.metadata.creation_timestamp);
        let named = created.then_with(|| place(a).cmp(&place(b)));
        named.then_with(|| by_age(a.metadata, &a.key, b.metadata, &b.key)).then_with(|| a.kind.cmp(&b.kind))
    });
    routes
}

impl Route<'_> {
    /// Its rules in Istio's model.
    pub(super) fn rules(&self, context: Context<'_>) -> Rules {
        let rules = match self.body {
            Body::Http(rules) => http::rules(self, rules, context),
            Body::Grpc(rules) => grpc::rules(self, rules, context),
            Body::L4(rules) => l4::rules(self, rules, context),
        };
        Rules { unread: self.unread(context), ..rules }
    }

    /// Why rules of it were left out on reading, if some were.
    fn unread(&self, context: Context<'_>) -> Option<Denial> {
        let report = context.world.read.get(self.key.as_ref())?;
        report.dropped.paths().next()?;
        let error = report.findings.iter().find(|finding| finding.level == Level::Error)?;
        Some(Denial::new(Reason::UnsupportedValue, format!("{}: {}", error.path, error.message)))
    }

    /// The places of rules with `sessionPersistence`.
    pub(super) fn persistent_sessions(&self) -> Vec<usize> {
        let wanted: Vec<bool> = match self.body {
            Body::Http(rules) => rules.iter().map(|rule| rule.session_persistence.is_some()).collect(),
            Body::Grpc(rules) => rules.iter().map(|rule| rule.session_persistence.is_some()).collect(),
            Body::L4(_) => Vec::new(),
        };
        wanted.iter().enumerate().filter(|(_, wanted)| **wanted).map(|(place, _)| place).collect()
    }

    /// The place of a rule.
    pub(super) fn origin(&self, position: usize) -> RuleOrigin {
        RuleOrigin { key: Arc::clone(&self.key), generation: self.generation, position }
    }
}
