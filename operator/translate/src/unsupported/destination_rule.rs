//! Fields of DestinationRule, of those rules that concern a service that an ingress uses.

use postern_api::istio::destination_rule::{
    ConnectionPoolSettings, DestinationRule, DestinationRuleSpec, HttpSettings, LbPolicy,
    LoadBalancerSettings, OutlierDetection, PortTrafficPolicy, SimpleLb, Subset, TcpSettings, TrafficPolicy,
};
use postern_api::value::HostPattern;

use super::{Scope, unsupported};
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
        let DestinationRuleSpec { host: _, traffic_policy, subsets, export_to: _, workload_selector: _ } =
            &rule.spec;
        let at = At::object(&key);
        let at = at.field("spec");
        if let Some(policy) = traffic_policy {
            report_policy(policy, &at.field("trafficPolicy"), findings);
        }
        let at = at.field("subsets");
        for (index, Subset { name: _, labels: _, traffic_policy }) in subsets.iter().enumerate() {
            if let Some(policy) = traffic_policy {
                report_policy(policy, &at.index(index).field("trafficPolicy"), findings);
            }
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
        // What cannot be met is told where it is translated.
        tls: _,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    let fields = [
        ("tunnel", tunnel.is_some(), "endpoints are connected to directly"),
        ("proxyProtocol", proxy_protocol.is_some(), "no PROXY header is sent"),
        ("retryBudget", retry_budget.is_some(), "retries are limited by their number only"),
    ];
    unsupported(&fields, at, findings);
    report_outlier_detection(outlier_detection.as_ref(), at, findings);
    report_settings(load_balancer.as_ref(), connection_pool.as_ref(), at, findings);
    let at = at.field("portLevelSettings");
    for (index, settings) in port_level_settings.iter().enumerate() {
        let PortTrafficPolicy { port: _, load_balancer, connection_pool, outlier_detection, tls: _ } =
            settings;
        let at = at.index(index);
        report_outlier_detection(outlier_detection.as_ref(), &at, findings);
        report_settings(load_balancer.as_ref(), connection_pool.as_ref(), &at, findings);
    }
}

fn report_outlier_detection(settings: Option<&OutlierDetection>, at: &At<'_>, findings: &mut Findings) {
    let Some(OutlierDetection {
        consecutive_errors,
        split_external_local_origin_errors: _,
        consecutive_local_origin_failures: _,
        consecutive_gateway_errors: _,
        consecutive_5xx_errors: _,
        interval: _,
        base_ejection_time: _,
        max_ejection_percent: _,
        min_health_percent: _,
        outlier_detection_http_error_codes: _,
    }) = settings
    else {
        return;
    };
    let at = at.field("outlierDetection");
    unsupported(
        &[("consecutiveErrors", consecutive_errors.is_some(), "consecutiveGatewayErrors counts")],
        &at,
        findings,
    );
}

fn report_settings(
    load_balancer: Option<&LoadBalancerSettings>,
    connection_pool: Option<&ConnectionPoolSettings>,
    at: &At<'_>,
    findings: &mut Findings,
) {
    if let Some(settings) = load_balancer {
        report_load_balancer(settings, &at.field("loadBalancer"), findings);
    }
    let Some(ConnectionPoolSettings { tcp, http }) = connection_pool else { return };
    let at = at.field("connectionPool");
    if let Some(tcp) = tcp {
        report_tcp(tcp, &at.field("tcp"), findings);
    }
    if let Some(http) = http {
        report_http(http, &at.field("http"), findings);
    }
}

fn report_load_balancer(settings: &LoadBalancerSettings, at: &At<'_>, findings: &mut Findings) {
    let LoadBalancerSettings {
        policy,
        locality_lb_setting,
        zone_aware_lb_setting,
        warmup_duration_secs,
        warmup,
    } = settings;
    let least_request = "endpoints are chosen by least request";
    let alike = "endpoints are treated alike, wherever they are";
    let at_once = "a new endpoint gets its share at once";
    let hashes = matches!(policy, Some(LbPolicy::ConsistentHash(_)));
    let passes = matches!(policy, Some(LbPolicy::Simple(SimpleLb::Passthrough)));
    let fields = [
        ("consistentHash", hashes, least_request),
        ("simple", passes, least_request),
        ("localityLbSetting", locality_lb_setting.is_some(), alike),
        ("zoneAwareLbSetting", zone_aware_lb_setting.is_some(), alike),
        ("warmupDurationSecs", warmup_duration_secs.is_some(), at_once),
        ("warmup", warmup.is_some(), at_once),
    ];
    unsupported(&fields, at, findings);
}

fn report_tcp(settings: &TcpSettings, at: &At<'_>, findings: &mut Findings) {
    let TcpSettings {
        max_connections: _,
        connect_timeout: _,
        tcp_keepalive,
        max_connection_duration,
        idle_timeout,
    } = settings;
    let fields = [
        ("tcpKeepalive", tcp_keepalive.is_some(), "no probes are sent"),
        (
            "maxConnectionDuration",
            max_connection_duration.is_some(),
            "connections may get as old as they will",
        ),
        ("idleTimeout", idle_timeout.is_some(), "Istio's default counts, 1h"),
    ];
    unsupported(&fields, at, findings);
}

fn report_http(settings: &HttpSettings, at: &At<'_>, findings: &mut Findings) {
    let HttpSettings {
        http1_max_pending_requests: _,
        http2_max_requests: _,
        max_requests_per_connection,
        max_retries: _,
        idle_timeout,
        h2_upgrade_policy: _,
        use_client_protocol,
        max_concurrent_streams,
        http2_keep_alive,
    } = settings;
    let fields = [
        (
            "maxRequestsPerConnection",
            max_requests_per_connection.is_some_and(|requests| requests > 0),
            "a connection takes any number of requests",
        ),
        ("idleTimeout", idle_timeout.is_some(), "idle connections are kept as the proxy sees fit"),
        ("useClientProtocol", *use_client_protocol, "the service's protocol counts"),
        (
            "maxConcurrentStreams",
            max_concurrent_streams.is_some_and(|streams| streams > 0),
            "the endpoint's own limit counts",
        ),
        ("http2KeepAlive", http2_keep_alive.is_some(), "no pings are sent"),
    ];
    unsupported(&fields, at, findings);
}
