//! Answers to what went wrong. gRPC calls get theirs as a gRPC status.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use postern_telemetry::{GrpcStatus, Reason, ResetReason};

use super::{
    body::ResponseBody,
    deadline::TimedOut,
    exchange::Exchange,
    headers::{GRPC_MESSAGE, GRPC_STATUS, X_ENVOY_OVERLOADED},
    rate_limit::RateLimit,
    respond,
};

/// An answer that the proxy makes because of what went wrong.
#[derive(Debug)]
pub(super) struct LocalReply {
    reason: Reason,
    status: StatusCode,
    body: Bytes,
    /// The connection cannot be used any more.
    close: bool,
    /// The limit that refused the request.
    limit: Option<Arc<RateLimit>>,
}

impl LocalReply {
    pub(super) fn new(reason: Reason) -> Self {
        let status = reason.status().and_then(|status| StatusCode::from_u16(status).ok());
        Self {
            reason,
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            body: body(reason),
            close: false,
            limit: None,
        }
    }

    /// Because a time limit was reached.
    pub(super) fn timed_out(limit: TimedOut) -> Self {
        match limit {
            TimedOut::Route => Self::new(Reason::ResponseTimeout),
            TimedOut::Try => Self::new(Reason::UpstreamPerTryTimeout),
            TimedOut::Stream(reason) => Self::new(reason).and_close(),
        }
    }

    /// With another status than the reason's.
    pub(super) const fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Of a request that a limit refuses.
    pub(super) fn rate_limited(limit: Arc<RateLimit>) -> Self {
        Self { status: limit.status, limit: Some(limit), ..Self::new(Reason::RateLimited) }
    }

    /// Closes the connection after it.
    pub(super) const fn and_close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Says more about why the upstream could not be reached (Envoy).
    pub(super) fn with_transport_failure(mut self, why: &str) -> Self {
        if !self.body.is_empty() {
            let text = String::from_utf8_lossy(&self.body);
            self.body = Bytes::from(format!("{text}, transport failure reason: {why}"));
        }
        self
    }
}

/// Envoy's texts.
fn body(reason: Reason) -> Bytes {
    match reason {
        Reason::NoHealthyUpstream => Bytes::from_static(b"no healthy upstream"),
        Reason::ResponseTimeout | Reason::UpstreamPerTryTimeout => {
            Bytes::from_static(b"upstream request timeout")
        }
        Reason::UpstreamResetBeforeResponse(reset) => reset_body(reset),
        Reason::StreamIdleTimeout => Bytes::from_static(b"stream timeout"),
        Reason::RequestTimeout => Bytes::from_static(b"request timeout"),
        Reason::RateLimited => Bytes::from_static(b"local_rate_limited"),
        Reason::RequestPayloadTooLarge => Bytes::from_static(b"Payload Too Large"),
        _ => Bytes::new(),
    }
}

fn reset_body(reset: ResetReason) -> Bytes {
    const BEFORE: &str = "upstream connect error or disconnect/reset before headers. reset reason: ";
    Bytes::from([BEFORE, reset.description()].concat())
}

/// Answers because of what went wrong.
pub(super) fn reply(mut exchange: Box<Exchange>, reply: LocalReply) -> Response<ResponseBody> {
    let mut headers = HeaderMap::with_capacity(8);
    exchange.reason = reply.reason;
    if reply.close && exchange.version < http::Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(limit) = &reply.limit {
        limit.add_headers(&mut headers);
    }
    if reply.reason == Reason::UpstreamResetBeforeResponse(ResetReason::Overflow) {
        headers.insert(X_ENVOY_OVERLOADED, HeaderValue::from_static("true"));
    }
    if exchange.grpc {
        let exhausted = reply.limit.as_ref().is_some_and(|limit| limit.resource_exhausted);
        let code =
            if exhausted { RESOURCE_EXHAUSTED } else { GrpcStatus::from_http(reply.status.as_u16()).code() };
        return reply_grpc(exchange, headers, code, &reply.body);
    }
    if !reply.body.is_empty() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    }
    respond::finish_locally(exchange, reply.status, headers, reply.body)
}

/// The gRPC status of that name.
const RESOURCE_EXHAUSTED: u8 = 8;

/// A response of headers only ("Trailers-Only" in gRPC over HTTP/2), with HTTP status 200.
fn reply_grpc(
    exchange: Box<Exchange>,
    mut headers: HeaderMap,
    code: u8,
    message: &[u8],
) -> Response<ResponseBody> {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_STATUS, HeaderValue::from(u16::from(code)));
    if let Some(message) = grpc_message(message) {
        headers.insert(GRPC_MESSAGE, message);
    }
    respond::finish_locally(exchange, StatusCode::OK, headers, Bytes::new())
}

/// Percent-encoded as gRPC over HTTP/2 says: all but printable ASCII, and `%`.
fn grpc_message(message: &[u8]) -> Option<HeaderValue> {
    if message.is_empty() {
        return None;
    }
    let mut out = String::with_capacity(message.len());
    for &byte in message {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    HeaderValue::from_maybe_shared(Bytes::from(out)).ok()
}

/// For a route that could not be compiled, or whose answer cannot be made.
pub(super) fn refused(exchange: Box<Exchange>) -> Response<ResponseBody> {
    let error = LocalReply::new(Reason::DirectResponse).with_status(StatusCode::INTERNAL_SERVER_ERROR);
    reply(exchange, error)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn texts_and_statuses_are_envoys() {
        let refused = Reason::UpstreamResetBeforeResponse(ResetReason::RemoteConnectionFailure);
        let reply = LocalReply::new(refused).with_transport_failure("refused");
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(
            reply.body,
            "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure, \
             transport failure reason: refused"
        );
        assert_eq!(LocalReply::new(Reason::RouteNotFound).body, "");
        assert_eq!(LocalReply::new(Reason::NoHealthyUpstream).body, "no healthy upstream");
    }

    #[test]
    fn grpc_messages_are_escaped() {
        assert_eq!(grpc_message("a%b\n".as_bytes()).unwrap(), "a%25b%0A");
        assert_eq!(grpc_message(b""), None);
    }
}
