//! Fields of a head that need care: found in one pass, and removed where they end with this hop (RFC 9110 section 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(super) const X_FORWARDED_CLIENT_CERT: HeaderName = HeaderName::from_static("x-forwarded-client-cert");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const X_ENVOY_ATTEMPT_COUNT: HeaderName = HeaderName::from_static("x-envoy-attempt-count");
pub(super) const X_ENVOY_EXTERNAL_ADDRESS: HeaderName = HeaderName::from_static("x-envoy-external-address");
pub(super) const X_ENVOY_ORIGINAL_PATH: HeaderName = HeaderName::from_static("x-envoy-original-path");
pub(super) const X_ENVOY_OVERLOADED: HeaderName = HeaderName::from_static("x-envoy-overloaded");
pub(super) const X_RATELIMIT_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
pub(super) const X_RATELIMIT_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
pub(super) const X_RATELIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
pub(super) const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
pub(super) const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");
const TRAILERS: HeaderValue = HeaderValue::from_static("trailers");

/// Which fields of interest a head has. Most heads have few of them, so that most look-ups and removals can be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen(u32);

impl Seen {
    pub(super) const CONNECTION: u32 = 1;
    pub(super) const TE: u32 = 1 << 1;
    pub(super) const TRANSFER_ENCODING: u32 = 1 << 2;
    pub(super) const UPGRADE: u32 = 1 << 3;
    pub(super) const HOST: u32 = 1 << 4;
    pub(super) const EXPECT: u32 = 1 << 5;
    pub(super) const CONTENT_TYPE: u32 = 1 << 6;
    pub(super) const COOKIE: u32 = 1 << 7;
    pub(super) const SERVER: u32 = 1 << 8;
    /// `keep-alive`, `proxy-connection` or `http2-settings`.
    pub(super) const OLD_HOP_BY_HOP: u32 = 1 << 9;
    pub(super) const FORWARDED_FOR: u32 = 1 << 10;
    pub(super) const FORWARDED_PROTO: u32 = 1 << 11;
    pub(super) const FORWARDED_HOST: u32 = 1 << 12;
    pub(super) const CLIENT_CERT: u32 = 1 << 13;
    pub(super) const ENVOY: u32 = 1 << 14;
    pub(super) const GRPC_STATUS: u32 = 1 << 15;
    /// What ends with this hop, whatever its value.
    const HOP_BY_HOP: u32 =
        Self::CONNECTION | Self::TE | Self::TRANSFER_ENCODING | Self::UPGRADE | Self::OLD_HOP_BY_HOP;

    /// Looks at each name once.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.keys().fold(0, |seen, name| seen | Self::of_name(name)))
    }

    fn of_name(name: &HeaderName) -> u32 {
        match *name {
            header::CONNECTION => Self::CONNECTION,
            header::TE => Self::TE,
            header::TRANSFER_ENCODING => Self::TRANSFER_ENCODING,
            header::UPGRADE => Self::UPGRADE,
            header::HOST => Self::HOST,
            header::EXPECT => Self::EXPECT,
            header::CONTENT_TYPE => Self::CONTENT_TYPE,
            header::COOKIE => Self::COOKIE,
            header::SERVER => Self::SERVER,
            _ => Self::of_custom_name(name.as_str()),
        }
    }

    fn of_custom_name(name: &str) -> u32 {
        match name.as_bytes() {
            [b'x', b'-', b'e', b'n', b'v', b'o', b'y', b'-', ..] => Self::ENVOY,
            b"x-forwarded-for" => Self::FORWARDED_FOR,
            b"x-forwarded-proto" => Self::FORWARDED_PROTO,
            b"x-forwarded-host" => Self::FORWARDED_HOST,
            b"x-forwarded-client-cert" => Self::CLIENT_CERT,
            b"grpc-status" => Self::GRPC_STATUS,
            b"keep-alive" | b"proxy-connection" | b"http2-settings" => Self::OLD_HOP_BY_HOP,
            _ => 0,
        }
    }

    /// Is one of these there?
    pub(super) const fn any(self, fields: u32) -> bool {
        self.0 & fields != 0
    }
}

/// Removes what ends with this hop, including what `connection` names. `te: trailers` stays, it is meant for all.
pub(super) fn remove_hop_by_hop(headers: &mut HeaderMap, seen: Seen) {
    if !seen.any(Seen::HOP_BY_HOP) {
        return;
    }
    if seen.any(Seen::CONNECTION) {
        remove_connection(headers);
    }
    if seen.any(Seen::TE) {
        let trailers = has_token(headers, &header::TE, "trailers");
        headers.remove(header::TE);
        if trailers {
            headers.insert(header::TE, TRAILERS);
        }
    }
    if seen.any(Seen::TRANSFER_ENCODING) {
        headers.remove(header::TRANSFER_ENCODING);
    }
    if seen.any(Seen::UPGRADE) {
        headers.remove(header::UPGRADE);
    }
    if seen.any(Seen::OLD_HOP_BY_HOP) {
        headers.remove(KEEP_ALIVE);
        headers.remove(PROXY_CONNECTION);
        headers.remove(HTTP2_SETTINGS);
    }
}

/// Removes `connection` and the fields that it names.
fn remove_connection(headers: &mut HeaderMap) {
    let header::Entry::Occupied(entry) = headers.entry(header::CONNECTION) else { return };
    let values: Vec<HeaderValue> = match entry.get().as_bytes() {
        // By far the most frequent; they name no field.
        b"keep-alive" | b"close" | b"Keep-Alive" if entry.iter().count() == 1 => Vec::new(),
        _ => entry.iter().cloned().collect(),
    };
    entry.remove();
    for name in values.iter().flat_map(tokens) {
        if is_nameable(name)
            && let Ok(name) = HeaderName::from_bytes(name.as_bytes())
        {
            headers.remove(name);
        }
    }
}

/// May `connection` name it? Not what frames or addresses the message: a client must not be able to take that away.
fn is_nameable(name: &str) -> bool {
    const NEVER: [&str; 6] = ["host", "content-length", "transfer-encoding", "te", "cache-control", "cookie"];
    !NEVER.iter().any(|never| never.eq_ignore_ascii_case(name))
}

/// Has a list field this token? ASCII case does not count.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers.get_all(name).iter().flat_map(tokens).any(|found| found.eq_ignore_ascii_case(token))
}

/// The elements of a list, without parameters and weights.
fn tokens(value: &HeaderValue) -> impl Iterator<Item = &str> {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(|element| element.split(';').next().unwrap_or(element).trim())
}

#[cfg(test)]
#[path = "headers_tests.rs"]
mod tests;
