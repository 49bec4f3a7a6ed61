//! The head of a response.

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use httparse::{ParserConfig, Status};

use super::decode::Decoder;

/// More fields are refused; Envoy has 100.
const MAX_FIELDS: usize = 128;
/// A longer head is refused; Envoy has 60 KiB.
pub(super) const MAX_HEAD: usize = 64 * 1024;

/// The head of a response.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// How the body is delimited.
    pub(super) body: Decoder,
    /// May the connection be used again after it?
    pub(super) keep_alive: bool,
}

impl Head {
    /// Does the connection belong to another protocol now?
    pub(super) fn switches(&self, method: &Method) -> bool {
        self.status == StatusCode::SWITCHING_PROTOCOLS
            || (*method == Method::CONNECT && self.status.is_success())
    }
}

/// Why a head is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("malformed head: {0}")]
    Syntax(httparse::Error),
    #[error("malformed field or status")]
    Field,
    #[error("the head is longer than 64 KiB")]
    TooLong,
    #[error("malformed or contradictory content-length")]
    ContentLength,
    #[error("a transfer-encoding other than chunked")]
    TransferEncoding,
}

/// Takes a head from the buffer; `None` when it is not complete yet.
pub(super) fn parse(buffer: &mut Bytes, method: &Method) -> Result<Option<Head>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, buffer, &mut fields);
    let length = match status.map_err(Malformed::Syntax)? {
        Status::Complete(length) if length <= MAX_HEAD => length,
        Status::Partial if buffer.len() < MAX_HEAD => return Ok(None),
        Status::Complete(_) | Status::Partial => return Err(Malformed::TooLong),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or(Malformed::Field)?;
    let version = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    let mut length_of_body = None;
    let mut facts = Facts::default();
    let mut headers = HeaderMap::with_capacity(parsed.headers.len());
    for field in &*parsed.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Field)?;
        let value = buffer.slice_ref(field.value);
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Malformed::Field)?;
        if name == CONTENT_LENGTH {
            // Equal ones are one (RFC 9110 section 8.6).
            if facts.content_length(&value)? == length_of_body {
                continue;
            }
            length_of_body = facts.length;
        } else if name == TRANSFER_ENCODING {
            facts.transfer_encoding(&value)?;
        } else if name == CONNECTION {
            facts.connection(&value);
        }
        headers.append(name, value);
    }
    buffer.advance(length);
    facts.into_head(status, version, headers, method).map(Some)
}

/// What the fields say about the body and the connection.
#[derive(Default)]
struct Facts {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Facts {
    fn content_length(&mut self, value: &HeaderValue) -> Result<Option<u64>, Malformed> {
        for part in value.as_bytes().split(|byte| *byte == b',') {
            let part = part.trim_ascii();
            // `parse` would take a sign.
            if part.is_empty() || !part.iter().all(u8::is_ascii_digit) {
                return Err(Malformed::ContentLength);
            }
            let text = std::str::from_utf8(part).map_err(|_| Malformed::ContentLength)?;
            let length = text.parse().map_err(|_| Malformed::ContentLength)?;
            if self.length.is_some_and(|before| before != length) {
                return Err(Malformed::ContentLength);
            }
            self.length = Some(length);
        }
        Ok(self.length)
    }

    fn transfer_encoding(&mut self, value: &HeaderValue) -> Result<(), Malformed> {
        // Any other coding would reach the client without its name. Twice chunked is an error, too.
        if self.chunked || !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        self.chunked = true;
        Ok(())
    }

