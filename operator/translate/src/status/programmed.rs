//! The condition Programmed of Istio's kinds: what the proxies say.

use postern_api::finding::Level;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::envoy_filter::EnvoyFilter;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_snapshot::ack::{Refused, Rejected};

use super::findings::{errors, notes, plain, problem, select, text, with_notes};
use super::proxy::{Stance, has_no_owner};
use super::{Condition, IngressView, Subject, reason};
use crate::finding::{ConditionType, Finding, Reason};

/// The condition, and what it is made from.
pub(super) struct Programmed {
    pub(super) condition: Condition,
    /// See [`Status::waiting`](super::Status::waiting).
    pub(super) waiting: bool,
    /// Proxies that serve it.
    pub(super) serving: usize,
}

/// What the proxies of the ingresses that have something of an object say.
#[derive(Default)]
struct Poll<'a> {
    serving: usize,
    ready: usize,
    wanted: usize,
    refused: Option<(&'a str, &'a Refused)>,
    rejected: Option<(&'a str, &'a Rejected)>,
}

impl<'a> Poll<'a> {
    fn of(subject: &Subject<'_>, sites: &[&'a IngressView<'a>]) -> Self {
        let mut poll = Self::default();
        for ingress in sites {
            poll.wanted += ingress.wanted;
            for proxy in ingress.proxies {
                poll.ready += 1;
                match proxy.stance(subject, ingress) {
                    Stance::Serves => poll.serving += 1,
                    Stance::Waits => {}
                    Stance::Refuses(refused) => {
                        poll.refused.get_or_insert((&proxy.name, refused));
                    }
                    Stance::Rejects(rejected) => {
                        poll.rejected.get_or_insert((&proxy.name, rejected));
                    }
                }
            }
        }
        poll
    }

    /// `2 of 3 proxies serve generation 7`. At a Gateway always with the numbers; at the many routes behind it only
    /// while they are not all: a pod that comes or goes does not change what is said about a thousand routes.
    fn text(&self, subject: &Subject<'_>) -> String {
        let generation = subject.generation;
        match self.ready {
            0 => format!("0 of {} proxies serve generation {generation}: none is ready", self.wanted),
            ready if self.serving == ready && !subject.is::<Gateway>() => {
                format!("every ready proxy serves generation {generation}")
            }
            ready => format!("{} of {ready} proxies serve generation {generation}", self.serving),
        }
    }

    fn all(&self) -> bool {
        self.ready > 0 && self.serving == self.ready
    }
}

/// Says what became of an object at the ingresses.
pub(super) fn programmed(subject: &Subject<'_>, ingresses: &[IngressView<'_>]) -> Programmed {
    let sites: Vec<_> =
        ingresses.iter().filter(|ingress| ingress.plan.programmed.contains_key(subject.key)).collect();
    if sites.is_empty() {
        return Programmed { condition: not_used(subject, ingresses), waiting: false, serving: 0 };
    }
    let poll = Poll::of(subject, &sites);
    let errors = errors(subject.findings, ConditionType::Programmed);
    let (holds, reason, message) = if let Some(worst) = errors.first() {
        (false, worst.reason.to_string(), format!("{}; else {}", text(&errors), poll.text(subject)))
    } else {
        let (holds, reason, message) = verdict(&poll, &sites, subject);
        (holds, reason.to_owned(), with_notes(message, &notes(subject.findings, ConditionType::Programmed)))
    };
    let message = with_troubles(message, subject, ingresses);
    let waiting = !holds && reason == reason::PENDING && poll.ready > 0;
    let condition = Condition::new(ConditionType::Programmed, holds, reason, message);
    Programmed { condition, waiting, serving: poll.serving }
}

