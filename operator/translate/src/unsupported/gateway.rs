//! Fields of Gateway. What a server's TLS settings say is looked at in `gateway/tls`.

use postern_api::istio::gateway::{GatewaySpec, Server, ServerPort, ServerTlsSettings};

use crate::at::At;
use crate::config::GatewayConfig;
use crate::finding::{Findings, Problem, Reason};

pub(super) fn report(gateway: &GatewayConfig, findings: &mut Findings) {
    let GatewaySpec { servers, selector: _ } = &gateway.object.spec;
    let at = At::object(&gateway.key);
    let at = at.field("spec");
    let at = at.field("servers");
    for (index, server) in servers.iter().enumerate() {
        // `name` and `port.name` are names only.
        let Server { port, bind: _, hosts: _, tls, name: _, default_endpoint } = server;
        let ServerPort { number: _, protocol, name: _, target_port } = port;
        let at = at.index(index);
        if default_endpoint.is_some() {
            findings.unsupported(&at.field("defaultEndpoint"), "Istio does not implement it either");
        }
        if target_port.is_some() {
            let message = "a Gateway's server has no target port; the port's number is that of the Service";
            findings.warn(
                &at.field("port").field("targetPort"),
                Problem::programmed(Reason::Ineffective, message),
            );
        }
        if let Some(tls) = tls.as_ref().filter(|_| protocol.is_http()) {
            plaintext(tls, &at.field("tls"), findings);
        }
    }
}

/// TLS settings of a server that speaks none: only `httpsRedirect` means something there.
fn plaintext(tls: &ServerTlsSettings, at: &At<'_>, findings: &mut Findings) {
    let redirect_only = ServerTlsSettings {
        https_redirect: tls.https_redirect,
        mode: tls.mode,
        ..ServerTlsSettings::default()
    };
    if *tls != redirect_only {
        let message = "a server of protocol HTTP is plaintext, of all its TLS settings only httpsRedirect counts; for TLS \
                       the protocol must be HTTPS";
        findings.warn(at, Problem::programmed(Reason::Ineffective, message));
    }
}
