//! Rules about redirects, rewrites and fixed responses.

use super::super::{Findings, common};
use crate::istio::virtual_service::{
    HttpBody, HttpDirectResponse, HttpMatchRequest, HttpRedirect, HttpRewrite, StringMatch,
};
use crate::place::Place;

/// Istio's limit for a fixed body, in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// From here on Istio warns, in bytes.
const LARGE_BODY: usize = 100 * 1024;

pub(super) fn redirect(
    redirect: &HttpRedirect,
    matches: &[HttpMatchRequest],
    at: &Place<'_>,
    findings: &mut Findings,
) {
    // In protobuf "" is the same as nothing.
    let prefix_rewrite = redirect.prefix_rewrite.as_ref().filter(|prefix| !prefix.is_empty());
    if redirect.uri.is_some() && prefix_rewrite.is_some() {
        findings.error(at, "only one of uri and prefixRewrite may be set");
    }
    if prefix_rewrite.is_some() {
        let by_prefix =
            |request: &HttpMatchRequest| matches!(request.uri, None | Some(StringMatch::Prefix(_)));
        if !matches.iter().all(by_prefix) {
            findings.error(&at.field("prefixRewrite"), "prefixRewrite needs matches of uri by prefix");
        }
    }
    let changes = redirect.uri.is_some()
        || redirect.prefix_rewrite.is_some()
        || redirect.authority.is_some()
        || redirect.port.is_some()
        || redirect.scheme.is_some();
    if !changes {
        findings.error(at, "one of uri, prefixRewrite, authority, port, derivePort and scheme is needed");
    }
    if !(300..=399).contains(&redirect.redirect_code()) {
        findings.error(
            &at.field("redirectCode"),
            format!("{} is not a redirect's status; it must be from 300 to 399", redirect.redirect_code()),
        );
    }
    if let Some(scheme) = &redirect.scheme
        && !["http", "https"].contains(&scheme.as_str())
    {
        findings.error(&at.field("scheme"), format!("got {scheme:?}; it must be \"http\" or \"https\""));
    }
}

pub(super) fn direct_response(response: &HttpDirectResponse, at: &Place<'_>, findings: &mut Findings) {
    if !(200..=599).contains(&response.status) {
        findings.error(
            &at.field("status"),
            format!("{} is not a response's status; it must be from 200 to 599", response.status),
        );
    }
    let size = response.body.as_ref().map_or(0, |body| HttpBody::as_bytes(body).len());
    if size > MAX_BODY {
        findings
            .error(&at.field("body"), format!("the body has {size} bytes; at most {MAX_BODY} are allowed"));
    } else if size > LARGE_BODY {
        findings.warn(
            &at.field("body"),
            format!(
                "the body has {size} bytes; large ones burden everything that configuration goes through"
            ),
        );
    }
}

pub(super) fn rewrite(rewrite: &HttpRewrite, at: &Place<'_>, findings: &mut Findings) {
    if rewrite.uri.is_some() && rewrite.uri_regex_rewrite.is_some() {
        findings.error(at, "only one of uri and uriRegexRewrite may be set");
    }
    if rewrite.uri.is_none() && rewrite.uri_regex_rewrite.is_none() && rewrite.authority.is_none() {
        findings.error(at, "one of uri, uriRegexRewrite and authority is needed");
    }
    let Some(replacement) = &rewrite.uri_regex_rewrite else { return };
    let at = at.field("uriRegexRewrite");
    common::regex(&replacement.match_, &at.field("match"), findings);
    if replacement.rewrite.is_empty() {
        findings.error(&at.field("rewrite"), "what the match is replaced with must not be empty");
    }
}
