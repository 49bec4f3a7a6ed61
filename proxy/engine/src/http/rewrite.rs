//! How the path changes on its way to the upstream. The query stays.

use std::borrow::Cow;

use postern_router::{PathMatched, re2};
use postern_snapshot::model;
use regex::bytes::Regex;

/// A compiled [`model::PathRewrite`].
#[derive(Debug)]
pub(super) enum PathRewrite {
    /// What the match took is replaced.
    Prefix(Box<str>),
    /// The whole path is replaced.
    Full(Box<str>),
    /// Every match is replaced.
    Regex { pattern: Regex, substitution: Box<[Piece]> },
}

/// A piece of RE2's replacement text.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Text(Box<str>),
    Group(usize),
}

impl PathRewrite {
    /// # Errors
    /// The expression or the substitution is not RE2's; the text says why.
    pub(super) fn compile(from: &model::PathRewrite) -> Result<Self, String> {
        Ok(match from {
            model::PathRewrite::Prefix(prefix) => Self::Prefix(prefix.as_str().into()),
            model::PathRewrite::Full(path) => Self::Full(path.as_str().into()),
            model::PathRewrite::Regex { pattern, substitution } => {
                let pattern = re2::search(pattern).map_err(|problem| format!("path rewrite: {problem}"))?;
                let substitution = parse_substitution(substitution, pattern.captures_len())?;
                Self::Regex { pattern, substitution }
            }
        })
    }

    /// The path for the upstream. Always begins with a slash, unless the result cannot be told from a path.
    pub(super) fn apply<'p>(&self, path: &'p str, matched: PathMatched) -> Cow<'p, str> {
        let new = match self {
            Self::Prefix(prefix) => Cow::Owned(replace_matched(path, matched, prefix)),
            Self::Full(full) => Cow::Owned(full.to_string()),
            Self::Regex { pattern, substitution } => substitute(path, pattern, substitution),
        };
        if new.starts_with('/') { new } else { Cow::Owned(format!("/{new}")) }
    }
}

/// Puts `new` in the place of what a route's match took of the path: for rewrites and redirects.
///
/// After a plain prefix this is a plain exchange of texts, as Envoy's `prefix_rewrite` does it: `/app` → `/` makes
/// `//x` of `/app/x`. After a path-separated prefix exactly one slash is between `new` and the rest (Gateway API,
/// `ReplacePrefixMatch`).
pub(super) fn replace_matched(path: &str, matched: PathMatched, new: &str) -> String {
    let (new, rest) = match matched {
        PathMatched::None | PathMatched::Exact | PathMatched::Regex => (new, ""),
        PathMatched::Prefix(length) => (new, path.get(length..).unwrap_or_default()),
        PathMatched::Segments(length) => {
            (new.strip_suffix('/').unwrap_or(new), path.get(length..).unwrap_or_default())
        }
    };
    let mut out = String::with_capacity(new.len() + rest.len() + 1);
    out.push_str(new);
    out.push_str(rest);
    if out.is_empty() {
        out.push('/');
    }
    out
}

