//! The status of an `IngressGateway`: does the ingress run as it says?

use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::postern::status::{AddressType, IngressAddress};
use serde_json::{Map, Value, json};

use super::findings::{errors, notes, text, with_notes};
use super::programmed::troubles;
use super::{Condition, IngressView, Status, Subject, conditions, reason};
use crate::finding::ConditionType;

/// The schema's limit.
const MOST_ADDRESSES: usize = 16;

pub(super) fn status(subject: &Subject<'_>, ingresses: &[IngressView<'_>], now: &Time) -> Status {
    // Several, where Gateways of the Gateway API name it.
    let its: Vec<_> = ingresses.iter().filter(|ingress| ingress.settings == Some(subject.key)).collect();
    let (programmed, waiting) = programmed_of_all(subject, &its);
    let conditions = vec![accepted(subject), programmed];
    let mut patch = Map::new();
    let list = conditions::merged(subject.status, &conditions, &[], subject.generation, now);
    conditions::put(&mut patch, subject.status, "conditions", Value::Array(list));
    conditions::put(&mut patch, subject.status, "observedGeneration", json!(subject.generation));
    let found: Vec<_> = its.iter().flat_map(|ingress| ingress.addresses).collect();
    conditions::put(&mut patch, subject.status, "addresses", addresses(&found));
    let up_to_date = |it: &IngressView<'_>| it.proxies.iter().filter(|proxy| proxy.is_up_to_date(it)).count();
    let serving = (!its.is_empty()).then(|| its.iter().map(|it| up_to_date(it)).sum::<usize>());
    let wanted = (!its.is_empty()).then(|| its.iter().map(|ingress| ingress.wanted).sum::<usize>());
    conditions::put(&mut patch, subject.status, "replicas", json!(wanted));
    conditions::put(&mut patch, subject.status, "readyReplicas", json!(serving));
    let ready = serving.zip(wanted).map(|(serving, wanted)| format!("{serving}/{wanted}"));
    conditions::put(&mut patch, subject.status, "ready", json!(ready));
    Status { conditions, patch: (!patch.is_empty()).then_some(patch), waiting }
}

/// Addresses in the form of the Gateway API's status; `Null` if there are none.
pub(super) fn addresses(values: &[&String]) -> Value {
    let mut addresses: Vec<_> = values
        .iter()
        .map(|value| IngressAddress {
            type_: match value.parse::<IpAddr>() {
                Ok(_) => AddressType::IPAddress,
                Err(_) => AddressType::Hostname,
            },
            value: (*value).clone(),
        })
        .collect();
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|address| seen.insert(address.clone()));
    addresses.truncate(MOST_ADDRESSES);
    if addresses.is_empty() { Value::Null } else { json!(addresses) }
}

fn accepted(subject: &Subject<'_>) -> Condition {
    let type_ = ConditionType::Accepted;
    let errors = errors(subject.findings, type_);
    match errors.first() {
        Some(worst) => Condition::new(type_, false, worst.reason, text(&errors)),
        None => {
            let message = with_notes("its settings are used", &notes(subject.findings, type_));
            Condition::new(type_, true, reason::ACCEPTED, message)
        }
    }
}

/// Of several ingresses: the first that does not run as it says, or else all of them.
fn programmed_of_all(subject: &Subject<'_>, its: &[&IngressView<'_>]) -> (Condition, bool) {
    let [_, _, ..] = its else { return programmed(subject, its.first().copied()) };
    let each: Vec<_> = its.iter().map(|ingress| programmed(subject, Some(ingress))).collect();
    let waiting = each.iter().any(|(_, waiting)| *waiting);
    if let Some((condition, _)) = each.iter().find(|(condition, _)| !condition.holds) {
        return (condition.clone(), waiting);
    }
    let message = format!("the proxies of {} ingresses serve their newest snapshots", its.len());
    let message = with_notes(message, &notes(subject.findings, ConditionType::Programmed));
    (Condition::new(ConditionType::Programmed, true, reason::PROGRAMMED, message), waiting)
}

fn programmed(subject: &Subject<'_>, ingress: Option<&IngressView<'_>>) -> (Condition, bool) {
    let type_ = ConditionType::Programmed;
    let said = errors(subject.findings, type_);
    if let Some(worst) = said.first() {
        return (Condition::new(type_, false, worst.reason, text(&said)), false);
    }
    let Some(ingress) = ingress else {
        let why = errors(subject.findings, ConditionType::Accepted);
        let condition = match why.first() {
            Some(worst) => Condition::new(type_, false, worst.reason, text(&why)),
            None => Condition::new(type_, false, reason::NOT_USED, "no ingress runs as it says"),
        };
        return (condition, false);
    };
    let ready = ingress.proxies.len();
    let serving = ingress.proxies.iter().filter(|proxy| proxy.is_up_to_date(ingress)).count();
    let message = match ready {
        0 => format!("0 of {} proxies of {} are ready", ingress.wanted, ingress.name),
        _ => format!("{serving} of {ready} proxies of {} serve the newest snapshot", ingress.name),
    };
    let (holds, reason) = verdict(ingress, ready > 0 && serving == ready);
    let rejected = ingress.proxies.iter().find_map(|proxy| Some((&proxy.name, proxy.rejects(ingress)?)));
    let rejected = rejected.map(|(proxy, it)| format!("{proxy} cannot load the newest: {}", it.problem));
    let parts: Vec<_> = [message].into_iter().chain(rejected).chain(troubles(ingress)).collect();
    let message = with_notes(parts.join("; "), &notes(subject.findings, type_));
    let waiting = !holds && reason == reason::PENDING && ready > 0;
    (Condition::new(type_, holds, reason, message), waiting)
}

fn verdict(ingress: &IngressView<'_>, all_serve: bool) -> (bool, &'static str) {
    let problems = ingress.problems;
    if problems.iter().any(|problem| problem.owner.is_none()) {
        (false, reason::APPLY_FAILED)
    } else if !problems.is_empty() {
        (false, reason::FIELD_CONFLICT)
    } else if ingress.proxies.iter().any(|proxy| proxy.rejects(ingress).is_some()) {
        (false, reason::SNAPSHOT_REJECTED)
    } else if !troubles(ingress).is_empty() {
        (false, reason::REFUSED)
    } else if all_serve {
        (true, reason::PROGRAMMED)
    } else {
        (false, reason::PENDING)
    }
}
