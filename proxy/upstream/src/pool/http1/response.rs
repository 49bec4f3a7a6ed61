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
