use serde_json::{Value, json};

use crate::istio::gateway::Gateway;
use crate::validate::testing::{lines, lines_of};

const NONE: [&str; 0] = [];

fn servers(servers: &Value) -> Vec<String> {
    lines::<Gateway>(&json!({ "servers": servers }))
}

/// The findings of one server on `protocol` with these TLS settings.
fn tls_on(protocol: &str, tls: &Value) -> Vec<String> {
    let port = json!({"number": 443, "protocol": protocol, "name": "port"});
    servers(&json!([{"port": port, "hosts": ["a.com"], "tls": tls}]))
}

fn tls(tls: &Value) -> Vec<String> {
    tls_on("HTTPS", tls)
}

#[test]
fn a_good_gateway_has_no_findings() {
    assert_eq!(tls(&json!({"mode": "SIMPLE", "credentialName": "cert"})), NONE);
    assert_eq!(tls(&json!({"mode": "MUTUAL", "credentialName": "cert"})), NONE);
    assert_eq!(tls(&json!({"mode": "OPTIONAL_MUTUAL", "credentialNames": ["rsa", "ecdsa"]})), NONE);
    assert_eq!(tls(&json!({"mode": "PASSTHROUGH"})), NONE);
    assert_eq!(tls(&json!({"mode": "ISTIO_MUTUAL"})), NONE);
    assert_eq!(tls(&json!({"mode": "SIMPLE", "serverCertificate": "c", "privateKey": "k"})), NONE);
    assert_eq!(tls_on("HTTP", &json!({"httpsRedirect": true})), NONE);
}

#[test]
fn the_name_is_a_label() {
    let gateway = |annotations: Value| {
        let server = json!({"port": {"number": 80, "protocol": "HTTP", "name": "http"}, "hosts": ["a.com"]});
        let metadata = json!({"name": "web.edge", "annotations": annotations});
        lines_of::<Gateway>(json!({"metadata": metadata, "spec": {"servers": [server]}}))
    };
    assert_eq!(
        gateway(json!({})),
        [
            r#"error: metadata.name: "web.edge" cannot be the name of a Gateway; write letters, digits and dashes (no dots), 63 at most [IST0106]"#,
        ]
    );
    assert_eq!(gateway(json!({"internal.istio.io/gateway-semantics": "gateway"})), NONE);
}

#[test]
fn there_are_servers_and_hosts() {
    assert_eq!(
        servers(&json!([])),
        ["error: spec.servers: a Gateway must have at least one server [IST0106]"]
    );
    assert_eq!(
        servers(&json!([{"port": {"number": 80, "protocol": "HTTP", "name": "http"}, "hosts": []}])),
        ["error: spec.servers[0].hosts: a server must have at least one host [IST0106]"]
    );
}

#[test]
fn port_names_are_set_and_unique() {
    let server =
        |name: &str| json!({"port": {"number": 80, "protocol": "HTTP", "name": name}, "hosts": ["*"]});
    assert_eq!(
        servers(&json!([server("a"), server("b"), server("a")])),
        ["error: spec.servers[2].port.name: a is there twice; it must be unique [IST0106]"]
    );
    assert_eq!(
        servers(&json!([server("")])),
        ["error: spec.servers[0].port.name: the name of a port must not be empty [IST0106]"]
    );
}

#[test]
fn unix_sockets_have_port_0_and_nothing_else_has() {
    let server = |number: u16, bind: Option<&str>| {
        let port = json!({"number": number, "protocol": "HTTP", "name": "http"});
        servers(&json!([{"port": port, "hosts": ["*"], "bind": bind}]))
    };
    assert_eq!(server(0, Some("unix:///run/a.sock")), NONE);
    assert_eq!(server(80, Some("10.0.0.1")), NONE);
    assert_eq!(
        server(80, Some("unix:///run/a.sock")),
        [
            "error: spec.servers[0].port.number: beside a Unix socket in bind the port number must be 0 [IST0106]"
        ]
    );
    assert_eq!(
        server(0, None),
        ["error: spec.servers[0].port.number: 0 is not a port number; it must be from 1 to 65535 [IST0106]"]
    );
}

