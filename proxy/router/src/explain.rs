//! Why a request gets what it gets.

use std::fmt::{self, Write as _};

use postern_snapshot::model::RouteTable;

use crate::{Lookup, RequestHead, compile::Entry, virtual_host::VirtualHost};

/// The way to a [`Lookup`], step by step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The host that was looked up.
    pub host: String,
    /// The virtual host that has it, as a place in the table.
    pub virtual_host: Option<usize>,
    /// What was tested, in order, up to the one that decided. Empty when the host decided alone.
    pub tests: Vec<RouteTest>,
    /// The outcome; always that of [`Router::route`](crate::Router::route).
    pub lookup: Lookup,
}

/// One match of one route, tested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTest {
    /// The place of the route in its virtual host.
    pub route: usize,
    /// The place of the match in its route; 0 for a route without matches.
    pub match_index: usize,
    /// What came of it.
    pub verdict: Verdict,
}

/// The result of testing a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Everything holds: the route is taken.
    Matches,
    /// What could be compiled holds: the request is refused.
    Refused,
    /// These conditions do not hold, each as `header x-user is "a", wanted "b"`.
    Fails(Vec<String>),
}

pub(crate) fn explain(virtual_host: Option<(usize, &VirtualHost)>, head: &RequestHead<'_>) -> Explanation {
    let mut explanation = Explanation {
        host: head.host.to_owned(),
        virtual_host: virtual_host.map(|(index, _)| index),
        tests: Vec::new(),
        lookup: Lookup::NoHost,
    };
    let Some((index, virtual_host)) = virtual_host else { return explanation };
    if let Some(redirect) = virtual_host.https_redirect(head) {
        explanation.lookup = Lookup::HttpsRedirect { virtual_host: index, redirect };
        return explanation;
    }
    explanation.lookup = Lookup::NoRoute { virtual_host: index };
    for entry in virtual_host.entries() {
        let verdict = test(entry, head);
        let fails = matches!(verdict, Verdict::Fails(_));
        explanation.tests.push(RouteTest { route: entry.route, match_index: entry.match_index, verdict });
        if !fails {
            explanation.lookup = Lookup::of_entry(index, entry);
            break;
        }
    }
    explanation
}

fn test(entry: &Entry, head: &RequestHead<'_>) -> Verdict {
    let mut failures = Vec::new();
    if !entry.path.matches(head.path) {
        failures.push(format!("path is {:?}, wanted {}", head.path, entry.path));
    }
    let failing = entry.conditions.iter().filter(|condition| !condition.holds(head));
    failures.extend(failing.map(|condition| condition.describe(head)));
    match failures.is_empty() {
        true if entry.refused => Verdict::Refused,
        true => Verdict::Matches,
        false => Verdict::Fails(failures),
    }
}

impl Explanation {
    /// As text, a line for each step, with the names from the table that the router was compiled from.
    #[must_use]
    pub fn render(&self, table: &RouteTable) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, table);
        text
    }

    fn write(&self, out: &mut String, table: &RouteTable) -> fmt::Result {
        let virtual_host = self.virtual_host.and_then(|index| table.virtual_hosts.get(index));
        match virtual_host {
            Some(virtual_host) => {
                let domains: Vec<String> = virtual_host.domains.iter().map(ToString::to_string).collect();
                writeln!(
                    out,
                    "host {:?}: virtual host {} ({})",
                    self.host,
                    virtual_host.name,
                    domains.join(", ")
                )?;
            }
            None => writeln!(out, "host {:?}: no virtual host", self.host)?,
        }
        for test in &self.tests {
            write!(out, "route {} match {}", test.route, test.match_index)?;
            if let Some(route) = virtual_host.and_then(|host| host.routes.get(test.route)) {
                write!(
                    out,
                    " ({} of {})",
                    if route.name.is_empty() { "unnamed" } else { &route.name },
                    route.origin
                )?;
            }
            match &test.verdict {
                Verdict::Matches => writeln!(out, ": matches")?,
                Verdict::Refused => writeln!(out, ": refused, it could not be compiled")?,
                Verdict::Fails(reasons) => writeln!(out, ": {}", reasons.join("; "))?,
            }
        }
        match self.lookup {
            Lookup::NoHost | Lookup::NoRoute { .. } => writeln!(out, "result: 404"),
            Lookup::HttpsRedirect { .. } => writeln!(out, "result: redirected to https"),
            Lookup::Route { route, .. } => writeln!(out, "result: route {route}"),
            Lookup::Refused { route, .. } => writeln!(out, "result: 500, route {route} was refused"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "tests")]
#[path = "explain_tests.rs"]
mod tests;
