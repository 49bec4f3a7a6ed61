//! Rules and matches of one VirtualService that nothing arrives at (IST0130, IST0131).

use std::collections::{BTreeSet, HashMap};

use postern_api::istio::virtual_service::{HttpMatchRequest, HttpRoute, StringMatch};
use postern_api::value::{GatewayName, Port};

use crate::config::{RuleRef, VirtualServiceConfig};
use crate::finding::{Findings, Problem, Reason, code};
use crate::world::World;

/// Says which rules and matches are hidden by earlier ones of the same VirtualService: by one that is equal, by one
/// that takes every request, or by a prefix without other conditions.
pub(crate) fn report_unreachable(
    virtual_service: &VirtualServiceConfig,
    world: &World,
    findings: &mut Findings,
) {
    let rules: Vec<_> = virtual_service.rules().collect();
    let lonely = rules.len() < 2 && rules.iter().all(|found| found.rule.match_.len() < 2);
    if virtual_service.object.spec.gateways.is_empty() || lonely {
        return;
    }
    let mut reporter = Reporter { rules: &rules, world, findings };
    let mut seen = Seen::default();
    for (index, found) in rules.iter().enumerate() {
        reporter.look(index, found.rule, &mut seen);
    }
}

struct Reporter<'r, 'a> {
    rules: &'r [RuleRef<'a>],
    world: &'r World,
    findings: &'r mut Findings,
}

impl<'a> Reporter<'_, 'a> {
    fn look(&mut self, index: usize, rule: &'a HttpRoute, seen: &mut Seen<'a>) {
        if rule.match_.is_empty() {
            if let Some(winner) = seen.everything() {
                self.hidden_rule(index, winner);
            }
            seen.all.get_or_insert(index);
            return;
        }
        let hidden: Vec<Option<usize>> =
            rule.match_.iter().map(|request| seen.look(request, index)).collect();
        // A match that another one of the same rule hides says nothing about the rule.
        let by_others: Option<Vec<usize>> =
            hidden.iter().map(|winner| winner.filter(|winner| *winner != index)).collect();
        if let Some(winner) = by_others.and_then(|winners| winners.first().copied()) {
            self.hidden_rule(index, winner);
            return;
        }
        for (position, winner) in hidden.into_iter().enumerate() {
            if let Some(winner) = winner {
                self.hidden_match(index, position, winner);
            }
        }
    }

    fn hidden_rule(&mut self, index: usize, winner: usize) {
        let message =
            format!("nothing arrives at this rule: {} takes all of its requests", self.name(winner));
        let problem = Problem::programmed(Reason::Unreachable, message).code(code::UNREACHABLE_RULE);
        if let Some(found) = self.rules.get(index) {
            found.at(|at| self.findings.warn(at, problem));
        }
    }

    fn hidden_match(&mut self, index: usize, position: usize, winner: usize) {
        let message = format!("{} takes all of these requests already", self.name(winner));
        let problem = Problem::programmed(Reason::Unreachable, message).code(code::INEFFECTIVE_MATCH);
        if let Some(found) = self.rules.get(index) {
            found.at(|at| self.findings.info(&at.field("match").index(position), problem));
        }
    }

    /// A rule by its place in the source.
    fn name(&self, index: usize) -> String {
        let Some(found) = self.rules.get(index) else { return String::new() };
        let mut path = found.at(|at| at.path());
        if let Some(report) = self.world.read.get(found.key) {
            path = report.dropped.in_source(&path);
        }
        let others = self.rules.iter().any(|other| other.key != found.key);
        if others { format!("{path} of {}", found.key) } else { path.to_string() }
    }
}

/// The port and the gateways that a match is for.
type Whom<'a> = (Option<Port>, &'a [GatewayName]);

/// What the matches so far take.
#[derive(Default)]
struct Seen<'a> {
    /// The rule without a match.
    all: Option<usize>,
    /// Matches by their paths.
    equal: HashMap<Option<&'a StringMatch>, Vec<(&'a HttpMatchRequest, usize)>>,
    /// Prefixes without other conditions, by whom they are for.
    prefixes: HashMap<Whom<'a>, HashMap<&'a str, usize>>,
    /// The lengths of all prefixes, in bytes.
    lengths: BTreeSet<usize>,
}

impl<'a> Seen<'a> {
    fn everything(&self) -> Option<usize> {
        let root = self
            .prefixes
            .get(&(None, &[][..]))
            .and_then(|prefixes| prefixes.get("/").or_else(|| prefixes.get("")));
        self.all.or(root.copied())
    }

    /// The rule that takes all that this match takes. Remembers the match.
    fn look(&mut self, request: &'a HttpMatchRequest, index: usize) -> Option<usize> {
        let hidden = self.everything().or_else(|| self.equal_to(request)).or_else(|| self.prefix_of(request));
        if is_only_path(request)
            && request.port.is_none()
            && request.gateways.is_empty()
            && request
                .uri
                .as_ref()
                .is_none_or(|uri| matches!(uri, StringMatch::Regex(regex) if regex == ".*"))
        {
            self.all.get_or_insert(index);
        }
        self.equal.entry(request.uri.as_ref()).or_default().push((request, index));
        if let Some(StringMatch::Prefix(prefix)) = &request.uri
            && is_only_path(request)
        {
            let whom = (request.port, request.gateways.as_slice());
            self.prefixes.entry(whom).or_default().entry(prefix).or_insert(index);
            self.lengths.insert(prefix.len());
        }
        hidden
    }

    fn equal_to(&self, request: &HttpMatchRequest) -> Option<usize> {
        let unnamed = |request: &HttpMatchRequest| HttpMatchRequest {
            name: None,
            stat_prefix: None,
            ..request.clone()
        };
        let candidates = self.equal.get(&request.uri.as_ref())?;
        let request = unnamed(request);
        candidates.iter().find(|(other, _)| unnamed(other) == request).map(|(_, index)| *index)
    }

    /// The rule with a prefix that covers the path of this match, for everybody or for the same.
    fn prefix_of(&self, request: &HttpMatchRequest) -> Option<usize> {
        let (Some(StringMatch::Prefix(path) | StringMatch::Exact(path)), false) =
            (&request.uri, request.ignore_uri_case)
        else {
            return None;
        };
        let everybody: Whom<'_> = (None, &[]);
        let same = (request.port, request.gateways.as_slice());
        let lists: Vec<_> = [everybody, same].iter().filter_map(|whom| self.prefixes.get(whom)).collect();
        if lists.is_empty() {
            return None;
        }
        let prefixes = self.lengths.iter().filter_map(|length| path.get(..*length));
        prefixes.filter_map(|prefix| lists.iter().filter_map(|list| list.get(prefix)).min()).min().copied()
    }
}

/// Has the match no condition but path, port and gateways?
fn is_only_path(request: &HttpMatchRequest) -> bool {
    let HttpMatchRequest {
        name: _,
        uri: _,
        scheme,
        method,
        authority,
        headers,
        port: _,
        source_labels,
        gateways: _,
        query_params,
        ignore_uri_case,
        without_headers,
        source_namespace,
        stat_prefix: _,
    } = request;
    scheme.is_none()
        && method.is_none()
        && authority.is_none()
        && headers.is_empty()
        && source_labels.is_empty()
        && query_params.is_empty()
        && !ignore_uri_case
        && without_headers.is_empty()
        && source_namespace.is_none()
}
