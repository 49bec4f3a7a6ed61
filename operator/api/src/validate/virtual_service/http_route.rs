//! Rules about HTTP routes.

use super::{Context, cors, fault, headers, http_action, http_match};
use crate::istio::virtual_service::{HttpRetry, HttpRoute};
use crate::place::Place;
use crate::validate::{Findings, common};

pub(super) fn validate(rule: &HttpRoute, context: &Context<'_>, at: &Place<'_>, findings: &mut Findings) {
    validate_action(rule, at, findings);
    let matches = at.field("match");
    for (index, request) in rule.match_.iter().enumerate() {
        http_match::validate(request, &matches.index(index), findings);
    }
    if let Some(changes) = &rule.headers {
        headers::validate(changes, &at.field("headers"), findings);
        headers::one_authority(rule, at, findings);
    }
    validate_destinations(rule, context, at, findings);
    if let Some(redirect) = &rule.redirect {
        http_action::redirect(redirect, &rule.match_, &at.field("redirect"), findings);
    }
    if let Some(response) = &rule.direct_response {
        http_action::direct_response(response, &at.field("directResponse"), findings);
    }
    if let Some(rewrite) = &rule.rewrite {
        http_action::rewrite(rewrite, &at.field("rewrite"), findings);
    }
    // Istio's schema forbids 0s here although its documentation has it as "no timeout".
    common::duration_or_off(rule.timeout, &at.field("timeout"), findings);
    if let Some(retries) = &rule.retries {
        validate_retries(retries, &at.field("retries"), findings);
    }
    if let Some(fault) = &rule.fault {
        fault::validate(fault, &at.field("fault"), findings);
    }
    if let Some(policy) = &rule.cors_policy {
        cors::validate(policy, &at.field("corsPolicy"), findings);
    }
    validate_mirrors(rule, context, at, findings);
}

/// There is one action, and what stands beside it fits. Whether a delegate delegates again is looked at where
/// delegates are joined.
fn validate_action(rule: &HttpRoute, at: &Place<'_>, findings: &mut Findings) {
    if rule.delegate.is_some() {
        let at = at.field("delegate");
        let others = [
            ("route", !rule.route.is_empty()),
            ("redirect", rule.redirect.is_some()),
            ("directResponse", rule.direct_response.is_some()),
        ];
        for (other, _) in others.into_iter().filter(|(_, set)| *set) {
            findings.error(&at, format!("delegate cannot stand beside {other}"));
        }
        return;
    }
    let action = match (&rule.redirect, &rule.direct_response) {
        (Some(_), _) => "redirect",
        (None, Some(_)) => "directResponse",
        (None, None) => {
            if rule.route.is_empty() {
                findings.error(at, "one of route, redirect, directResponse and delegate is needed");
            }
            return;
        }
    };
    let others = [
        ("route", !rule.route.is_empty()),
        ("directResponse", rule.redirect.is_some() && rule.direct_response.is_some()),
        ("fault", rule.fault.is_some()),
        ("rewrite", rule.rewrite.is_some()),
    ];
    for (other, _) in others.into_iter().filter(|(_, set)| *set) {
        findings.error(&at.field(action), format!("{action} cannot stand beside {other}"));
    }
}

fn validate_destinations(rule: &HttpRoute, context: &Context<'_>, at: &Place<'_>, findings: &mut Findings) {
    let at = at.field("route");
    if rule.route.len() > 1 && rule.route.iter().all(|destination| destination.weight == 0) {
        findings.error(&at, "all weights are 0; one at least must be more");
    }
    for (index, entry) in rule.route.iter().enumerate() {
        let at = at.index(index);
        context.destination(&entry.destination, &at.field("destination"), findings);
        if let Some(changes) = &entry.headers {
            headers::validate(changes, &at.field("headers"), findings);
        }
    }
}

fn validate_retries(retries: &HttpRetry, at: &Place<'_>, findings: &mut Findings) {
    let configured = retries.per_try_timeout.is_some()
        || retries.retry_on.is_some()
        || retries.retry_remote_localities.is_some();
    if retries.attempts == 0 && configured {
        findings.error(
            &at.field("attempts"),
            "0 attempts (or none given) switch retries off, so there is nothing to configure",
        );
    }
    common::duration(retries.per_try_timeout, &at.field("perTryTimeout"), findings);
    common::duration(retries.backoff, &at.field("backoff"), findings);
}

fn validate_mirrors(rule: &HttpRoute, context: &Context<'_>, at: &Place<'_>, findings: &mut Findings) {
    if let Some(mirror) = &rule.mirror {
        let at = at.field("mirror");
        if !rule.mirrors.is_empty() {
            findings.error(&at, "mirror cannot stand beside mirrors");
        }
        context.destination(mirror, &at, findings);
    }
    let mirrors = at.field("mirrors");
    for (index, mirror) in rule.mirrors.iter().enumerate() {
        context.destination(&mirror.destination, &mirrors.index(index).field("destination"), findings);
    }
    if let Some(percent) = rule.mirror_percent {
        let at = at.field("mirrorPercent");
        findings.deprecated(&at, "mirrorPercent is deprecated; write mirrorPercentage");
        if percent > 100 {
            findings.error(&at, format!("{percent} is not a percentage; it must be from 0 to 100"));
        }
    }
}
