//! From the contract's routes to what is fast to test.

use http::HeaderName;
use postern_snapshot::model::{
    HeaderMatch, PathMatch, QueryMatch, RouteMatch, StringMatch, ValueMatch, VirtualHost,
};

use crate::{
    condition::{Condition, Subject, TextMatcher, Wanted},
    path::{PathMatcher, Text},
    pattern::{Patterns, literal_beginning},
    re2::PatternProblem,
};

/// A match of a route that could not be compiled, or not as it was meant.
///
/// To drop it would let its requests fall to a later and often wider route: a denial would become an admission. So
/// it keeps its place. A bad expression counts as fitting whatever could begin as it does (its literal beginning; if
/// it is inverted, everything), and a request for which the rest of the match holds gets
/// [`Lookup::Refused`](crate::Lookup::Refused), to be answered with 500. The route's other matches serve as usual. A bad
/// header name needs no such care: no request has such a header, and the match is decided accordingly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRoute {
    /// The place of the virtual host in the table.
    pub virtual_host: usize,
    /// The virtual host's name.
    pub virtual_host_name: String,
    /// The place of the route in the virtual host.
    pub route: usize,
    /// The route's name, may be empty.
    pub name: String,
    /// The object that the route comes from.
    pub origin: String,
    /// The place of the match in the route.
    pub match_index: usize,
    /// What is wrong.
    pub problem: RouteProblem,
}

/// Why a match could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteProblem {
    /// A regular expression is bad.
    #[error("{subject}: {problem}")]
    Pattern {
        /// The condition that it belongs to: `path`, `header x-user`, ...
        subject: String,
        /// What is wrong.
        problem: PatternProblem,
    },
    /// A header has a name that no header can have (RFC 9110 section 5.1).
    #[error("{name:?} is not a valid header name")]
    HeaderName {
        /// The name.
        name: String,
    },
}

/// One match of one route, compiled. A route without matches has one that always holds.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The place of the route in its virtual host.
    pub(crate) route: usize,
    /// The place of the match in the route.
    pub(crate) match_index: usize,
    pub(crate) path: PathMatcher,
    pub(crate) conditions: Box<[Condition]>,
    /// A part of it could not be compiled.
    pub(crate) refused: bool,
}

/// All matches of a virtual host, in order, and what was wrong with them.
pub(crate) fn entries(
    virtual_host: &VirtualHost,
    host_index: usize,
    patterns: &mut Patterns,
) -> (Box<[Entry]>, Vec<RefusedRoute>) {
    let always = [RouteMatch::default()];
    let mut entries = Vec::new();
    let mut refused = Vec::new();
    for (route_index, route) in virtual_host.routes.iter().enumerate() {
        let matches = if route.matches.is_empty() { &always[..] } else { &route.matches };
        for (match_index, route_match) in matches.iter().enumerate() {
            let mut compiler =
                Compiler { patterns, conditions: Vec::new(), problems: Vec::new(), refused: false };
            let path = compiler.route_match(route_match);
            refused.extend(compiler.problems.into_iter().map(|problem| RefusedRoute {
                virtual_host: host_index,
                virtual_host_name: virtual_host.name.clone(),
                route: route_index,
                name: route.name.clone(),
                origin: route.origin.clone(),
                match_index,
                problem,
            }));
            entries.push(Entry {
                route: route_index,
                match_index,
                path,
                conditions: compiler.conditions.into(),
                refused: compiler.refused,
            });
        }
    }
    (entries.into(), refused)
}

/// Compiles one match.
struct Compiler<'p> {
    patterns: &'p mut Patterns,
    conditions: Vec<Condition>,
    problems: Vec<RouteProblem>,
    /// Requests that match must be refused.
    refused: bool,
}

impl Compiler<'_> {
    /// Conditions are tested in the order of what they cost.
    fn route_match(&mut self, from: &RouteMatch) -> PathMatcher {
        let path = self.path(from);
        self.pseudo_header(Subject::Method, from.method.as_ref());
        self.pseudo_header(Subject::Scheme, from.scheme.as_ref());
        self.pseudo_header(Subject::Authority, from.authority.as_ref());
        from.headers.iter().for_each(|header| self.header(header));
        from.query.iter().for_each(|query| self.query(query));
        path
    }

    fn path(&mut self, from: &RouteMatch) -> PathMatcher {
        let ignore_case = from.ignore_path_case;
        let text = |text: &str| Text { text: text.into(), ignore_case };
        match &from.path {
            None => PathMatcher::Any,
            Some(PathMatch::Exact(path)) => PathMatcher::Exact(text(path)),
            Some(PathMatch::Prefix(path)) => PathMatcher::Prefix(text(path)),
            Some(PathMatch::PathSeparatedPrefix(path)) => {
                PathMatcher::Segments(text(path.strip_suffix('/').unwrap_or(path)))
            }
            Some(PathMatch::Regex(source)) => match self.patterns.compile(source) {
                Ok(pattern) => PathMatcher::Regex(pattern),
                Err(problem) => {
                    self.refuse("path".to_owned(), problem);
                    PathMatcher::Unknown(literal_beginning(source).into())
                }
            },
        }
    }

    fn pseudo_header(&mut self, subject: Subject, from: Option<&StringMatch>) {
        if let Some(text) = from {
            self.condition(subject, &ValueMatch::String(text.clone()), false);
        }
    }

    fn header(&mut self, from: &HeaderMatch) {
        let subject = match from.name.to_ascii_lowercase().as_str() {
            ":method" => Subject::Method,
            ":scheme" => Subject::Scheme,
            ":path" => Subject::PathAndQuery,
            // HTTP/1.1 and HTTP/2 call it differently; Envoy treats them as one.
            ":authority" | "host" => Subject::Authority,
            // Istio allows it in a match, but it belongs to responses.
            ":status" => Subject::NeverSent(":status".into()),
            name => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => Subject::Header(name),
                Err(_) => {
                    self.problems.push(RouteProblem::HeaderName { name: from.name.clone() });
                    Subject::NeverSent(from.name.as_str().into())
                }
            },
        };
        self.condition(subject, &from.value, from.invert);
    }

    fn query(&mut self, from: &QueryMatch) {
        self.condition(Subject::Query(from.name.as_str().into()), &from.value, false);
    }

    fn condition(&mut self, subject: Subject, value: &ValueMatch, inverted: bool) {
        let wanted = match value {
            ValueMatch::Present => Wanted::Present,
            ValueMatch::String(StringMatch::Exact(text)) => {
                Wanted::Text(TextMatcher::Exact(text.as_str().into()))
            }
            ValueMatch::String(StringMatch::Prefix(text)) => {
                Wanted::Text(TextMatcher::Prefix(text.as_str().into()))
            }
            ValueMatch::String(StringMatch::Regex(source)) => match self.patterns.compile(source) {
                Ok(pattern) => Wanted::Text(TextMatcher::Regex(pattern)),
                Err(problem) => {
                    self.refuse(subject.to_string(), problem);
                    if inverted {
                        return;
                    }
                    Wanted::Text(TextMatcher::Unknown(literal_beginning(source).into()))
                }
            },
        };
        self.conditions.push(Condition { subject, wanted, inverted });
    }

    fn refuse(&mut self, subject: String, problem: PatternProblem) {
        self.refused = true;
        self.problems.push(RouteProblem::Pattern { subject, problem });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "compile_tests.rs"]
mod tests;