#[test]
fn protocol_and_tls_settings_fit() {
    assert_eq!(
        tls_on("HTTPS", &Value::Null),
        ["error: spec.servers[0].tls: protocol HTTPS needs TLS settings [IST0106]"]
    );
    let plaintext = [
        "error: spec.servers[0].tls: protocol HTTP is plaintext and can have httpsRedirect only; for TLS the protocol must be HTTPS [IST0106]",
    ];
    assert_eq!(tls_on("HTTP", &json!({"mode": "SIMPLE"})), plaintext);
    assert_eq!(tls_on("HTTP", &json!({"credentialName": "cert"})), plaintext);
    assert_eq!(
        tls_on("TCP", &json!({"mode": "SIMPLE", "credentialName": "cert"})),
        [
            "error: spec.servers[0].tls: protocol TCP cannot have TLS settings; for TLS it must be TLS [IST0106]"
        ]
    );
    assert_eq!(
        tls_on("TLS", &json!({"mode": "SIMPLE", "credentialName": "cert", "httpsRedirect": true})),
        [
            "warning: spec.servers[0].tls.httpsRedirect: only a server of protocol HTTP redirects to HTTPS; this one is TLS [IST0133]"
        ]
    );
}

#[test]
fn a_mode_that_ends_tls_needs_a_certificate() {
    assert_eq!(
        tls(&json!({"mode": "SIMPLE"})),
        [
            "error: spec.servers[0].tls: a server certificate and its key are needed: serverCertificate and privateKey are missing; or give a credentialName [IST0106]"
        ]
    );
    assert_eq!(
        tls(&json!({"mode": "SIMPLE", "serverCertificate": "c"})),
        [
            "error: spec.servers[0].tls: a server certificate and its key are needed: privateKey is missing; or give a credentialName [IST0106]"
        ]
    );
    let pairs = json!([{"serverCertificate": "c", "privateKey": "k"}, {"privateKey": "k"}]);
    assert_eq!(
        tls(&json!({"mode": "SIMPLE", "tlsCertificates": pairs})),
        [
            "error: spec.servers[0].tls.tlsCertificates[1]: a server certificate and its key are needed: serverCertificate is missing [IST0106]"
        ]
    );
}

#[test]
fn client_certificates_need_a_ca() {
    let files = |more: Value| {
        let mut settings = json!({"mode": "MUTUAL", "serverCertificate": "c", "privateKey": "k"});
        if let (Value::Object(settings), Value::Object(more)) = (&mut settings, more) {
            settings.extend(more);
        }
        tls(&settings)
    };
    assert_eq!(
        files(json!({})),
        [
            "error: spec.servers[0].tls: to check client certificates a CA is needed: credentialName, caCertificates or caCertCredentialName [IST0106]"
        ]
    );
    assert_eq!(files(json!({"caCertificates": "ca"})), NONE);
    assert_eq!(files(json!({"caCertCredentialName": "ca"})), NONE);
    assert_eq!(files(json!({"insecureSkipVerify": true})), NONE);
    let pairs = json!([{"serverCertificate": "c", "privateKey": "k", "caCertificates": "ca"}]);
    assert_eq!(tls(&json!({"mode": "MUTUAL", "tlsCertificates": pairs})), NONE);
    assert_eq!(files(json!({"caCertificates": "ca", "caCrl": "crl"})), NONE);
    assert_eq!(
        files(json!({"mode": "SIMPLE", "caCrl": "crl"})),
        [
            "error: spec.servers[0].tls.caCrl: without client certificates (mode MUTUAL) there is nothing to revoke [IST0106]"
        ]
    );
}

#[test]
fn passthrough_has_no_certificates() {
    assert_eq!(
        tls(&json!({"mode": "PASSTHROUGH", "credentialName": "cert"})),
        [
            "warning: spec.servers[0].tls.credentialName: PASSTHROUGH does not end TLS, so there is no use for certificates; it is ignored [IST0133]"
        ]
    );
    assert_eq!(
        tls(&json!({"mode": "ISTIO_MUTUAL", "privateKey": "k"})),
        [
            "error: spec.servers[0].tls.privateKey: ISTIO_MUTUAL uses the mesh's certificates and cannot have others [IST0106]"
        ]
    );
}

#[test]
fn certificates_come_from_one_source() {
    assert_eq!(
        tls(&json!({"mode": "SIMPLE", "credentialName": "a", "credentialNames": ["b"]})),
        [
            "error: spec.servers[0].tls: only one source of certificates may be given; here are credentialName and credentialNames [IST0106]"
        ]
    );
    assert_eq!(
        tls(&json!({"mode": "SIMPLE", "credentialName": "a", "serverCertificate": "c", "privateKey": "k"})),
        [
            "error: spec.servers[0].tls: only one source of certificates may be given; here are credentialName and serverCertificate with privateKey [IST0106]"
        ]
    );
}

#[test]
fn there_are_two_certificates_at_most() {
    assert_eq!(
        tls(&json!({"mode": "SIMPLE", "credentialNames": ["a", "b", "c"]})),
        ["error: spec.servers[0].tls.credentialNames: there are 3; at most 2 are allowed [IST0106]"]
    );
}
