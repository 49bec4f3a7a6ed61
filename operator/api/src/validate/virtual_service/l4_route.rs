//! Rules about routes for TLS and TCP.

use std::net::IpAddr;

use super::super::{Findings, common};
use super::Context;
use crate::istio::virtual_service::{RouteDestination, TcpRoute, TlsMatchAttributes, TlsRoute};
use crate::place::Place;
use crate::value::HostPattern;

pub(super) fn validate_tls(rule: &TlsRoute, context: &Context<'_>, at: &Place<'_>, findings: &mut Findings) {
    let matches = at.field("match");
    if rule.match_.is_empty() {
        findings.error(&matches, "a rule for TLS must have at least one match");
    }
    for (index, request) in rule.match_.iter().enumerate() {
        let at = matches.index(index);
        validate_server_names(request, context, &at.field("sniHosts"), findings);
        common::labels(&request.source_labels, &at.field("sourceLabels"), findings);
    }
    validate_destinations(&rule.route, context, &at.field("route"), findings);
}

fn validate_server_names(
    request: &TlsMatchAttributes,
    context: &Context<'_>,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    if request.sni_hosts.is_empty() {
        findings.error(at, "at least one server name (SNI) is needed");
    }
    for (index, name) in request.sni_hosts.iter().enumerate() {
        let at = at.index(index);
        let is_address = matches!(name, HostPattern::Exact(text) if text.parse::<IpAddr>().is_ok());
        if is_address {
            findings
                .warn(&at, format!("{name} is an address; clients send no addresses as server names (SNI)"));
        } else if !context.spec.hosts.iter().any(|host| host.covers(name)) {
            findings.error(&at, format!("{name} is not within the hosts of this VirtualService"));
        }
    }
}

pub(super) fn validate_tcp(rule: &TcpRoute, context: &Context<'_>, at: &Place<'_>, findings: &mut Findings) {
    let matches = at.field("match");
    for (index, request) in rule.match_.iter().enumerate() {
        let at = matches.index(index);
        common::labels(&request.source_labels, &at.field("sourceLabels"), findings);
    }
    validate_destinations(&rule.route, context, &at.field("route"), findings);
}

fn validate_destinations(
    route: &[RouteDestination],
    context: &Context<'_>,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    if route.is_empty() {
        findings.error(at, "at least one destination is needed");
    }
    if route.len() > 1 && route.iter().all(|destination| destination.weight == 0) {
        findings.error(at, "all weights are 0; one at least must be more");
    }
    for (index, entry) in route.iter().enumerate() {
        context.destination(&entry.destination, &at.index(index).field("destination"), findings);
    }
}
