//! Fields of DestinationRule, of those rules that concern a service that an ingress uses.

use postern_api::istio::destination_rule::{DestinationRule, DestinationRuleSpec, Subset, TrafficPolicy};
use postern_api::value::HostPattern;

use super::Scope;
use crate::at::At;
use crate::finding::Findings;
use crate::names::complete;
use crate::virtual_service::attach::reaches;
use crate::world::key_of;

pub(super) fn report(scope: &Scope<'_>, findings: &mut Findings) {
    if scope.used_hosts.is_empty() {
        return;
    }
    for rule in scope.world.destination_rules.iter() {
        let key = key_of(rule.as_ref());
        if !concerns_ingress(rule, &key.namespace, scope) {
            continue;
        }
        let DestinationRuleSpec { host: _, traffic_policy, subsets, export_to: _, workload_selector } =
            &rule.spec;
        let at = At::object(&key);
        let at = at.field("spec");
        if workload_selector.is_some() {
            findings
                .unsupported(&at.field("workloadSelector"), "the rule is looked at as if it were for all");
        }
        if let Some(policy) = traffic_policy {
            report_policy(policy, &at.field("trafficPolicy"), findings);
        }
        let at = at.field("subsets");
        for (index, Subset { name: _, labels: _, traffic_policy: _ }) in subsets.iter().enumerate() {
            findings.unsupported(&at.index(index), "routes to this subset get 503");
        }
    }
}

fn concerns_ingress(rule: &DestinationRule, namespace: &str, scope: &Scope<'_>) -> bool {
    if !reaches(&rule.spec.export_to, namespace, &scope.options.root_namespace) {
        return false;
    }
    match &rule.spec.host {
        HostPattern::Exact(host) => {
            scope.used_hosts.contains(&complete(host, namespace, &scope.options.cluster_domain))
        }
        pattern => scope.used_hosts.iter().any(|host| pattern.matches(host)),
    }
}

fn report_policy(policy: &TrafficPolicy, at: &At<'_>, findings: &mut Findings) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    let fields = [
        ("loadBalancer", load_balancer.is_some(), "endpoints are chosen by least request"),
        ("connectionPool", connection_pool.is_some(), "Istio's defaults count"),
        ("outlierDetection", outlier_detection.is_some(), "an endpoint that fails is not ejected"),
        ("tls", tls.is_some(), "the ingress speaks plaintext with the endpoints"),
        ("portLevelSettings", !port_level_settings.is_empty(), "all ports are treated alike"),
        ("tunnel", tunnel.is_some(), "endpoints are connected to directly"),
        ("proxyProtocol", proxy_protocol.is_some(), "no PROXY header is sent"),
        ("retryBudget", retry_budget.is_some(), "retries are limited by their number only"),
    ];
    for (field, _, consequence) in fields.into_iter().filter(|(_, is_set, _)| *is_set) {
        findings.unsupported(&at.field(field), consequence);
    }
}
