//! The path of a request in its normal form: what is compared with routes, and what the upstream gets.
//!
//! Istio's default (`pathNormalization: BASE`, Envoy's `normalize_path`): RFC 3986 section 6.2.2.2 and 6.2.2.3, and
//! `\` counts as `/`. Repeated slashes and escaped slashes stay. Without it, `/public/%2e%2e/admin` would pass a route
//! for `/public` and be `/admin` to the upstream.

use std::borrow::Cow;

use postern_snapshot::model::EscapedSlashes;

/// What is done with a path before it is compared (Envoy: `path_with_escaped_slashes_action`, `normalize_path`,
/// `merge_slashes`, in this order).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PathRules {
    pub(super) normalize: bool,
    pub(super) merge_slashes: bool,
    pub(super) escaped_slashes: EscapedSlashes,
}

/// A path that is another one now.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) path: String,
    /// The client is to ask for it itself.
    pub(super) redirect: bool,
}

impl PathRules {
    /// `None`: it stays as it is.
    ///
    /// # Errors
    /// It is refused.
    pub(super) fn apply(&self, path: &str) -> Result<Option<Changed>, NotNormal> {
        let unescaped = match self.escaped_slashes {
            EscapedSlashes::KeepUnchanged => None,
            _ => unescape_slashes(path),
        };
        if unescaped.is_some() && self.escaped_slashes == EscapedSlashes::RejectRequest {
            return Err(NotNormal);
        }
        let redirect = unescaped.is_some() && self.escaped_slashes == EscapedSlashes::UnescapeAndRedirect;
        let mut current = unescaped.map_or(Cow::Borrowed(path), Cow::Owned);
        if self.normalize
            && let Some(normal) = normalize(&current)?
        {
            current = Cow::Owned(normal);
        }
        if self.merge_slashes
            && let Some(merged) = merge_slashes(&current)
        {
            current = Cow::Owned(merged);
        }
        Ok(match current {
            Cow::Borrowed(_) => None,
            Cow::Owned(path) => Some(Changed { path, redirect }),
        })
    }
}

/// With `%2F` as `/` and `%5C` as `\`; `None` when there is none of them.
fn unescape_slashes(path: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = path;
    while let Some(place) = rest.find('%') {
        let (before, from) = rest.split_at(place);
        let slash = match escaped(from) {
            Some(b'/') => '/',
            Some(b'\\') => '\\',
            _ => {
                let end = place + 1;
                out.push_str(rest.get(..end).unwrap_or_default());
                rest = rest.get(end..).unwrap_or_default();
                continue;
            }
        };
        out.push_str(before);
        out.push(slash);
        rest = from.get(3..).unwrap_or_default();
    }
    out.push_str(rest);
    (out.len() != path.len()).then_some(out)
}

/// `None` when no two slashes follow one another.
fn merge_slashes(path: &str) -> Option<String> {
    if !path.contains("//") {
        return None;
    }
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    Some(merged)
}

/// A path that is refused: it has no normal form, as it holds an escaped NUL, or escaped slashes that are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotNormal;

/// The normal form; `None` when the path has it already, as nearly all have.
///
/// # Errors
/// It holds an escaped NUL (Envoy refuses it too).
fn normalize(path: &str) -> Result<Option<String>, NotNormal> {
    if is_normal(path.as_bytes()) {
        return Ok(None);
    }
    let decoded = decode_unreserved(path)?;
    let normal = remove_dot_segments(&decoded);
    Ok((normal != path).then_some(normal))
}

/// Cheap, and never wrong when it says yes.
fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for &byte in path {
        if byte == b'%' || byte == b'\\' || (byte == b'.' && before == b'/') {
            return false;
        }
        before = byte;
    }
    true
}

