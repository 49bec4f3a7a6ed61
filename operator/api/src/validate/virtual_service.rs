//! Rules about VirtualServices.

mod cors;
mod fault;
mod headers;
mod http_action;
mod http_match;
mod http_route;
mod l4_route;

use std::collections::BTreeSet;

use super::{Findings, Validate, common};
use crate::finding::SchemaFinding;
use crate::istio::virtual_service::{Destination, VirtualService, VirtualServiceSpec};
use crate::place::Place;
use crate::value::{GatewayName, HostPattern};

/// Marks what the translation from Gateway API made: a destination may be empty there, and answers 500.
const ROUTE_SEMANTICS: &str = "internal.istio.io/route-semantics";

/// What the rules for routes must know of the whole VirtualService.
#[derive(Clone, Copy)]
struct Context<'a> {
    spec: &'a VirtualServiceSpec,
    from_gateway_api: bool,
}

impl Context<'_> {
    fn destination(&self, destination: &Destination, at: &Place<'_>, findings: &mut Findings) {
        if !(self.from_gateway_api && destination.host.is_empty()) {
            common::destination_host(&destination.host, &at.field("host"), findings);
        }
        if let Some(subset) = &destination.subset {
            common::subset_name(subset, &at.field("subset"), findings);
        }
        if let Some(port) = destination.port
            && port.number.is_none()
        {
            findings.error(&at.field("port"), "the port's number is missing");
        }
    }
}

impl Validate for VirtualService {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let annotations = self.metadata.annotations.as_ref();
        let context = Context {
            spec: &self.spec,
            from_gateway_api: annotations
                .and_then(|annotations| annotations.get(ROUTE_SEMANTICS))
                .is_some_and(|semantics| semantics == "gateway"),
        };
        let object = Place::Object;
        let at = object.field("spec");
        validate_kind(&self.spec, &at, &mut findings);
        validate_hosts(&self.spec, &at, &mut findings);
        let rules = at.field("http");
        for (index, rule) in self.spec.http.iter().enumerate() {
            http_route::validate(rule, &context, &rules.index(index), &mut findings);
        }
        let rules = at.field("tls");
        for (index, rule) in self.spec.tls.iter().enumerate() {
            l4_route::validate_tls(rule, &context, &rules.index(index), &mut findings);
        }
        let rules = at.field("tcp");
        for (index, rule) in self.spec.tcp.iter().enumerate() {
            l4_route::validate_tcp(rule, &context, &rules.index(index), &mut findings);
        }
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        common::export_to(&self.spec.export_to, namespace, false, &at.field("exportTo"), &mut findings);
        findings.0
    }
}

/// What it has fits with whether it is a delegate, and it has something.
fn validate_kind(spec: &VirtualServiceSpec, at: &Place<'_>, findings: &mut Findings) {
    if spec.http.is_empty() && spec.tls.is_empty() && spec.tcp.is_empty() {
        findings.error(at, "one of http, tls and tcp must be given");
    }
    if !spec.hosts.is_empty() {
        return;
    }
    let fields =
        [("gateways", spec.gateways.is_empty()), ("tls", spec.tls.is_empty()), ("tcp", spec.tcp.is_empty())];
    for (field, _) in fields.into_iter().filter(|(_, is_empty)| !is_empty) {
        findings.error(
            &at.field("hosts"),
            format!("without hosts this is a delegate, and {field} is not for delegates; give hosts, or leave {field} out"),
        );
    }
}

fn validate_hosts(spec: &VirtualServiceSpec, at: &Place<'_>, findings: &mut Findings) {
    let at = at.field("hosts");
    // Istio: one that is for sidecars too.
    let for_mesh = spec.gateways.is_empty() || spec.gateways.contains(&GatewayName::Mesh);
    let wildcards: Vec<&HostPattern> = spec.hosts.iter().filter(|host| host.is_wildcard()).collect();
    let mut seen = BTreeSet::new();
    for (index, host) in spec.hosts.iter().enumerate() {
        let at = at.index(index);
        if for_mesh && *host == HostPattern::Any {
            findings.error(&at, "\"*\" is not allowed for sidecars: gateways is left out, or names mesh");
        }
        // Istio refuses this. It does no harm: the rules are the same for both.
        let wider = wildcards.iter().copied().find(|wide| *wide != host && wide.covers(host));
        let is_repeated = !seen.insert(host);
        if let Some(other) = wider.or(is_repeated.then_some(host)) {
            findings.warn(&at, format!("{host} is there twice: {other} holds it already"));
        }
    }
}

#[cfg(test)]
#[path = "virtual_service/tests.rs"]
mod tests;
