//! The status of Istio's kinds.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::finding::Level;
use serde_json::{Map, Value, json};

use super::findings::{errors, notes, text, with_notes};
use super::programmed::programmed;
use super::{Condition, IngressView, Status, Subject, conditions, ingress_gateway, reason, validation};
use crate::finding::{ConditionType, Reason};

pub(super) fn status(
    subject: &Subject<'_>,
    ingresses: &[IngressView<'_>],
    is_gateway: bool,
    now: &Time,
) -> Status {
    if let Some(status) = managed_elsewhere(subject, now) {
        return status;
    }
    let served = ingresses.iter().any(|ingress| ingress.plan.programmed.contains_key(subject.key));
    let programmed = programmed(subject, ingresses);
    let conditions = vec![accepted(subject, served), resolved_refs(subject), programmed.condition];
    let mut patch = Map::new();
    let list = conditions::merged(subject.status, &conditions, &[], subject.generation, now);
    conditions::put(&mut patch, subject.status, "conditions", Value::Array(list));
    conditions::put(&mut patch, subject.status, "observedGeneration", json!(subject.generation));
    if is_gateway {
        let sites = || ingresses.iter().filter(|ingress| ingress.gateways.contains(subject.key));
        let addresses: Vec<_> = sites().flat_map(|ingress| ingress.addresses).collect();
        conditions::put(&mut patch, subject.status, "addresses", ingress_gateway::addresses(&addresses));
        let wanted: usize = sites().map(|ingress| ingress.wanted).sum();
        let ready = sites().next().map(|_| format!("{}/{wanted}", programmed.serving));
        conditions::put(&mut patch, subject.status, "ready", json!(ready));
    }
    // Istio's analysis, if somebody switches it on, writes this list too, and without a name. It alone is no reason to
    // write, or each would undo the other's work for ever. Whatever changes it here changes a condition as well.
    if !patch.is_empty() {
        let messages = validation::messages(subject.findings);
        let value = if messages.is_empty() { Value::Null } else { json!(messages) };
        conditions::put(&mut patch, subject.status, "validationMessages", value);
    }
    Status { conditions, patch: (!patch.is_empty()).then_some(patch), waiting: programmed.waiting }
}

/// Somebody else serves this Gateway: that is said, and nothing else is touched. Only what Postern said itself, before
/// the Gateway went to somebody else, is taken back.
fn managed_elsewhere(subject: &Subject<'_>, now: &Time) -> Option<Status> {
    let elsewhere = |finding: &&&crate::Finding| {
        finding.reason == Reason::ManagedElsewhere && finding.level == Level::Error
    };
    let found = errors(subject.findings, ConditionType::Accepted);
    let finding = found.iter().find(elsewhere)?;
    let before = conditions::find(subject.status, ConditionType::Accepted).map(conditions::reason);
    let ours_before = before.is_some_and(|reason| reason != Reason::ManagedElsewhere.to_string());
    let accepted = Condition::new(ConditionType::Accepted, false, finding.reason, text(&[finding]));
    let conditions = vec![accepted];
    let stale = [ConditionType::ResolvedRefs, ConditionType::Programmed];
    let absent = if ours_before { stale.as_slice() } else { &[] };
    let mut patch = Map::new();
    let list = conditions::merged(subject.status, &conditions, absent, subject.generation, now);
    conditions::put(&mut patch, subject.status, "conditions", Value::Array(list));
    if ours_before {
        for field in ["addresses", "ready", "validationMessages"] {
            conditions::put(&mut patch, subject.status, field, Value::Null);
        }
    }
    Some(Status { conditions, patch: (!patch.is_empty()).then_some(patch), waiting: false })
}

fn accepted(subject: &Subject<'_>, served: bool) -> Condition {
    let type_ = ConditionType::Accepted;
    let errors = errors(subject.findings, type_);
    match errors.first() {
        Some(_) if served => {
            let message = format!("part of it is left out, the rest is served: {}", text(&errors));
            Condition::new(type_, true, reason::PARTIALLY_INVALID, message)
        }
        Some(worst) => Condition::new(type_, false, worst.reason, text(&errors)),
        None => {
            let message = with_notes("it is valid", &notes(subject.findings, type_));
            Condition::new(type_, true, reason::ACCEPTED, message)
        }
    }
}

fn resolved_refs(subject: &Subject<'_>) -> Condition {
    let type_ = ConditionType::ResolvedRefs;
    let errors = errors(subject.findings, type_);
    match errors.first() {
        Some(worst) => Condition::new(type_, false, worst.reason, text(&errors)),
        None => {
            let message = with_notes("what it names is there", &notes(subject.findings, type_));
            Condition::new(type_, true, reason::RESOLVED_REFS, message)
        }
    }
}