    fn connection(&mut self, value: &HeaderValue) {
        for option in value.as_bytes().split(|byte| *byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112 sections 6.3 and 9.3.
    fn into_head(
        self,
        status: StatusCode,
        version: Version,
        mut headers: HeaderMap,
        method: &Method,
    ) -> Result<Head, Malformed> {
        let old = version == Version::HTTP_10;
        if self.chunked && old {
            return Err(Malformed::TransferEncoding);
        }
        let mut keep_alive = !self.close && (!old || self.keep_alive);
        if self.chunked && self.length.is_some() {
            // The length is not to be believed, and the peer not to be trusted with another request.
            headers.remove(CONTENT_LENGTH);
            keep_alive = false;
        }
        let nothing = *method == Method::HEAD
            || status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let body = match self.length {
            _ if nothing => Decoder::length(0),
            _ if self.chunked => Decoder::chunked(),
            Some(length) => Decoder::length(length),
            None => {
                keep_alive = false;
                Decoder::until_close()
            }
        };
        Ok(Head { status, version, headers, body, keep_alive })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use proptest::prelude::{any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn parsed(text: &str) -> Result<Option<Head>, Malformed> {
        parse(&mut Bytes::copy_from_slice(text.as_bytes()), &Method::GET)
    }

    fn framing(method: &Method, text: &str) -> (Decoder, bool) {
        let head = parse(&mut Bytes::copy_from_slice(text.as_bytes()), method).unwrap().unwrap();
        (head.body, head.keep_alive)
    }

    #[test]
    fn a_head_is_taken_and_the_rest_stays() {
        let text = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nset-cookie: a=1\r\nSet-Cookie: b=2\r\ncontent-length: 3\r\n\r\nabc";
        let mut buffer = Bytes::from_static(text.as_bytes());
        let head = parse(&mut buffer, &Method::GET).unwrap().unwrap();
        assert_eq!(buffer, "abc");
        assert_eq!((head.status, head.version), (StatusCode::OK, Version::HTTP_11));
        assert_eq!(head.headers["content-type"], "text/plain");
        let cookies: Vec<_> = head.headers.get_all("set-cookie").iter().collect();
        assert_eq!(cookies, ["a=1", "b=2"]);
        assert_eq!((head.body, head.keep_alive), (Decoder::Length(3), true));
    }

    #[test]
    fn how_the_body_ends() {
        let until_close = (Decoder::UntilClose, false);
        let chunked = Decoder::chunked();
        for (fields, expected) in [
            ("", until_close),
            ("content-length: 5\r\n", (Decoder::Length(5), true)),
            ("content-length: 5, 5\r\n", (Decoder::Length(5), true)),
            ("content-length: 5\r\ncontent-length: 5\r\n", (Decoder::Length(5), true)),
            ("content-length: 5\r\nconnection: close\r\n", (Decoder::Length(5), false)),
            ("content-length: 5\r\nconnection: x, Close\r\n", (Decoder::Length(5), false)),
            ("transfer-encoding: chunked\r\n", (chunked, true)),
            ("Transfer-Encoding:  Chunked \r\n", (chunked, true)),
            // Somebody else may go by the length: not a connection to use again.
            ("transfer-encoding: chunked\r\ncontent-length: 5\r\n", (chunked, false)),
            ("content-length: 5\r\ntransfer-encoding: chunked\r\n", (chunked, false)),
        ] {
            assert_eq!(
                framing(&Method::GET, &format!("HTTP/1.1 200 OK\r\n{fields}\r\n")),
                expected,
                "{fields}"
            );
        }
        let nothing = (Decoder::Length(0), true);
        let length = "content-length: 5\r\n\r\n";
        assert_eq!(framing(&Method::HEAD, &format!("HTTP/1.1 200 OK\r\n{length}")), nothing);
        for status in [100, 103, 204, 304] {
            assert_eq!(
                framing(&Method::GET, &format!("HTTP/1.1 {status} x\r\n{length}")),
                nothing,
                "{status}"
            );
            assert_eq!(framing(&Method::GET, &format!("HTTP/1.1 {status} x\r\n\r\n")), nothing, "{status}");
        }
    }

    #[test]
    fn http_1_0_closes_unless_it_says_otherwise() {
        let of = |fields: &str| framing(&Method::GET, &format!("HTTP/1.0 200 OK\r\n{fields}\r\n"));
        assert_eq!(of(""), (Decoder::UntilClose, false));
        assert_eq!(of("content-length: 5\r\n"), (Decoder::Length(5), false));
        assert_eq!(of("content-length: 5\r\nConnection: Keep-Alive\r\n"), (Decoder::Length(5), true));
    }

    #[test]
    fn a_length_that_is_overruled_is_not_passed_on() {
        let both = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
        assert!(!parsed(both).unwrap().unwrap().headers.contains_key(CONTENT_LENGTH));
        let twice = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n";
        assert_eq!(parsed(twice).unwrap().unwrap().headers.get_all(CONTENT_LENGTH).iter().count(), 1);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (fields, error) in [
            ("content-length: 5\r\ncontent-length: 6\r\n", Malformed::ContentLength),
            ("content-length: 5, 6\r\n", Malformed::ContentLength),
            ("content-length: +5\r\n", Malformed::ContentLength),
            ("content-length: -5\r\n", Malformed::ContentLength),
            ("content-length: 0x5\r\n", Malformed::ContentLength),
            ("content-length: 5,\r\n", Malformed::ContentLength),
            ("content-length:\r\n", Malformed::ContentLength),
            ("content-length: 18446744073709551616\r\n", Malformed::ContentLength),
            ("transfer-encoding: gzip, chunked\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: identity\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Malformed::TransferEncoding),
            ("transfer-encoding: xchunked\r\n", Malformed::TransferEncoding),
        ] {
            assert_eq!(parsed(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).unwrap_err(), error, "{fields}");
        }
        let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        assert_eq!(parsed(old).unwrap_err(), Malformed::TransferEncoding);
        for text in [
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 20 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n",
            "HTTP/1.1 200 OK\r\na : b\r\n\r\n",
            "HTTP/1.1 200 OK\r\na: b\0\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n",
        ] {
            assert!(matches!(parsed(text), Err(Malformed::Syntax(_))), "{text:?}: {:?}", parsed(text));
        }
        assert_eq!(parsed("HTTP/1.1 099 x\r\n\r\n").unwrap_err(), Malformed::Field);
    }

    #[test]
    fn a_head_has_a_limit() {
        let long = format!("HTTP/1.1 200 OK\r\na: {}", "x".repeat(MAX_HEAD));
        assert_eq!(parsed(&long).unwrap_err(), Malformed::TooLong);
        assert_eq!(parsed(&(long + "\r\n\r\n")).unwrap_err(), Malformed::TooLong);
        let many = "a: b\r\n".repeat(MAX_FIELDS + 1);
        let many = parsed(&format!("HTTP/1.1 200 OK\r\n{many}\r\n")).unwrap_err();
        assert_eq!(many, Malformed::Syntax(httparse::Error::TooManyHeaders));
    }

    proptest! {
        #[test]
        fn a_head_in_pieces_is_the_same_head(
            fields in prop::collection::vec(("[a-z][a-z0-9-]{0,20}", "[!-~]([ -~]{0,40}[!-~])?"), 0..20),
        ) {
            let lines: String = fields.iter().map(|(name, value)| format!("x-{name}: {value}\r\n")).collect();
            let text = format!("HTTP/1.1 200 OK\r\n{lines}content-length: 1\r\n\r\nb");
            for end in 0..text.len() - 1 {
                prop_assert!(parsed(&text[..end]).unwrap().is_none(), "{end}");
            }
            let head = parsed(&text).unwrap().unwrap();
            prop_assert_eq!(head.body, Decoder::Length(1));
            for (name, value) in &fields {
                let all = head.headers.get_all(format!("x-{name}"));
                prop_assert!(all.iter().any(|got| got == value), "{name}");
            }
            prop_assert_eq!(head.headers.len(), fields.len() + 1);
        }

        #[test]
        fn garbage_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..200), status: bool) {
            let mut text = if status { b"HTTP/1.1 200 OK\r\n".to_vec() } else { Vec::new() };
            text.extend(bytes);
            let _ = parse(&mut Bytes::from(text), &Method::GET);
        }
    }
}
