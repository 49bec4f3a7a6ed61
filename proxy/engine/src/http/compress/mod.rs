//! Compression of responses (Envoy's `compressor` filters, its response direction).
//!
//! 1. `accept`: which content coding the client wants.
//! 2. here: may this response be compressed, and what its head says then.
//! 3. `encoder`, `encoded`: its body.

mod accept;
mod encoded;
mod encoder;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use postern_snapshot::model::{self, CompressorLibrary};

pub(super) use encoded::Encoded;
pub(super) use encoder::Encoder;

use super::headers::has_token;
use accept::Choice;

/// Envoy's `content_type` where none is given.
const DEFAULT_CONTENT_TYPES: [&str; 8] = [
    "application/javascript",
    "application/json",
    "application/xhtml+xml",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/plain",
    "text/xml",
];
/// Envoy's `min_content_length` where none is given.
const DEFAULT_MIN_CONTENT_LENGTH: u64 = 30;

/// The compressors of a chain.
#[derive(Debug)]
pub(super) struct Compression {
    compressors: Box<[Compressor]>,
    /// The upstream does not get to see what the client accepts.
    pub(super) removes_accept_encoding: bool,
}

#[derive(Debug)]
struct Compressor {
    library: CompressorLibrary,
    min_content_length: u64,
    content_types: Box<[Box<str>]>,
    disable_on_etag_header: bool,
    choose_first: bool,
}

/// How long a response is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
    /// It ends with the connection or the stream.
    Unknown,
}

/// What decides about one response.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// What [`accept_encoding`] gave.
    pub(super) accept_encoding: Option<&'a HeaderValue>,
    pub(super) status: StatusCode,
    pub(super) length: Length,
    /// Not to HEAD, no 204 and no 304.
    pub(super) has_body: bool,
}

/// The `accept-encoding` of a request, its lines joined.
pub(super) fn accept_encoding(headers: &HeaderMap) -> Option<HeaderValue> {
    let mut lines = headers.get_all(header::ACCEPT_ENCODING).iter();
    let (first, second) = (lines.next()?, lines.next());
    if second.is_none() {
        return Some(first.clone());
    }
    let lines: Vec<&[u8]> =
        headers.get_all(header::ACCEPT_ENCODING).iter().map(HeaderValue::as_bytes).collect();
    HeaderValue::from_maybe_shared(Bytes::from(lines.join(&b','))).ok()
}

impl Compression {
    /// `None` without compressors.
    pub(super) fn compile(from: &[model::Compressor]) -> Option<Box<Self>> {
        (!from.is_empty()).then(|| {
            Box::new(Self {
                compressors: from.iter().map(Compressor::compile).collect(),
                removes_accept_encoding: from.iter().any(|one| one.remove_accept_encoding_header),
            })
        })
    }

    /// The encoder for a response, whose head says so from then on; `None`: it stays as it is.
    pub(super) fn begin(&self, headers: &mut HeaderMap, asked: Asked<'_>) -> Option<Encoder> {
        let is_compressible = |compressor: &&Compressor| compressor.is_compressible(headers, asked);
        let mut compressible = self.compressors.iter().filter(is_compressible).peekable();
        compressible.peek()?;
        let chosen = asked.accept_encoding.and_then(|accepted| self.choose(accepted, headers));
        let encoder = chosen.filter(|_| asked.has_body).and_then(|coding| {
            let compressor = compressible.find(|compressor| coding_of(compressor.library) == coding)?;
            // Only memory could be lacking.
            Encoder::new(compressor.library).ok().map(|encoder| (coding, encoder))
        });
        // Also where this client gets it as it is: another might not (RFC 9110 section 12.5.5).
        if !has_token(headers, &header::VARY, "accept-encoding") {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        let (coding, encoder) = encoder?;
        // What is compressed is another representation; a weak validator may be the same (RFC 9110 section 8.8.1).
        let is_strong = |etag: &HeaderValue| !matches!(etag.as_bytes(), [b'W' | b'w', b'/', ..]);
        if headers.get(header::ETAG).is_some_and(is_strong) {
            headers.remove(header::ETAG);
        }
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::ACCEPT_RANGES);
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        Some(encoder)
    }

    /// The coding that suits the client best, of those that are for responses of this type.
    fn choose(&self, accepted: &HeaderValue, headers: &HeaderMap) -> Option<&'static str> {
        let content_type = content_type(headers);
        let mut offered = Vec::with_capacity(self.compressors.len());
        let mut first = None;
        for compressor in &self.compressors {
            if !compressor.is_for(content_type) {
                continue;
            }
            let coding = coding_of(compressor.library);
            if !offered.contains(&coding) {
                offered.push(coding);
            }
            if compressor.choose_first {
                first = Some(coding);
            }
        }
        Choice { offered, first }.among(accepted.to_str().ok()?)
    }
}

impl Compressor {
    fn compile(from: &model::Compressor) -> Self {
        let content_types = match from.content_types.as_slice() {
            [] => DEFAULT_CONTENT_TYPES.iter().map(|name| (*name).into()).collect(),
            types => types.iter().map(|name| name.as_str().into()).collect(),
        };
        Self {
            library: from.library,
            min_content_length: from.min_content_length.map_or(DEFAULT_MIN_CONTENT_LENGTH, u64::from),
            content_types,
            disable_on_etag_header: from.disable_on_etag_header,
            choose_first: from.choose_first,
        }
    }

    /// Whatever the client accepts.
    fn is_compressible(&self, headers: &HeaderMap, asked: Asked<'_>) -> bool {
        let is_long = match asked.length {
            Length::Bytes(length) => length >= self.min_content_length,
            Length::Chunked => true,
            Length::Unknown => false,
        };
        is_long
            && asked.status != StatusCode::PARTIAL_CONTENT
            && !headers.contains_key(header::CONTENT_ENCODING)
            && !(self.disable_on_etag_header && headers.contains_key(header::ETAG))
            && !has_token(headers, &header::CACHE_CONTROL, "no-transform")
            && self.is_for(content_type(headers))
    }

    fn is_for(&self, content_type: Option<&str>) -> bool {
        content_type
            .is_none_or(|found| self.content_types.iter().any(|name| name.eq_ignore_ascii_case(found)))
    }
}

/// Without parameters.
fn content_type(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    value.split(';').next().map(str::trim).filter(|name| !name.is_empty())
}

/// Its name in HTTP.
const fn coding_of(library: CompressorLibrary) -> &'static str {
    match library {
        CompressorLibrary::Gzip { .. } => "gzip",
        CompressorLibrary::Brotli { .. } => "br",
        CompressorLibrary::Zstd { .. } => "zstd",
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
