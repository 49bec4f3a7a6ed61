//! Fields of VirtualService.

use postern_api::istio::virtual_service::{
    HttpMatchRequest, HttpRoute, L4MatchAttributes, TcpRoute, TlsMatchAttributes, TlsRoute,
    VirtualServiceSpec,
};

use super::unsupported;
use crate::at::At;
use crate::config::VirtualServiceConfig;
use crate::finding::{Findings, Problem, Reason, code};
use crate::virtual_service::match_::{is_plain_header, route_match};

pub(super) fn report(virtual_service: &VirtualServiceConfig, findings: &mut Findings) {
    let VirtualServiceSpec { hosts, gateways, http, tls, tcp, export_to: _ } = &virtual_service.object.spec;
    // Without gateways it is for the mesh, but without hosts it is a delegate.
    if !hosts.is_empty() && gateways.iter().all(|name| name.resolve("").is_none()) {
        return;
    }
    if !virtual_service.is_of_world() {
        for found in virtual_service.rules() {
            found.at(|at| report_http(found.rule, virtual_service, at, findings));
        }
        return;
    }
    let at = At::object(&virtual_service.key);
    let at = at.field("spec");
    let rules = at.field("http");
    for (index, rule) in http.iter().enumerate() {
        report_http(rule, virtual_service, &rules.index(index), findings);
    }
    let rules = at.field("tls");
    for (index, TlsRoute { match_, route: _ }) in tls.iter().enumerate() {
        let rule = rules.index(index);
        let matches = rule.field("match");
        for (index, request) in match_.iter().enumerate() {
            report_tls_match(request, &matches.index(index), findings);
        }
    }
    let rules = at.field("tcp");
    for (index, TcpRoute { match_, route: _ }) in tcp.iter().enumerate() {
        let rule = rules.index(index);
        let matches = rule.field("match");
        for (index, request) in match_.iter().enumerate() {
            report_l4_match(request, &matches.index(index), findings);
        }
    }
}

fn report_http(
    rule: &HttpRoute,
    virtual_service: &VirtualServiceConfig,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let HttpRoute {
        name: _,
        match_,
        route: _,
        redirect: _,
        direct_response: _,
        delegate: _,
        rewrite: _,
        timeout: _,
        retries: _,
        fault,
        mirror: _,
        mirrors: _,
        mirror_percent: _,
        mirror_percentage: _,
        cors_policy: _,
        headers: _,
    } = rule;
    let fields = [("fault", fault.is_some(), "no faults are injected")];
    unsupported(&fields, at, findings);
    let at = at.field("match");
    for (index, request) in match_.iter().enumerate() {
        report_http_match(request, virtual_service, &at.index(index), findings);
    }
}

fn report_http_match(
    request: &HttpMatchRequest,
    virtual_service: &VirtualServiceConfig,
    at: &At<'_>,
    findings: &mut Findings,
) {
    let HttpMatchRequest {
        name: _,
        uri: _,
        scheme: _,
        method: _,
        authority: _,
        headers,
        port: _,
        source_labels,
        gateways: _,
        query_params: _,
        ignore_uri_case: _,
        without_headers,
        source_namespace,
        stat_prefix,
    } = request;
    if !source_labels.is_empty() {
        findings.info(&at.field("sourceLabels"), source_is_ingress("the labels are those of its pods"));
    }
    if source_namespace.is_some() {
        findings.info(&at.field("sourceNamespace"), source_is_ingress("the namespace is its own"));
    }
    if stat_prefix.is_some() {
        findings.unsupported(&at.field("statPrefix"), "metrics have no names by route");
    }
    let mut names = headers.keys().chain(without_headers.keys());
    // Some can be looked at nevertheless, as they are other parts of the request.
    if names.all(|name| is_plain_header(name))
        || route_match(request, virtual_service.semantics.prefix).is_some()
    {
        return;
    }
    for (field, names) in [("headers", headers), ("withoutHeaders", without_headers)] {
        let at = at.field(field);
        for name in names.keys().filter(|name| !is_plain_header(name)) {
            let mut problem = Problem::programmed(
                Reason::UnsupportedValue,
                format!("Postern cannot look at {name:?} as a header; this match takes no requests"),
            );
            if name.starts_with("@request.auth.claims") {
                problem = problem.code(code::JWT_CLAIM_ROUTING);
            }
            findings.error(&at.field(name), problem);
        }
    }
}

fn source_is_ingress(what: &str) -> Problem {
    Problem::programmed(
        Reason::Ineffective,
        format!("at an ingress the source is the ingress itself: {what}"),
    )
}

const GATEWAY_ITSELF: &str =
    "at an ingress it is not looked at, as in Istio; the match takes all sources and addresses";

fn report_tls_match(request: &TlsMatchAttributes, at: &At<'_>, findings: &mut Findings) {
    let TlsMatchAttributes {
        sni_hosts: _,
        destination_subnets,
        port: _,
        source_labels,
        gateways: _,
        source_namespace,
    } = request;
    let fields = [
        ("destinationSubnets", !destination_subnets.is_empty()),
        ("sourceLabels", !source_labels.is_empty()),
        ("sourceNamespace", source_namespace.is_some()),
    ];
    ineffective(&fields, at, findings);
}

fn report_l4_match(request: &L4MatchAttributes, at: &At<'_>, findings: &mut Findings) {
    let L4MatchAttributes {
        destination_subnets,
        port: _,
        source_subnet,
        source_labels,
        gateways: _,
        source_namespace,
    } = request;
    let fields = [
        ("destinationSubnets", !destination_subnets.is_empty()),
        ("sourceSubnet", source_subnet.is_some()),
        ("sourceLabels", !source_labels.is_empty()),
        ("sourceNamespace", source_namespace.is_some()),
    ];
    ineffective(&fields, at, findings);
}

fn ineffective(fields: &[(&str, bool)], at: &At<'_>, findings: &mut Findings) {
    for (field, _) in fields.iter().filter(|(_, is_set)| *is_set) {
        findings.warn(&at.field(field), Problem::programmed(Reason::Ineffective, GATEWAY_ITSELF));
    }
}
