//! The head of a request.

use std::io::Write as _;

use http::{HeaderMap, HeaderName, Method, header, request};
use hyper::body::Body;

/// How a request's body is delimited (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    Nothing,
    /// It has this many bytes.
    Length(u64),
    /// It is as long as it turns out to be.
    Chunked,
}

impl Framing {
    /// What is right for this body. A length that the body does not know is taken from the head.
    pub(super) fn of<B: Body>(headers: &HeaderMap, body: &B) -> Self {
        let exact = body.size_hint().exact();
        if body.is_end_stream() || exact == Some(0) {
            return Self::Nothing;
        }
        exact.or_else(|| content_length(headers)).map_or(Self::Chunked, Self::Length)
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Writes the head. What it says about the length of the body comes from `framing` alone: two opinions on that are
/// what request smuggling is made of.
pub(super) fn encode(head: &request::Parts, framing: Framing, out: &mut Vec<u8>) {
    // Seldom too little, so that it grows once instead of at each doubling.
    let path = head.uri.path_and_query().map_or(0, |path| path.as_str().len());
    out.reserve(64 + path + head.headers.len() * 56);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    target(head, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let mut told_length = false;
    for (name, value) in &head.headers {
        if *name == header::CONTENT_LENGTH {
            told_length = true;
        } else if *name != header::TRANSFER_ENCODING {
            field(name, value.as_bytes(), out);
        }
    }
    match framing {
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Length(length) => content_length_field(length, out),
        // A server may want to know that there is none (RFC 9110 section 8.6).
        Framing::Nothing if told_length || has_content(&head.method) => content_length_field(0, out),
        Framing::Nothing => {}
    }
    out.extend_from_slice(b"\r\n");
}

/// RFC 9112 section 3.2.
fn target(head: &request::Parts, out: &mut Vec<u8>) {
    let target = match head.uri.authority() {
        Some(authority) if head.method == Method::CONNECT => authority.as_str(),
        _ => head.uri.path_and_query().map_or("/", |path| path.as_str()),
    };
    if target.starts_with('?') {
        out.push(b'/');
    }
    out.extend_from_slice(target.as_bytes());
}

/// Do requests with this method usually have content?
fn has_content(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

fn content_length_field(length: u64, out: &mut Vec<u8>) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "content-length: {length}\r\n");
}

pub(super) fn field(name: &HeaderName, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_str().as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// Does this field have no place in trailers (RFC 9110 section 6.5.1)?
pub(super) fn is_forbidden_in_trailers(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::TRAILER
            | header::TE
            | header::HOST
            | header::CONNECTION
            | header::CONTENT_ENCODING
            | header::CONTENT_TYPE
            | header::CONTENT_RANGE
            | header::AUTHORIZATION
            | header::COOKIE
            | header::SET_COOKIE
            | header::CACHE_CONTROL
            | header::MAX_FORWARDS
            | header::UPGRADE
    )
}

/// Is it harmless when the server gets it twice (RFC 9110 section 9.2.2)?
pub(super) fn is_idempotent(method: &Method) -> bool {
    method.is_safe() || matches!(*method, Method::PUT | Method::DELETE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use http::Request;
    use http_body_util::{Empty, Full};

    use super::*;

    fn encoded<B: Body>(request: Request<B>) -> String {
        let (head, body) = request.into_parts();
        let mut out = Vec::new();
        encode(&head, Framing::of(&head.headers, &body), &mut out);
        String::from_utf8(out).unwrap()
    }

    fn empty() -> Empty<Bytes> {
        Empty::new()
    }

    #[test]
    fn a_head_is_written_in_origin_form() {
        let request =
            Request::get("http://example.com/a%20b?c=d").header("Host", "example.com").header("x", "1");
        assert_eq!(
            encoded(request.header("x", "2").body(empty()).unwrap()),
            "GET /a%20b?c=d HTTP/1.1\r\nhost: example.com\r\nx: 1\r\nx: 2\r\n\r\n"
        );
        for (method, uri, target) in [
            ("GET", "/", "/"),
            ("GET", "http://example.com", "/"),
            ("GET", "http://example.com?a", "/?a"),
            ("OPTIONS", "*", "*"),
            ("CONNECT", "example.com:443", "example.com:443"),
        ] {
            let request = Request::builder().method(method).uri(uri).body(empty()).unwrap();
            assert_eq!(encoded(request), format!("{method} {target} HTTP/1.1\r\n\r\n"));
        }
    }

    #[test]
    fn the_body_alone_decides_about_its_length() {
        let request = |method: &str, fields: &[(&str, &str)]| {
            let builder = Request::builder().method(method).uri("/");
            fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value))
        };
        let fields = |text: String| text.split_once("\r\n").unwrap().1.to_owned();
        let full = |builder: http::request::Builder| {
            fields(encoded(builder.body(Full::<Bytes>::from("four")).unwrap()))
        };
        let none = |builder: http::request::Builder| fields(encoded(builder.body(empty()).unwrap()));
        assert_eq!(full(request("POST", &[])), "content-length: 4\r\n\r\n");
        for contradiction in [("content-length", "7"), ("transfer-encoding", "chunked")] {
            assert_eq!(full(request("POST", &[contradiction])), "content-length: 4\r\n\r\n");
        }
        assert_eq!(none(request("GET", &[])), "\r\n");
        assert_eq!(none(request("GET", &[("transfer-encoding", "chunked")])), "\r\n");
        assert_eq!(none(request("GET", &[("content-length", "0")])), "content-length: 0\r\n\r\n");
        assert_eq!(none(request("POST", &[])), "content-length: 0\r\n\r\n");
    }
}
