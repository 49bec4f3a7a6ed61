//! The phase after [`forward`](super::forward): from an upstream's answer, or one made here, to what the client gets.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header, response};
use http_body::Body as _;
use postern_snapshot::model::ServerHeader;
use postern_telemetry::Reason;

use super::{
    body::{RequestBody, ResponseBody},
    compile::{Route, Target},
    compress::{Asked, Encoder, Length},
    deadline::Deadline,
    exchange::Exchange,
    headers::{self, Seen},
};

/// Passes an upstream's answer on.
pub(super) fn pass_on(
    mut exchange: Box<Exchange>,
    response: Response<postern_upstream::ResponseBody<RequestBody>>,
    seen: Seen,
    deadline: Option<Deadline>,
) -> Response<ResponseBody> {
    let (mut parts, body) = response.into_parts();
    headers::remove_hop_by_hop(&mut parts.headers, seen);
    finish_head(&mut exchange, &mut parts, seen);
    let is_chunked = seen.any(Seen::TRANSFER_ENCODING);
    let encoder = compress(&exchange, parts.status, &mut parts.headers, !body.is_end_stream(), |headers| {
        if is_chunked { Length::Chunked } else { content_length(headers) }
    });
    exchange.responded(parts.status.as_u16(), Reason::ViaUpstream, &parts.headers);
    let body = match encoder {
        None => ResponseBody::upstream(body, exchange, deadline),
        Some(encoder) => ResponseBody::encoded(body, encoder, exchange, deadline),
    };
    Response::from_parts(parts, body)
}

/// The encoder for a response, if it is compressed; its headers say so then.
fn compress(
    exchange: &Exchange,
    status: StatusCode,
    headers: &mut HeaderMap,
    has_body: bool,
    length: impl FnOnce(&HeaderMap) -> Length,
) -> Option<Encoder> {
    let compression = exchange.runtime.compression.as_deref()?;
    if exchange.route().is_some_and(|route| !route.compresses) {
        return None;
    }
    let length = length(headers);
    let accept_encoding = exchange.accept_encoding.as_ref();
    compression.begin(headers, Asked { accept_encoding, status, length, has_body })
}

fn content_length(headers: &HeaderMap) -> Length {
    let value = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.parse().ok()).map_or(Length::Unknown, Length::Bytes)
}

/// What every answer of an upstream goes through, also the one that switches protocols.
pub(super) fn finish_head(exchange: &mut Exchange, parts: &mut response::Parts, seen: Seen) {
    // hyper would write an upstream's HTTP/1.0 into the status line.
    parts.version = Version::HTTP_11;
    change_headers(&mut parts.headers, exchange.target(), exchange.route());
    tell_origin(exchange, &mut parts.headers);
    tell_limit(exchange, &mut parts.headers);
    match exchange.runtime.settings.server_header {
        ServerHeader::AppendIfAbsent if seen.any(Seen::SERVER) => {}
        ServerHeader::AppendIfAbsent | ServerHeader::Overwrite => add_server(exchange, &mut parts.headers),
        ServerHeader::PassThrough => {}
    }
    if parts.status != StatusCode::SWITCHING_PROTOCOLS {
        close_if_asked(exchange, &mut parts.headers);
    }
}

/// The target's changes, then the route's, then the virtual host's (the contract).
fn change_headers(headers: &mut HeaderMap, target: Option<&Target>, route: Option<&Route>) {
    if let Some(ops) = target.and_then(|target| target.response_headers.as_ref()) {
        ops.apply(headers);
    }
    if let Some(ops) = route.and_then(|route| route.response_headers.as_ref()) {
        ops.apply(headers);
    }
    if let Some(host) = route.and_then(|route| route.host.as_ref()) {
        host.response.apply(headers);
    }
}

/// Answers as the route says, with the route's header changes.
pub(super) fn locally(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    mut headers: HeaderMap,
    body: Bytes,
    route: Option<&Route>,
) -> Response<ResponseBody> {
    exchange.reason = Reason::DirectResponse;
    change_headers(&mut headers, None, route);
    finish_locally(exchange, status, headers, body)
}

/// Answers with this; the exchange has the reason.
pub(super) fn finish_locally(
    mut exchange: Box<Exchange>,
    status: StatusCode,
    mut headers: HeaderMap,
    mut body: Bytes,
) -> Response<ResponseBody> {
    if !body.is_empty() {
        body = compress_whole(&exchange, status, &mut headers, body);
    }
    tell_origin(&exchange, &mut headers);
    tell_limit(&exchange, &mut headers);
    add_server(&exchange, &mut headers);
    close_if_asked(&exchange, &mut headers);
    let reason = exchange.reason;
    exchange.responded(status.as_u16(), reason, &headers);
    let mut response = Response::new(ResponseBody::local(body, Some(exchange)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn compress_whole(exchange: &Exchange, status: StatusCode, headers: &mut HeaderMap, body: Bytes) -> Bytes {
    let length = Length::Bytes(body.len() as u64);
    let Some(encoder) = compress(exchange, status, headers, true, |_| length) else { return body };
    encoder.all(&body).unwrap_or_else(|_| {
        headers.remove(header::CONTENT_ENCODING);
        body
    })
}

/// After all other changes (Envoy).
fn tell_origin(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(cors) = exchange.route().and_then(|route| route.cors.as_ref()) {
        cors.tell(exchange.origin.as_ref(), headers);
    }
}

fn tell_limit(exchange: &Exchange, headers: &mut HeaderMap) {
    if let Some(told) = exchange.limit {
        told.add_headers(headers);
    }
}

fn add_server(exchange: &Exchange, headers: &mut HeaderMap) {
    headers.insert(header::SERVER, exchange.runtime.settings.server_name.clone());
}

/// HTTP/1.1 only; HTTP/2 says GOAWAY.
fn close_if_asked(exchange: &Exchange, headers: &mut HeaderMap) {
    if exchange.connection.is_closing() && exchange.version < Version::HTTP_2 {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
}
