//! Conditions on the path.

use std::{fmt, sync::Arc};

use crate::{
    pattern::Pattern,
    trie::{Key, KeyKind},
};

/// What of the path a route's match took; a prefix rewrite replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathMatched {
    /// The match says nothing about the path.
    None,
    /// The whole path, by an exact match.
    Exact,
    /// So many bytes at the path's start, by a plain prefix.
    Prefix(usize),
    /// So many bytes at the path's start, by a path-separated prefix: nothing or a `/` follows. 0 for the prefix `/`:
    /// its slash belongs to what follows.
    Segments(usize),
    /// The whole path, by a regular expression.
    Regex,
}

/// A compiled [`PathMatch`](postern_snapshot::model::PathMatch).
#[derive(Debug)]
pub(crate) enum PathMatcher {
    Any,
    Exact(Text),
    Prefix(Text),
    /// Without its trailing slash.
    Segments(Text),
    Regex(Arc<Pattern>),
    /// An expression that could not be compiled: it may fit whatever starts with this text.
    Unknown(Box<str>),
}

/// A text and how it is compared.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) text: Box<str>,
    /// ASCII case does not count.
    pub(crate) ignore_case: bool,
}

impl Text {
    fn starts(&self, path: &str) -> bool {
        let Some((start, _)) = path.as_bytes().split_at_checked(self.text.len()) else { return false };
        let text = self.text.as_bytes();
        if self.ignore_case { start.eq_ignore_ascii_case(text) } else { start == text }
    }
}

impl PathMatcher {
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => text.text.len() == path.len() && text.starts(path),
            Self::Prefix(text) | Self::Segments(text) => text.starts(path) && self.confirms(path),
            Self::Regex(pattern) => pattern.is_match(path.as_bytes()),
            Self::Unknown(text) => path.starts_with(&**text),
        }
    }

    /// The part of [`Self::matches`] that is left to test when one of [`Self::keys`] fits the path.
    pub(crate) fn confirms(&self, path: &str) -> bool {
        match self {
            Self::Segments(text) => matches!(path.as_bytes().get(text.text.len()), None | Some(b'/')),
            Self::Regex(pattern) => pattern.is_match(path.as_bytes()),
            Self::Any | Self::Exact(_) | Self::Prefix(_) | Self::Unknown(_) => true,
        }
    }

    /// Every path that matches fits one of these.
    pub(crate) fn keys(&self, value: u32) -> Vec<Key> {
        let key = |kind, text: &[u8]| Key { text: text.into(), kind, value };
        match self {
            Self::Any => vec![key(KeyKind::Prefix, b"")],
            Self::Exact(text) => vec![key(KeyKind::Exact, text.text.as_bytes())],
            Self::Prefix(text) | Self::Segments(text) => vec![key(KeyKind::Prefix, text.text.as_bytes())],
            Self::Regex(pattern) => {
                pattern.prefixes().iter().map(|prefix| key(KeyKind::Prefix, prefix)).collect()
            }
            Self::Unknown(text) => vec![key(KeyKind::Prefix, text.as_bytes())],
        }
    }

    /// Must its keys be compared without regard to case?
    pub(crate) fn ignores_case(&self) -> bool {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Segments(text) => text.ignore_case,
            Self::Any | Self::Regex(_) | Self::Unknown(_) => false,
        }
    }

    pub(crate) const fn matched(&self) -> PathMatched {
        match self {
            Self::Any => PathMatched::None,
            Self::Exact(_) => PathMatched::Exact,
            Self::Prefix(text) => PathMatched::Prefix(text.text.len()),
            Self::Segments(text) => PathMatched::Segments(text.text.len()),
            Self::Regex(_) | Self::Unknown(_) => PathMatched::Regex,
        }
    }
}

impl fmt::Display for PathMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, text) = match self {
            Self::Any => return f.write_str("any"),
            Self::Exact(text) => ("", text),
            Self::Prefix(text) => ("prefix ", text),
            Self::Segments(text) => ("path-separated prefix ", text),
            Self::Regex(pattern) => return write!(f, "regex {:?}", pattern.source()),
            Self::Unknown(text) => {
                return write!(f, "a regex that was refused and would begin with {text:?}");
            }
        };
        write!(f, "{kind}{:?}", text.text)?;
        if text.ignore_case { f.write_str(" in any case") } else { Ok(()) }
    }
}
