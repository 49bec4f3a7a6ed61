//! Answers that are made by the proxy: redirects and fixed responses.

use postern_api::istio::virtual_service::{
    HttpBody, HttpDirectResponse, HttpRedirect, RedirectPort as ApiPort, RedirectPortSelection,
};
use postern_snapshot::Port;
use postern_snapshot::model::{DirectResponse, Redirect, RedirectPath, RedirectPort, ResponseBody};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::at::At;
use crate::config::RouteSemantics;
use crate::finding::{Findings, Problem, Reason};

/// A redirect. `at` is its place. `None` when it cannot be given; findings say why.
pub(crate) fn redirect(
    redirect: &HttpRedirect,
    semantics: RouteSemantics,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<Redirect> {
    let HttpRedirect { uri, prefix_rewrite, authority, port, scheme, code } = redirect;
    let status = code.unwrap_or(semantics.default_redirect_status);
    if !(300..400).contains(&status) {
        let message = format!("{status} is not the status of a redirect; this rule is left out");
        findings.error(&at.field("redirectCode"), Problem::accepted(Reason::Invalid, message));
        return None;
    }
    let path = match (prefix_rewrite, uri) {
        (Some(prefix), _) => Some(RedirectPath::Prefix(prefix.clone())),
        (None, Some(uri)) => Some(RedirectPath::Full(uri.clone())),
        (None, None) => None,
    };
    let port = match port {
        None => RedirectPort::FromHost,
        Some(ApiPort::Port(port)) => {
            Port::new(port.get()).map_or(RedirectPort::FromHost, RedirectPort::Number)
        }
        Some(ApiPort::Derived(RedirectPortSelection::FromProtocolDefault)) => RedirectPort::ProtocolDefault,
        Some(ApiPort::Derived(RedirectPortSelection::FromRequestPort)) => RedirectPort::RequestPort,
    };
    Some(Redirect { status, scheme: scheme.clone(), host: authority.clone(), port, path })
}

/// A fixed response. `at` is its place. `None` when it cannot be given; findings say why.
pub(crate) fn direct_response(
    response: &HttpDirectResponse,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<DirectResponse> {
    let HttpDirectResponse { status, body } = response;
    if !(200..600).contains(status) {
        let message = format!("{status} is not the status of a response, 200 to 599; this rule is left out");
        findings.error(&at.field("status"), Problem::accepted(Reason::Invalid, message));
        return None;
    }
    let body = body.as_ref().filter(|body| !body.as_bytes().is_empty()).map(|body| match body {
        HttpBody::String(text) => ResponseBody::Text(text.clone()),
        HttpBody::Bytes(bytes) => ResponseBody::Base64(STANDARD.encode(bytes)),
    });
    Some(DirectResponse { status: *status, body })
}
