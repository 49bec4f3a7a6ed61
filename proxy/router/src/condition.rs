//! Conditions on everything but the path.

use std::{borrow::Cow, fmt, sync::Arc};

use http::HeaderName;

use crate::{RequestHead, pattern::Pattern};

/// One condition of a match.
#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) subject: Subject,
    pub(crate) wanted: Wanted,
    /// Istio's `withoutHeaders`.
    pub(crate) inverted: bool,
}

/// What is looked at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Method,
    Scheme,
    Authority,
    /// `:path` as a header (Istio allows it): with the query.
    PathAndQuery,
    Header(HeaderName),
    /// A header that no request can have: `:status`, or what is no header name.
    NeverSent(Box<str>),
    /// A query parameter.
    Query(Box<str>),
}

/// What it should be.
#[derive(Debug)]
pub(crate) enum Wanted {
    Present,
    Text(TextMatcher),
}

/// A compiled [`StringMatch`](postern_snapshot::model::StringMatch).
#[derive(Debug)]
pub(crate) enum TextMatcher {
    Exact(Box<str>),
    Prefix(Box<str>),
    Regex(Arc<Pattern>),
    /// An expression that could not be compiled: it may fit whatever starts with this text.
    Unknown(Box<str>),
}

impl TextMatcher {
    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) | Self::Unknown(text) => value.starts_with(text.as_bytes()),
            Self::Regex(pattern) => pattern.is_match(value),
        }
    }
}

impl Condition {
    pub(crate) fn holds(&self, head: &RequestHead<'_>) -> bool {
        let value = self.subject.value(head);
        match (&self.wanted, value) {
            (Wanted::Present, value) => value.is_some() != self.inverted,
            (Wanted::Text(text), Some(value)) => text.matches(&value) != self.inverted,
            // Istio sets `treat_missing_header_as_empty` where it inverts, and only there: without a header,
            // "not `a`" holds and "not `.*`" does not.
            (Wanted::Text(text), None) => self.inverted && !text.matches(b""),
        }
    }

    /// What the request has and what was wanted, for [`Explanation`](crate::Explanation).
    pub(crate) fn describe(&self, head: &RequestHead<'_>) -> String {
        let not = if self.inverted { "not " } else { "" };
        let has = match self.subject.value(head) {
            Some(value) => format!("{:?}", String::from_utf8_lossy(&value)),
            None => "absent".to_owned(),
        };
        format!("{} is {has}, wanted {not}{}", self.subject, self.wanted)
    }
}

impl Subject {
    fn value<'a>(&self, head: &RequestHead<'a>) -> Option<Cow<'a, [u8]>> {
        let text = |text: &'a str| Some(Cow::Borrowed(text.as_bytes()));
        match self {
            Self::Method => text(head.method),
            Self::Scheme => text(head.scheme),
            Self::Authority => text(head.authority).filter(|value| !value.is_empty()),
            Self::PathAndQuery => Some(path_and_query(head)),
            Self::Header(name) => header(head, name),
            Self::NeverSent(_) => None,
            Self::Query(name) => query_parameter(head.query?, name).and_then(text),
        }
    }
}

fn path_and_query<'a>(head: &RequestHead<'a>) -> Cow<'a, [u8]> {
    let Some(query) = head.query else { return Cow::Borrowed(head.path.as_bytes()) };
    Cow::Owned([head.path.as_bytes(), b"?", query.as_bytes()].concat())
}

/// All values of a header as one, joined by `,` as Envoy does, and those of `cookie` by `; ` (RFC 9113 section
/// 8.2.3: HTTP/2 clients may split it).
fn header<'a>(head: &RequestHead<'a>, name: &HeaderName) -> Option<Cow<'a, [u8]>> {
    let mut values = head.headers.get_all(name).iter();
    let first = values.next()?.as_bytes();
    let Some(second) = values.next() else { return Some(Cow::Borrowed(first)) };
    let separator: &[u8] = if name == http::header::COOKIE { b"; " } else { b"," };
    let mut joined = first.to_vec();
    for value in std::iter::once(second).chain(values) {
        joined.extend_from_slice(separator);
        joined.extend_from_slice(value.as_bytes());
    }
    Some(Cow::Owned(joined))
}

/// The first parameter of this name; without `=` its value is empty (Envoy).
fn query_parameter<'a>(query: &'a str, wanted: &str) -> Option<&'a str> {
    query
        .split_terminator('&')
        .map(|parameter| parameter.split_once('=').unwrap_or((parameter, "")))
        .find_map(|(name, value)| (name == wanted).then_some(value))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method => f.write_str("method"),
            Self::Scheme => f.write_str("scheme"),
            Self::Authority => f.write_str("authority"),
            Self::PathAndQuery => f.write_str("header :path"),
            Self::Header(name) => write!(f, "header {name}"),
            Self::NeverSent(name) => write!(f, "header {name}"),
            Self::Query(name) => write!(f, "query parameter {name}"),
        }
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("present"),
            Self::Text(TextMatcher::Exact(text)) => write!(f, "{text:?}"),
            Self::Text(TextMatcher::Prefix(text)) => write!(f, "prefix {text:?}"),
            Self::Text(TextMatcher::Regex(pattern)) => write!(f, "regex {:?}", pattern.source()),
            Self::Text(TextMatcher::Unknown(text)) => {
                write!(f, "a regex that was refused and would begin with {text:?}")
            }
        }
    }
}
