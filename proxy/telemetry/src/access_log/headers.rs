//! Header values for the log, from a whole map or from the few values that were kept.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The values of those headers that a format prints, kept while the message itself moves on.
///
/// Made by [`Format::capture_request`](super::Format::capture_request) and its siblings; cloning a
/// header value copies no bytes. Only the format that captured them can read them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapturedHeaders(Vec<Option<HeaderValue>>);

impl CapturedHeaders {
    pub(super) fn capture(names: &[HeaderName], headers: &HeaderMap) -> Self {
        Self(names.iter().map(|name| headers.get(name).cloned()).collect())
    }
}

/// Where the log looks up header values. Of a header that occurs several times, the first value is
/// logged, as Envoy does.
#[derive(Debug, Clone, Copy, Default)]
pub enum HeaderSource<'a> {
    /// There are no headers.
    #[default]
    None,
    /// All headers of the message.
    Map(&'a HeaderMap),
    /// What the entry's format captured.
    Captured(&'a CapturedHeaders),
}

impl<'a> HeaderSource<'a> {
    /// The value of the header `name`, which is the `slot`th of those that the format prints.
    pub(super) fn get(self, name: &HeaderName, slot: usize) -> Option<&'a [u8]> {
        match self {
            Self::None => None,
            Self::Map(map) => map.get(name).map(HeaderValue::as_bytes),
            Self::Captured(captured) => {
                captured.0.get(slot).and_then(Option::as_ref).map(HeaderValue::as_bytes)
            }
        }
    }
}

impl<'a> From<&'a HeaderMap> for HeaderSource<'a> {
    fn from(map: &'a HeaderMap) -> Self {
        Self::Map(map)
    }
}

impl<'a> From<&'a CapturedHeaders> for HeaderSource<'a> {
    fn from(captured: &'a CapturedHeaders) -> Self {
        Self::Captured(captured)
    }
}
