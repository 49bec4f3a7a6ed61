//! Rules about traffic policies.

use super::{Findings, common, load_balancer};
use crate::istio::destination_rule::{
    ClientTlsMode, ClientTlsSettings, ConnectionPoolSettings, H2UpgradePolicy, HttpSettings,
    OutlierDetection, PortTrafficPolicy, TcpSettings, TrafficPolicy, TunnelSettings,
};
use crate::place::Place;
use crate::value::HostPattern;

/// `maxItems` of the schema.
const MAX_PORT_LEVEL_SETTINGS: usize = 4096;

/// How the Gateway API's BackendTLSPolicy names its CA, `configmap://namespace/name`.
const CONFIG_MAP: &str = "configmap://";

pub(super) fn validate(policy: &TrafficPolicy, namespace: &str, at: &Place<'_>, findings: &mut Findings) {
    if *policy == TrafficPolicy::default() {
        findings.error(at, "a traffic policy must have at least one field");
    }
    if policy.tunnel.is_some() && policy.proxy_protocol.is_some() {
        findings.error(at, "only one of tunnel and proxyProtocol may be set");
    }
    // The four settings that ports have too.
    let settings = PortTrafficPolicy {
        port: None,
        load_balancer: policy.load_balancer.clone(),
        connection_pool: policy.connection_pool.clone(),
        outlier_detection: policy.outlier_detection.clone(),
        tls: policy.tls.clone(),
    };
    validate_settings(&settings, namespace, at, findings);
    let list = at.field("portLevelSettings");
    common::at_most(&policy.port_level_settings, MAX_PORT_LEVEL_SETTINGS, &list, findings);
    for (index, settings) in policy.port_level_settings.iter().enumerate() {
        let at = list.index(index);
        if settings.port.and_then(|port| port.number).is_none() {
            findings.error(&at.field("port"), "the port's number is missing");
        }
        if (PortTrafficPolicy { port: None, ..settings.clone() }) == PortTrafficPolicy::default() {
            findings.error(&at, "settings for a port must have at least one field beside the port");
        }
        validate_settings(settings, namespace, &at, findings);
    }
    if let Some(tunnel) = &policy.tunnel {
        validate_tunnel(tunnel, &at.field("tunnel"), findings);
    }
}

fn validate_settings(settings: &PortTrafficPolicy, namespace: &str, at: &Place<'_>, findings: &mut Findings) {
    let outlier_detection = settings.outlier_detection.as_ref();
    if let Some(outlier) = outlier_detection {
        validate_outlier_detection(outlier, &at.field("outlierDetection"), findings);
    }
    if let Some(pool) = &settings.connection_pool {
        validate_connection_pool(pool, &at.field("connectionPool"), findings);
    }
    if let Some(balancer) = &settings.load_balancer {
        let has_outlier_detection = outlier_detection.is_some();
        load_balancer::validate(balancer, has_outlier_detection, &at.field("loadBalancer"), findings);
    }
    if let Some(tls) = &settings.tls {
        validate_tls(tls, namespace, &at.field("tls"), findings);
    }
}

fn validate_outlier_detection(outlier: &OutlierDetection, at: &Place<'_>, findings: &mut Findings) {
    common::duration(outlier.base_ejection_time, &at.field("baseEjectionTime"), findings);
    common::duration(outlier.interval, &at.field("interval"), findings);
    if outlier.consecutive_errors.is_some_and(|errors| errors > 0) {
        findings.deprecated(
            &at.field("consecutiveErrors"),
            "consecutiveErrors is deprecated; write consecutiveGatewayErrors or consecutive5xxErrors",
        );
    }
    let counts_local = outlier.consecutive_local_origin_failures.is_some_and(|failures| failures > 0);
    if counts_local && !outlier.split_external_local_origin_errors {
        findings.error(
            &at.field("consecutiveLocalOriginFailures"),
            "failures to connect are counted apart only with splitExternalLocalOriginErrors: true",
        );
    }
    let percentages = [
        ("maxEjectionPercent", outlier.max_ejection_percent),
        ("minHealthPercent", outlier.min_health_percent),
    ];
    for (field, percent) in percentages {
        if let Some(percent) = percent.filter(|percent| *percent > 100) {
            let message = format!("{percent} is not a percentage; it must be from 0 to 100");
            findings.error(&at.field(field), message);
        }
    }
    let codes = at.field("outlierDetectionHttpErrorCodes");
    for (index, code) in outlier.outlier_detection_http_error_codes.iter().enumerate() {
        if !(100..=599).contains(code) {
            findings.error(
                &codes.index(index),
                format!("{code} is not a response's status; it must be from 100 to 599"),
            );
        }
    }
}