/// Without errors of its own: what the proxies say, and why it is not with them.
fn verdict(
    poll: &Poll<'_>,
    sites: &[&IngressView<'_>],
    subject: &Subject<'_>,
) -> (bool, &'static str, String) {
    let count = poll.text(subject);
    if let Some((proxy, Refused { name, problem, .. })) = poll.refused {
        return (false, reason::REFUSED, format!("{count}; {proxy} refuses {name}: {problem}"));
    }
    if poll.all() {
        // Proxies that nobody can reach serve nothing: the Service may be what could not be written. What somebody else
        // set on purpose is another matter.
        let failed = sites.iter().flat_map(|ingress| ingress.problems).any(|problem| problem.owner.is_none());
        if subject.is::<Gateway>() && failed {
            return (false, reason::APPLY_FAILED, count);
        }
        return (true, reason::PROGRAMMED, count);
    }
    if let Some((proxy, Rejected { problem, .. })) = poll.rejected {
        let message =
            format!("{count}; {proxy} serves an older snapshot, it cannot load the newest: {problem}");
        return (false, reason::SNAPSHOT_REJECTED, message);
    }
    // A Gateway tells all problems of its ingress anyway.
    let unpublished = sites.iter().find(|ingress| !ingress.published && !ingress.problems.is_empty());
    match unpublished.and_then(|ingress| ingress.problems.first()) {
        Some(_) if subject.is::<Gateway>() => (false, reason::APPLY_FAILED, count),
        Some(first) => (false, reason::APPLY_FAILED, format!("{count}; {}", problem(first))),
        None => (false, reason::PENDING, count),
    }
}

/// At a Gateway: what is wrong with its ingresses, and with what in them has no status of its own.
fn with_troubles(mut message: String, subject: &Subject<'_>, ingresses: &[IngressView<'_>]) -> String {
    if !subject.is::<Gateway>() {
        return message;
    }
    for ingress in ingresses.iter().filter(|ingress| ingress.gateways.contains(subject.key)) {
        for trouble in troubles(ingress) {
            message.push_str("; ");
            message.push_str(&trouble);
        }
    }
    message
}

/// What is wrong with an ingress: what could not be written, and what a proxy refuses that is of no object with a
/// status.
pub(super) fn troubles(ingress: &IngressView<'_>) -> Vec<String> {
    let mut troubles: Vec<_> = ingress.problems.iter().map(problem).collect();
    for proxy in ingress.proxies {
        let refused = proxy.ack.iter().flat_map(|ack| ack.refused()).filter(|refused| has_no_owner(refused));
        troubles.extend(refused.map(|Refused { name, problem, .. }| format!("{name}: {problem}")));
    }
    // The proxies agree, most likely.
    troubles.sort();
    troubles.dedup();
    troubles.truncate(MOST_TROUBLES);
    troubles
}

/// So many are told.
const MOST_TROUBLES: usize = 5;

/// No ingress has anything of it: why.
fn not_used(subject: &Subject<'_>, ingresses: &[IngressView<'_>]) -> Condition {
    let (reason, message) = match why_not_used(subject.findings) {
        Some((why, how)) => (why.reason.to_string(), format!("{how}: {}", plain(why))),
        None => (reason::NOT_USED.to_owned(), nobody_needs(subject).to_owned()),
    };
    let message = with_troubles(message, subject, ingresses);
    Condition::new(ConditionType::Programmed, false, reason, message)
}

/// The finding that explains it best: an error, or that it is for nothing here, or that nothing of it is honoured.
fn why_not_used(findings: &[Finding]) -> Option<(&Finding, &'static str)> {
    let first = |wanted: fn(&Finding) -> bool, how| Some((*select(findings, wanted).first()?, how));
    first(|finding| finding.level == Level::Error || is_for_nothing(finding.reason), "no ingress serves it")
        .or_else(|| first(|finding| is_unsupported(finding.reason), "no ingress does what it says"))
        .or_else(|| first(is_ineffective, "no ingress does what it says"))
}

const fn is_for_nothing(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::MeshOnly
            | Reason::NotExported
            | Reason::NoRoutes
            | Reason::NoMatchingListenerHostname
            | Reason::HostnameConflict
            | Reason::Unreachable
    )
}

/// Such as a patch that matches nothing.
fn is_ineffective(finding: &Finding) -> bool {
    finding.level == Level::Warning && finding.reason == Reason::Ineffective
}

const fn is_unsupported(reason: Reason) -> bool {
    matches!(reason, Reason::UnsupportedField | Reason::UnsupportedValue | Reason::UnsupportedPatch)
}

fn nobody_needs(subject: &Subject<'_>) -> &'static str {
    if subject.is::<DestinationRule>() {
        "no ingress sends requests to its host; it may be for the mesh"
    } else if subject.is::<ServiceEntry>() {
        "no ingress sends requests to its hosts; it may be for the mesh"
    } else if subject.is::<EnvoyFilter>() {
        "it changes no ingress: it selects none, or no patch has context GATEWAY or ANY; it may be for the mesh"
    } else {
        "no ingress has anything of it"
    }
}