fn substitute<'p>(path: &'p str, pattern: &Regex, substitution: &[Piece]) -> Cow<'p, str> {
    let replaced = pattern.replace_all(path.as_bytes(), |captures: &regex::bytes::Captures<'_>| {
        let mut out = Vec::new();
        for piece in substitution {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Group(number) => {
                    out.extend_from_slice(captures.get(*number).map_or(&[][..], |group| group.as_bytes()));
                }
            }
        }
        out
    });
    match replaced {
        Cow::Borrowed(_) => Cow::Borrowed(path),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

/// `\0` to `\9` are groups, `\\` is a backslash; nothing else may follow a backslash (RE2's `CheckRewriteString`).
fn parse_substitution(text: &str, groups: usize) -> Result<Box<[Piece]>, String> {
    let wrong = |why: &str| format!("path rewrite: substitution {text:?}: {why}");
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(next) = chars.next() {
        if next != '\\' {
            plain.push(next);
            continue;
        }
        match chars.next() {
            Some('\\') => plain.push('\\'),
            Some(digit) => {
                let number =
                    digit.to_digit(10).ok_or_else(|| wrong("\\ must be followed by a digit or \\"))?;
                let number = number as usize;
                if number >= groups {
                    return Err(wrong("it names a group that the expression does not have"));
                }
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain).into()));
                }
                pieces.push(Piece::Group(number));
            }
            None => return Err(wrong("it ends with \\")),
        }
    }
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain.into()));
    }
    Ok(pieces.into())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn rewrite(from: &model::PathRewrite, path: &str, matched: PathMatched) -> String {
        PathRewrite::compile(from).unwrap().apply(path, matched).into_owned()
    }

    #[test]
    fn a_prefix_is_exchanged_as_envoy_does() {
        for (path, matched, new, expected) in [
            ("/app/x", PathMatched::Prefix(4), "/new", "/new/x"),
            ("/app/x", PathMatched::Prefix(5), "/", "/x"),
            ("/app/x", PathMatched::Prefix(4), "/", "//x"),
            ("/apple", PathMatched::Prefix(4), "/new", "/newle"),
            ("/app", PathMatched::Prefix(4), "/", "/"),
            ("/app/x", PathMatched::Exact, "/new", "/new"),
            ("/app/x", PathMatched::Regex, "/new", "/new"),
            ("/app/x", PathMatched::None, "/new", "/new"),
        ] {
            assert_eq!(
                rewrite(&model::PathRewrite::Prefix(new.into()), path, matched),
                expected,
                "{path} {new}"
            );
        }
    }

    /// The table of the Gateway API's `HTTPPathModifier.replacePrefixMatch`.
    #[test]
    fn segments_are_exchanged_as_the_gateway_api_says() {
        for (path, length, new, expected) in [
            ("/foo/bar", 4, "/xyz", "/xyz/bar"),
            ("/foo/bar", 4, "/xyz/", "/xyz/bar"),
            ("/foo", 4, "/xyz", "/xyz"),
            ("/foo/", 4, "/xyz", "/xyz/"),
            ("/foo/bar", 4, "", "/bar"),
            ("/foo/", 4, "", "/"),
            ("/foo", 4, "", "/"),
            ("/foo/", 4, "/", "/"),
            ("/foo", 4, "/", "/"),
            ("/bar", 0, "/xyz", "/xyz/bar"),
        ] {
            let rewritten =
                rewrite(&model::PathRewrite::Prefix(new.into()), path, PathMatched::Segments(length));
            assert_eq!(rewritten, expected, "{path} {new}");
        }
    }

    #[test]
    fn expressions_replace_every_match() {
        let regex = |pattern: &str, substitution: &str| model::PathRewrite::Regex {
            pattern: pattern.into(),
            substitution: substitution.into(),
        };
        for (pattern, substitution, path, expected) in [
            ("^/service/([^/]+)(/.*)$", r"\2/instance/\1", "/service/foo/v1/api", "/v1/api/instance/foo"),
            ("one", "two", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/two/zzz"),
            ("^(.*?)one(.*)$", r"\1two\2", "/xxx/one/yyy/one/zzz", "/xxx/two/yyy/one/zzz"),
            ("(?i)/xxx/", "/yyy/", "/aaa/XxX/bbb", "/aaa/yyy/bbb"),
            ("/a", r"\\", "/a", r"/\"),
            ("nothing", "x", "/a", "/a"),
            ("^/a", r"\0\0", "/a/b", "/a/a/b"),
        ] {
            assert_eq!(
                rewrite(&regex(pattern, substitution), path, PathMatched::None),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn bad_expressions_and_substitutions_are_refused() {
        for (pattern, substitution) in [("(", ""), ("a", r"\1"), ("a", r"\x"), ("a", r"b\")] {
            let from =
                model::PathRewrite::Regex { pattern: pattern.into(), substitution: substitution.into() };
            assert!(
                PathRewrite::compile(&from).unwrap_err().contains("path rewrite"),
                "{pattern} {substitution}"
            );
        }
    }

    #[test]
    fn the_whole_path_can_be_replaced() {
        assert_eq!(rewrite(&model::PathRewrite::Full("/new".into()), "/a/b", PathMatched::Prefix(2)), "/new");
        assert_eq!(rewrite(&model::PathRewrite::Full("new".into()), "/a/b", PathMatched::Prefix(2)), "/new");
    }
}