fn validate_connection_pool(pool: &ConnectionPoolSettings, at: &Place<'_>, findings: &mut Findings) {
    if pool.tcp.is_none() && pool.http.is_none() {
        findings.error(at, "one of tcp and http is needed");
    }
    if let Some(tcp) = &pool.tcp {
        validate_tcp(tcp, &at.field("tcp"), findings);
    }
    if let Some(http) = &pool.http {
        validate_http(http, &at.field("http"), findings);
    }
}

fn validate_tcp(tcp: &TcpSettings, at: &Place<'_>, findings: &mut Findings) {
    common::duration(tcp.connect_timeout, &at.field("connectTimeout"), findings);
    common::duration(tcp.max_connection_duration, &at.field("maxConnectionDuration"), findings);
    common::duration_or_off(tcp.idle_timeout, &at.field("idleTimeout"), findings);
    if let Some(keepalive) = &tcp.tcp_keepalive {
        let at = at.field("tcpKeepalive");
        common::duration(keepalive.time, &at.field("time"), findings);
        common::duration(keepalive.interval, &at.field("interval"), findings);
    }
}

fn validate_http(http: &HttpSettings, at: &Place<'_>, findings: &mut Findings) {
    common::duration(http.idle_timeout, &at.field("idleTimeout"), findings);
    if http.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade) && http.use_client_protocol {
        findings.error(
            &at.field("useClientProtocol"),
            "useClientProtocol cannot stand beside h2UpgradePolicy: UPGRADE",
        );
    }
    if let Some(keep_alive) = &http.http2_keep_alive {
        let at = at.field("http2KeepAlive");
        for (field, duration) in [("interval", keep_alive.interval), ("timeout", keep_alive.timeout)] {
            let at = at.field(field);
            if duration.is_none() {
                findings.error(&at, format!("{field} is needed"));
            }
            common::duration(duration, &at, findings);
        }
    }
}

fn validate_tls(tls: &ClientTlsSettings, namespace: &str, at: &Place<'_>, findings: &mut Findings) {
    if let Some(config_map) = tls.credential_name.as_deref().and_then(|name| name.strip_prefix(CONFIG_MAP)) {
        let is_own = config_map
            .split_once('/')
            .is_some_and(|(other, name)| other == namespace && !name.is_empty() && !name.contains('/'));
        if !is_own {
            findings.error(
                &at.field("credentialName"),
                format!("a ConfigMap must be of the rule's namespace: configmap://{namespace}/name"),
            );
        }
    }
    let mode = tls.mode();
    if !matches!(mode, ClientTlsMode::Simple | ClientTlsMode::Mutual) {
        return;
    }
    if tls.insecure_skip_verify == Some(true) {
        let verifying = [
            ("caCertificates", tls.ca_certificates.is_some()),
            ("credentialName", mode == ClientTlsMode::Simple && tls.credential_name.is_some()),
            ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ];
        for (field, _) in verifying.into_iter().filter(|(_, set)| *set) {
            findings.error(
                &at.field(field),
                format!("{field} says what to verify, and insecureSkipVerify not to verify"),
            );
        }
    }
    let files = [
        ("clientCertificate", tls.client_certificate.is_some()),
        ("privateKey", tls.private_key.is_some()),
        ("caCertificates", tls.ca_certificates.is_some()),
        ("caCrl", tls.ca_crl.is_some()),
    ];
    if tls.credential_name.is_some() {
        for (field, _) in files.into_iter().filter(|(_, set)| *set) {
            findings.error(&at.field(field), format!("{field} cannot stand beside credentialName"));
        }
    } else if mode == ClientTlsMode::Mutual {
        for (field, _) in files.into_iter().take(2).filter(|(_, set)| !set) {
            findings
                .error(&at.field(field), format!("{field} (or credentialName) is needed for mode MUTUAL"));
        }
    }
}

fn validate_tunnel(tunnel: &TunnelSettings, at: &Place<'_>, findings: &mut Findings) {
    if let Some(protocol) = &tunnel.protocol
        && !["CONNECT", "POST"].contains(&protocol.as_str())
    {
        findings
            .error(&at.field("protocol"), format!("got {protocol:?}; it must be \"CONNECT\" or \"POST\""));
    }
    if !matches!(tunnel.target_host.parse(), Ok(HostPattern::Exact(_))) {
        let message = format!("{:?} is not a DNS name or an IP address", tunnel.target_host);
        findings.error(&at.field("targetHost"), message);
    }
}