/// Decodes escapes of characters that need none (RFC 3986 section 2.3), and turns `\` into `/`.
fn decode_unreserved(path: &str) -> Result<String, NotNormal> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(place) = rest.find(['%', '\\']) {
        let (before, from) = rest.split_at(place);
        out.push_str(before);
        if let Some(after) = from.strip_prefix('\\') {
            out.push('/');
            rest = after;
            continue;
        }
        match escaped(from) {
            Some(0) => return Err(NotNormal),
            Some(byte) if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
                out.push(char::from(byte));
            }
            Some(_) => out.push_str(from.get(..3).unwrap_or_default()),
            // A stray percent sign stays what it is.
            None => {
                out.push('%');
                rest = from.get(1..).unwrap_or_default();
                continue;
            }
        }
        rest = from.get(3..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

/// The byte that a text starting with `%XY` stands for.
fn escaped(text: &str) -> Option<u8> {
    let digits = text.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
    u8::from_str_radix(digits, 16).ok()
}

/// RFC 3986 section 5.2.4.
fn remove_dot_segments(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." if last => out.push('/'),
            "." => {}
            ".." => {
                out.truncate(out.rfind('/').unwrap_or(0));
                if last {
                    out.push('/');
                }
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if out.is_empty() { "/".to_owned() } else { out }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn normal(path: &str) -> String {
        normalize(path).unwrap().unwrap_or_else(|| path.to_owned())
    }

    #[test]
    fn normal_paths_are_left_alone() {
        for path in ["/", "/a", "/a/b.c", "/a//b", "/a/b/", "/x~y", "/a..b", "//", "/a.", "*", ""] {
            assert_eq!(normalize(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn dot_segments_are_resolved() {
        for (path, expected) in [
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/.", "/"),
            ("/a/b/../../../c", "/c"),
            ("/a//../b", "/a/b"),
            ("/.hidden/x", "/.hidden/x"),
            ("/a/...", "/a/..."),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn escapes_of_unreserved_characters_are_decoded_before_that() {
        for (path, expected) in [
            ("/public/%2e%2E/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/a%2fb", "/a%2fb"),
            ("/a%20b", "/a%20b"),
            ("/100%", "/100%"),
            ("/%zz/..", "/"),
            ("/%4", "/%4"),
            ("/%", "/%"),
            ("/a\\..\\b", "/b"),
            ("\\a", "/a"),
        ] {
            assert_eq!(normal(path), expected, "{path}");
        }
    }

    #[test]
    fn an_escaped_nul_is_refused() {
        assert_eq!(normalize("/a%00b"), Err(NotNormal));
    }

    const PLAIN: PathRules =
        PathRules { normalize: true, merge_slashes: false, escaped_slashes: EscapedSlashes::KeepUnchanged };

    #[test]
    fn the_rules_are_followed_in_order() {
        let apply = |rules: PathRules, path| {
            rules.apply(path).map(|changed| changed.map(|changed| (changed.path, changed.redirect)))
        };
        let to = |path: &str, redirect| Ok(Some((path.to_owned(), redirect)));
        assert_eq!(apply(PLAIN, "/a%2fb//c"), Ok(None));
        assert_eq!(apply(PLAIN, "/a/../b"), to("/b", false));
        let off = PathRules { normalize: false, ..PLAIN };
        assert_eq!(apply(off, "/a/../b%00"), Ok(None));
        let merging = PathRules { merge_slashes: true, ..PLAIN };
        assert_eq!(apply(merging, "//a///b/"), to("/a/b/", false));
        assert_eq!(apply(merging, "/a//../b"), to("/a/b", false));
        assert_eq!(apply(merging, "/a/b"), Ok(None));
        let escaped = |escaped_slashes| PathRules { escaped_slashes, ..merging };
        assert_eq!(apply(escaped(EscapedSlashes::RejectRequest), "/a%2Fb"), Err(NotNormal));
        assert_eq!(apply(escaped(EscapedSlashes::RejectRequest), "/a%20b%"), Ok(None));
        assert_eq!(
            apply(escaped(EscapedSlashes::UnescapeAndForward), "/a%2f%5C..%5cb%2"),
            to("/a/b%2", false)
        );
        assert_eq!(apply(escaped(EscapedSlashes::UnescapeAndRedirect), "/a%5cb"), to("/a/b", true));
        assert_eq!(apply(escaped(EscapedSlashes::UnescapeAndRedirect), "/a/../b"), to("/b", false));
        assert_eq!(
            apply(PathRules { normalize: false, ..escaped(EscapedSlashes::UnescapeAndForward) }, "/%252f"),
            Ok(None)
        );
    }

    #[test]
    fn nothing_that_is_merged_or_unescaped_is_left() {
        let mut rng = fastrand::Rng::with_seed(2);
        let alphabet = ["/", "..", "%2e", "%2F", "%5C", "%2f", "%", "a", "\\", "\u{e9}"];
        for _ in 0..20_000 {
            let path: String = std::iter::once("/")
                .chain((0..rng.usize(..12)).map(|_| alphabet[rng.usize(..alphabet.len())]))
                .collect();
            if let Some(merged) = merge_slashes(&path) {
                assert!(!merged.contains("//"), "{path} → {merged}");
            }
            let unescaped = unescape_slashes(&path);
            let has = ["%2f", "%2F", "%5c", "%5C"].iter().any(|escape| path.contains(escape));
            assert_eq!(unescaped.is_some(), has, "{path}");
            if let Some(unescaped) = unescaped {
                let expected = path.replace("%2f", "/").replace("%2F", "/");
                assert_eq!(unescaped, expected.replace("%5c", "\\").replace("%5C", "\\"));
            }
        }
    }

    #[test]
    fn the_normal_form_is_normal() {
        let mut rng = fastrand::Rng::with_seed(1);
        let alphabet = ["/", ".", "..", "%2e", "%2F", "%", "a", "\\", "%41", "b"];
        for _ in 0..20_000 {
            let path: String = std::iter::once("/")
                .chain((0..rng.usize(..12)).map(|_| alphabet[rng.usize(..alphabet.len())]))
                .collect();
            let once = normal(&path);
            // `%%2e`-like texts may become an escape; only dot segments must be gone for good.
            assert!(once.starts_with('/'), "{path} → {once}");
            assert!(!once.contains('\\'), "{path} → {once}");
            assert!(once.split('/').all(|segment| segment != "." && segment != ".."), "{path} → {once}");
        }
    }
}
