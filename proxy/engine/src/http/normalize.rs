//! The path of a request in its normal form: what is compared with routes, and what the upstream gets.
//!
//! Istio's default (`pathNormalization: BASE`, Envoy's `normalize_path`): RFC 3986 section 6.2.2.2 and 6.2.2.3, and
//! `\` counts as `/`. Repeated slashes and escaped slashes stay. Without it, `/public/%2e%2e/admin` would pass a route
//! for `/public` and be `/admin` to the upstream.

/// A path that has no normal form: it holds an escaped NUL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotNormal;

/// The normal form; `None` when the path has it already, as nearly all have.
///
/// # Errors
/// It holds an escaped NUL (Envoy refuses it too).
pub(super) fn normalize(path: &str) -> Result<Option<String>, NotNormal> {
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
