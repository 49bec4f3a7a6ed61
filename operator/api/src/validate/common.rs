//! Rules that several kinds share.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use super::Findings;
use crate::place::Place;
use crate::value::{Duration, HostPattern, Visibility, is_dns_label};

/// Istio's limit for regular expressions.
const MAX_REGEX: usize = 1024;

/// A duration must be 1ms or longer, in whole milliseconds.
pub(super) fn duration(duration: Option<Duration>, at: &Place<'_>, findings: &mut Findings) {
    let Some(duration) = duration else { return };
    let nanos = duration.get().as_nanos();
    if nanos < 1_000_000 {
        findings.error(at, format!("got {duration}; a duration must be 1ms or longer"));
    } else if !nanos.is_multiple_of(1_000_000) {
        findings.error(at, format!("got {duration}; a duration must be of whole milliseconds"));
    }
}

/// Like [`duration`], and 0s switches the limit off.
pub(super) fn duration_or_off(value: Option<Duration>, at: &Place<'_>, findings: &mut Findings) {
    duration(value.filter(|duration| !duration.is_zero()), at, findings);
}

/// A regular expression must be one in RE2's syntax, not empty and of at most 1024 bytes.
pub(crate) fn regex(expression: &str, at: &Place<'_>, findings: &mut Findings) {
    if expression.is_empty() {
        findings.error(at, "a regular expression must not be empty");
    } else if expression.len() > MAX_REGEX {
        let got = expression.len();
        findings.error(
            at,
            format!("the regular expression is too long: {got} bytes, and at most {MAX_REGEX} are allowed"),
        );
    } else if let Err(error) = regex_syntax::parse(expression) {
        let reason = match &error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(),
        };
        findings.error(at, format!("{expression:?} is not a regular expression of RE2: {reason}"));
    }
}

/// A list must not hold more than this (`maxItems` of the schema).
pub(super) fn at_most<T>(list: &[T], max: usize, at: &Place<'_>, findings: &mut Findings) {
    if list.len() > max {
        findings.error(at, format!("there are {}; at most {max} are allowed", list.len()));
    }
}

/// A name that is given once must not be given again; the later one is at fault.
pub(super) fn unique<'a, T: Ord + Display + ?Sized>(
    name: &'a T,
    seen: &mut BTreeSet<&'a T>,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    if !seen.insert(name) {
        findings.error(at, format!("{name} is there twice; it must be unique"));
    }
}

/// The name of a subset must be a DNS label.
pub(super) fn subset_name(name: &str, at: &Place<'_>, findings: &mut Findings) {
    if !is_dns_label(name) {
        findings.error(
            at,
            format!("{name:?} is not a subset's name; write letters, digits and dashes, 63 at most"),
        );
    }
}

/// Labels must be labels of Kubernetes.
pub(super) fn labels(labels: &BTreeMap<String, String>, at: &Place<'_>, findings: &mut Findings) {
    for (key, value) in labels {
        let at = at.field(key);
        if !is_label_key(key) {
            findings.error(&at, format!("{key:?} is not the name of a label"));
        }
        if !value.is_empty() && !is_label_name(value) {
            findings.error(
                &at,
                format!("{value:?} is not a label's value; write letters, digits, dashes, dots and underscores, 63 at most"),
            );
        }
    }
}

/// A selector by labels has no wildcards, and should have labels.
pub(super) fn selector(labels: &BTreeMap<String, String>, at: &Place<'_>, findings: &mut Findings) {
    if labels.is_empty() {
        findings.warn(at, "there are no labels, so this selects everything in the namespace");
    }
    for (key, value) in labels {
        let at = at.field(key);
        if key.is_empty() {
            findings.error(&at, "the name of a label must not be empty");
        }
        if key.contains('*') || value.contains('*') {
            findings.error(&at, "wildcards are not supported in a selector");
        }
        if value.len() > 63 {
            findings.error(&at, "a label's value has at most 63 characters");
        }
    }
}

fn is_label_key(key: &str) -> bool {
    match key.split_once('/') {
        None => is_label_name(key),
        Some((prefix, name)) => {
            prefix.len() <= 253 && prefix.split('.').all(is_dns_label) && is_label_name(name)
        }
    }
}

