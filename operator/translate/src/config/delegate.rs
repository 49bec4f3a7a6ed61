//! Rules that delegate to another VirtualService.
//!
//! Istio's rules: one level; the delegate has no hosts (and no gateways), is in the root's namespace unless one is
//! named, and `exportTo` lets the root see it. The rules of the delegate stand in place of the rule that delegates; a
//! field of theirs wins, what they leave out is the root's. A match of the delegate must lie within one of the root's;
//! a rule with a match that does not is dropped, which Istio does in silence.

use postern_api::istio::virtual_service::{Delegate, HttpRoute, VirtualService};
use postern_api::meta::{Generation, ObjectKey};

use super::delegate_match::{absolute_gateways, merge_matches};
use super::{DelegatedRule, HttpRule, VirtualServiceConfig};
use crate::at::At;
use crate::finding::{Findings, Problem, Reason, code};
use crate::virtual_service::attach::reaches;
use crate::world::{World, key_of};

impl VirtualServiceConfig {
    /// Puts the rules of a delegate in place of the rule that delegates to it.
    pub(super) fn delegate(
        &mut self,
        root: &HttpRoute,
        place: usize,
        to: &Delegate,
        world: &World,
        findings: &mut Findings,
    ) {
        let at = At::object(&self.key);
        let at = at.field("spec");
        let at = at.field("http");
        let at = at.index(place);
        let at = at.field("delegate");
        if !root.route.is_empty() || root.redirect.is_some() {
            let message = "a rule that delegates has neither route nor redirect; they are ignored";
            findings.warn(&at, Problem::accepted(Reason::Invalid, message));
        }
        let namespace = to.namespace.as_deref().unwrap_or(&self.key.namespace);
        let found = world.virtual_services.get(namespace, &to.name);
        let Some(delegate) = found.filter(|found| is_delegate(found, namespace, &self.key.namespace)) else {
            let why = match found {
                None => "there is no such VirtualService",
                Some(found) if !found.spec.hosts.is_empty() => {
                    "it has hosts of its own, so it is no delegate"
                }
                Some(_) => "its exportTo does not reach this namespace",
            };
            let message = format!("{namespace}/{}: {why}; this rule is left out", to.name);
            let problem = Problem::resolved_refs(Reason::DelegateNotFound, message);
            findings.error(&at, problem.code(code::REFERENCED_RESOURCE_NOT_FOUND));
            return;
        };
        let key = key_of(delegate.as_ref());
        let merged: Vec<_> = delegate
            .spec
            .http
            .iter()
            .enumerate()
            .filter_map(|(place, rule)| {
                let rule = merge(root, &self.key.namespace, rule, &key, place, findings)?;
                Some(HttpRule::Delegated(Box::new(DelegatedRule { key: key.clone(), place, rule })))
            })
            .collect();
        self.http.extend(merged);
        self.delegates.insert(key, Generation::of(delegate.as_ref()));
    }
}

fn is_delegate(candidate: &VirtualService, own: &str, root_namespace: &str) -> bool {
    candidate.spec.hosts.is_empty() && reaches(&candidate.spec.export_to, own, root_namespace)
}

/// A rule of a delegate, filled up from the root's. `None` if it cannot be had.
fn merge(
    root: &HttpRoute,
    root_namespace: &str,
    rule: &HttpRoute,
    key: &ObjectKey,
    place: usize,
    findings: &mut Findings,
) -> Option<HttpRoute> {
    let at = At::object(key);
    let at = at.field("spec");
    let at = at.field("http");
    let at = at.index(place);
    if rule.delegate.is_some() {
        let message = "a delegate does not delegate on; this rule is left out";
        findings.error(&at.field("delegate"), Problem::accepted(Reason::Invalid, message));
        return None;
    }
    let root_matches = absolute_gateways(&root.match_, root_namespace);
    let Some(match_) = merge_matches(&root_matches, &absolute_gateways(&rule.match_, &key.namespace)) else {
        let message =
            "a match here is not within any match of the rule that delegates; this rule is left out";
        findings.error(&at.field("match"), Problem::accepted(Reason::DelegateConflict, message));
        return None;
    };
    Some(HttpRoute {
        name: join_names(root.name.as_deref(), rule.name.as_deref()),
        match_,
        // What is done is the delegate's to say, but for an answer that the root may give.
        route: rule.route.clone(),
        redirect: rule.redirect.clone(),
        direct_response: rule.direct_response.clone().or_else(|| root.direct_response.clone()),
        delegate: None,
        rewrite: rule.rewrite.clone().or_else(|| root.rewrite.clone()),
        timeout: rule.timeout.or(root.timeout),
        retries: rule.retries.clone().or_else(|| root.retries.clone()),
        fault: rule.fault.clone().or_else(|| root.fault.clone()),
        mirror: rule.mirror.clone().or_else(|| root.mirror.clone()),
        mirrors: if rule.mirrors.is_empty() { root.mirrors.clone() } else { rule.mirrors.clone() },
        mirror_percent: rule.mirror_percent.or(root.mirror_percent),
        mirror_percentage: rule.mirror_percentage.or(root.mirror_percentage),
        cors_policy: rule.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        headers: rule.headers.clone().or_else(|| root.headers.clone()),
    })
}

/// `root-delegate`, or the one that there is.
pub(super) fn join_names(root: Option<&str>, delegate: Option<&str>) -> Option<String> {
    match (root, delegate) {
        (Some(root), Some(delegate)) => Some(format!("{root}-{delegate}")),
        (name, None) | (None, name) => name.map(str::to_owned),
    }
}
