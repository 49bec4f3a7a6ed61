//! What objects of the Gateway API say that Postern does not honour yet. Filters are told of where they are refused
//! ([`super::filters`]): they change what is served.

use postern_api::gateway_api::gateway::Gateway;
use postern_api::meta::ObjectKey;

use super::attach::Attachments;
use super::backend_tls::Policies;
use super::gateways::{GatewayEntry, Gateways};
use super::routes::Route;
use crate::at::At;
use crate::finding::Findings;

/// Says it of all objects that are Postern's.
pub(super) fn report(
    gateways: &Gateways<'_>,
    routes: &[Route<'_>],
    attachments: &Attachments,
    policies: &Policies<'_>,
    findings: &mut Findings,
) {
    for entry in &gateways.entries {
        report_gateway(&entry.key, entry.object, findings);
        report_listeners(entry, findings);
    }
    for (route, parents) in routes.iter().zip(&attachments.parents) {
        if !parents.is_empty() {
            report_route(route, findings);
        }
    }
    for policy in policies.iter().filter(|policy| !policy.object.spec.options.is_empty()) {
        let at = At::object(&policy.key);
        let at = at.field("spec");
        findings.unsupported(&at.field("options"), "they change nothing");
    }
}

fn report_gateway(key: &ObjectKey, gateway: &Gateway, findings: &mut Findings) {
    let at = At::object(key);
    let at = at.field("spec");
    if gateway.spec.default_scope.is_some() {
        findings.unsupported(&at.field("defaultScope"), "only routes that name this Gateway are attached");
    }
}

fn report_listeners(entry: &GatewayEntry<'_>, findings: &mut Findings) {
    for list in &entry.lists {
        let at = At::object(&list.key);
        let at = at.field("spec");
        let at = at.field("listeners");
        for (index, listener) in list.listeners.iter().enumerate() {
            if listener.spec.tls.as_ref().is_some_and(|tls| !tls.options.is_empty()) {
                let at = at.index(index);
                findings.unsupported(&at.field("tls").field("options"), "they change nothing");
            }
        }
    }
}

fn report_route(route: &Route<'_>, findings: &mut Findings) {
    let at = At::object(&route.key);
    let at = at.field("spec");
    if route.use_default_gateways {
        findings.unsupported(&at.field("useDefaultGateways"), "only the Gateways that it names serve it");
    }
    let at = at.field("rules");
    for position in route.persistent_sessions() {
        let consequence = "requests of one client may go to different endpoints";
        findings.unsupported(&at.index(position).field("sessionPersistence"), consequence);
    }
}