fn is_label_name(name: &str) -> bool {
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    name.len() <= 63
        && ends(name.bytes().next())
        && ends(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// `exportTo` names each namespace once, and `*` and `~` stand alone; `~` is for ServiceEntries only.
pub(super) fn export_to(
    entries: &[Visibility],
    namespace: &str,
    may_be_nobody: bool,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    let mut seen = BTreeSet::new();
    for (index, entry) in entries.iter().enumerate() {
        let at = at.index(index);
        let named = match entry {
            Visibility::Own => namespace.to_owned(),
            other => other.to_string(),
        };
        if !seen.insert(named) {
            findings.error(&at, format!("{entry} is there twice, by its name or as \".\""));
        }
        if *entry == Visibility::Nobody && !may_be_nobody {
            findings.error(&at, "only a ServiceEntry may be exported to nobody (\"~\")");
        }
        if entries.len() > 1 && matches!(entry, Visibility::Public | Visibility::Nobody) {
            findings.error(&at, format!("{entry} cannot stand beside other entries"));
        }
    }
}

/// The host of a destination is a name, with a wildcard only before its first dot, but not `*`.
pub(super) fn destination_host(host: &str, at: &Place<'_>, findings: &mut Findings) {
    match host.parse() {
        Ok(HostPattern::Any) => findings.error(at, "\"*\" is not a destination"),
        Ok(_) => {}
        Err(error) => findings.error(at, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(check: impl FnOnce(&Place<'_>, &mut Findings)) -> Vec<String> {
        let mut findings = Findings::default();
        check(&Place::Object, &mut findings);
        findings.0.into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn durations_are_whole_milliseconds() {
        let check = |text: &str| {
            let value = text.parse().ok();
            lines(|at, findings| duration(value, at, findings))
        };
        assert_eq!(check("1ms"), [""; 0]);
        assert_eq!(check("0s"), ["got 0s; a duration must be 1ms or longer"]);
        assert_eq!(check("1500us"), ["got 0.0015s; a duration must be of whole milliseconds"]);
        let off = "0s".parse().ok();
        assert_eq!(lines(|at, findings| duration_or_off(off, at, findings)), [""; 0]);
    }

    #[test]
    fn expressions_are_re2s() {
        let check = |text: &str| lines(|at, findings| regex(text, at, findings));
        assert_eq!(check(r"/api/v\d+/.*"), [""; 0]);
        assert_eq!(check(""), ["a regular expression must not be empty"]);
        assert_eq!(check(&"a".repeat(1024)), [""; 0]);
        assert_eq!(
            check(&"a".repeat(1025)),
            ["the regular expression is too long: 1025 bytes, and at most 1024 are allowed"]
        );
        assert_eq!(check("("), [r#""(" is not a regular expression of RE2: unclosed group"#]);
        assert_eq!(
            check("(?=a)"),
            [
                r#""(?=a)" is not a regular expression of RE2: look-around, including look-ahead and look-behind, is not supported"#
            ]
        );
    }

    #[test]
    fn labels_are_kubernetes_own() {
        let check = |key: &str, value: &str| {
            let map = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            lines(|at, findings| labels(&map, at, findings)).len()
        };
        assert_eq!(check("app.kubernetes.io/name", "v1.2_x"), 0);
        assert_eq!(check("app", ""), 0);
        assert_eq!(check("-app", "a"), 1);
        assert_eq!(check("a/b/c", "a"), 1);
        assert_eq!(check("app", "a b"), 1);
        assert_eq!(check(&"a".repeat(64), &"a".repeat(64)), 2);
    }

    #[test]
    fn selectors_have_no_wildcards() {
        let check = |pairs: &[(&str, &str)]| {
            let map = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
            let map = map.collect();
            lines(|at, findings| selector(&map, at, findings))
        };
        assert_eq!(check(&[("app", "a")]), [""; 0]);
        assert_eq!(check(&[]), ["there are no labels, so this selects everything in the namespace"]);
        assert_eq!(check(&[("app", "a*")]), ["wildcards are not supported in a selector"]);
        assert_eq!(check(&[("", "a")]), ["the name of a label must not be empty"]);
        assert_eq!(check(&[("app", &"a".repeat(64))]), ["a label's value has at most 63 characters"]);
    }

    #[test]
    fn exports_do_not_contradict_themselves() {
        let check = |texts: &[&str], may_be_nobody| {
            let entries: Vec<_> = texts.iter().filter_map(|text| text.parse().ok()).collect();
            lines(|at, findings| export_to(&entries, "ns", may_be_nobody, at, findings))
        };
        assert_eq!(check(&[".", "other"], false), [""; 0]);
        assert_eq!(check(&[".", "ns"], false), [r#"ns is there twice, by its name or as ".""#]);
        assert_eq!(check(&["*", "other"], false), ["* cannot stand beside other entries"]);
        assert_eq!(check(&["~"], true), [""; 0]);
        assert_eq!(check(&["~"], false), [r#"only a ServiceEntry may be exported to nobody ("~")"#]);
        assert_eq!(check(&["~", "a"], true), ["~ cannot stand beside other entries"]);
    }

    #[test]
    fn destinations_are_hosts() {
        let check = |host: &str| lines(|at, findings| destination_host(host, at, findings)).len();
        assert_eq!(check("reviews"), 0);
        assert_eq!(check("*.example.com"), 0);
        assert_eq!(check("*"), 1);
        assert_eq!(check(""), 1);
        assert_eq!(check("a b"), 1);
    }
}
