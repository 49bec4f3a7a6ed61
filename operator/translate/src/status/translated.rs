//! The condition Programmed of a Gateway of a translating class: are the objects of Istio in the cluster that it means?
//! What the pods do that read them is for others to say.

use std::collections::BTreeMap;

use postern_api::meta::ObjectKey;

use super::findings::{errors, notes, problem, text, with_notes};
use super::{ApplyProblem, Condition, Subject, reason};
use crate::finding::ConditionType;
use crate::gateway_api::IstioPods;

/// So many objects, or problems, are named.
const NAMED: usize = 5;

/// The objects of Istio of one Gateway, as they are in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranslatedView {
    /// All that there are to be, and whether each is in the cluster as it is meant.
    pub objects: BTreeMap<ObjectKey, bool>,
    /// What could not be written.
    pub problems: Vec<ApplyProblem>,
}

/// The condition, and whether it only waits for writes. `wanted` are the addresses that the Gateway asks for, `found` those that
/// there are.
pub(super) fn programmed(
    subject: &Subject<'_>,
    view: Option<&TranslatedView>,
    pods: &IstioPods,
    (wanted, found): (&[(String, Option<String>)], &[&String]),
) -> (Condition, bool) {
    let type_ = ConditionType::Programmed;
    let refuse = |reason: &str, message: String| (Condition::new(type_, false, reason, message), false);
    let said = errors(subject.findings, type_);
    if let Some(worst) = said.first() {
        return refuse(&worst.reason.to_string(), text(&said));
    }
    let Some(view) = view else {
        return (Condition::new(type_, false, reason::PENDING, "nothing is written yet"), true);
    };
    if !view.problems.is_empty() {
        return refuse(reason::APPLY_FAILED, list(view.problems.iter().map(problem)));
    }
    let (there, missing): (Vec<_>, Vec<_>) = view.objects.iter().partition(|(_, is_there)| **is_there);
    if !missing.is_empty() {
        let names = list(missing.iter().map(|(key, _)| key.to_string()));
        let message = format!(
            "{} of {} objects of Istio are not written yet: {names}",
            missing.len(),
            view.objects.len()
        );
        return (Condition::new(type_, false, reason::PENDING, message), true);
    }
    if there.is_empty() {
        return refuse(reason::NOT_USED, "it has no listener, so nothing is written for it".to_owned());
    }
    let mut asked = wanted.iter().filter_map(|(_, value)| value.as_ref());
    if let Some(address) = asked.find(|value| !found.contains(value)) {
        let message = format!("no Service of the pods {} has the address {address}", pods.labels());
        return refuse(reason::ADDRESS_NOT_USABLE, message);
    }
    let mut message = format!(
        "in the cluster for it: {}; the pods {} are to serve that",
        list(there.iter().map(|(key, _)| key.to_string())),
        pods.labels()
    );
    if pods.services.is_empty() {
        message.push_str("; no Service selects these pods, so its addresses are not known");
    }
    let message = with_notes(message, &notes(subject.findings, type_));
    (Condition::new(type_, true, reason::PROGRAMMED, message), false)
}

/// `said` of a route or a policy, with what of it Istio's API cannot say.
pub(super) fn with_losses(said: &[Condition], subject: &Subject<'_>) -> Vec<Condition> {
    let losses = notes(subject.findings, ConditionType::Programmed);
    let with = |condition: &Condition| {
        let mut condition = condition.clone();
        if condition.type_ == ConditionType::Accepted && condition.holds {
            condition.message = with_notes(condition.message, &losses);
        }
        condition
    };
    said.iter().map(with).collect()
}

fn list(texts: impl Iterator<Item = String>) -> String {
    let texts: Vec<_> = texts.collect();
    let mut shown = texts.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if let Some(more) = texts.len().checked_sub(NAMED).filter(|more| *more > 0) {
        shown.push_str(&format!(" and {more} more"));
    }
    shown
}
