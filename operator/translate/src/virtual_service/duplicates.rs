//! Two VirtualServices that want the same requests. The older one gets them; Istio says nothing about it.

use std::collections::HashMap;

use postern_snapshot::model::{PathMatch, Route, RouteMatch};

use super::hosts::Rules;
use super::match_::is_catch_all;
use crate::at::At;
use crate::config::VirtualServiceConfig;
use crate::finding::{Findings, Problem, Reason};

/// Says of each match that an older VirtualService of the same hosts has it too. Only equal matches are compared: a
/// prefix that another one covers may well be meant so.
pub(crate) fn report_duplicates(rules: &[&Rules<'_>], findings: &mut Findings) {
    let mut seen: HashMap<PathKey<'_>, Vec<(&RouteMatch, &VirtualServiceConfig)>> = HashMap::new();
    for Rules { virtual_service, routes } in rules {
        for found in routes.iter().flat_map(matches) {
            let known = seen.entry(path_key(found)).or_default();
            let winner = known
                .iter()
                .find(|(other, _)| *other == found || is_catch_all(found) && is_catch_all(other))
                .map(|(_, winner)| *winner);
            match winner {
                None => known.push((found, virtual_service)),
                Some(winner) if winner.key != virtual_service.key => {
                    report(virtual_service, winner, found, findings);
                }
                // Two rules of one VirtualService: see `reach`.
                Some(_) => {}
            }
        }
    }
}

/// What matches every request, written as a match.
static EVERYTHING: RouteMatch = RouteMatch {
    path: None,
    ignore_path_case: false,
    method: None,
    scheme: None,
    authority: None,
    headers: Vec::new(),
    query: Vec::new(),
};

fn matches(route: &Route) -> &[RouteMatch] {
    if route.matches.is_empty() { std::slice::from_ref(&EVERYTHING) } else { &route.matches }
}

/// Matches are put in buckets by their paths.
type PathKey<'a> = (u8, &'a str);

fn path_key(found: &RouteMatch) -> PathKey<'_> {
    match &found.path {
        _ if is_catch_all(found) => (0, ""),
        None => (0, ""),
        Some(PathMatch::Exact(path)) => (1, path),
        Some(PathMatch::Prefix(path)) => (2, path),
        Some(PathMatch::PathSeparatedPrefix(path)) => (3, path),
        Some(PathMatch::Regex(path)) => (4, path),
    }
}

fn report(
    loser: &VirtualServiceConfig,
    winner: &VirtualServiceConfig,
    found: &RouteMatch,
    findings: &mut Findings,
) {
    let what = match &found.path {
        _ if is_catch_all(found) => "every request".to_owned(),
        None => "every path".to_owned(),
        Some(PathMatch::Exact(path)) => format!("path {path}"),
        Some(PathMatch::Prefix(path) | PathMatch::PathSeparatedPrefix(path)) => format!("prefix {path}"),
        Some(PathMatch::Regex(regex)) => format!("regex {regex}"),
    };
    let message =
        format!("{} goes first, and has a rule with the same match ({what}) for the same host", winner.key);
    let at = At::object(&loser.key);
    let at = at.field("spec");
    findings.warn(&at.field("http"), Problem::programmed(Reason::ConflictingRoute, message));
}
