//! The last phase: the finished exchange is counted, and logged if there is an access log.

use std::{sync::Arc, time::SystemTime};

use http::{HeaderMap, Method, request};
use postern_telemetry::{
    access_log::{CapturedHeaders, Entry, Format, HeaderSource},
    metrics::{RequestEnd, RequestProtocol},
};
use tokio::time::Instant;

use super::{exchange::Exchange, receive::Received};

/// What only the access log wants to know. It is gathered while the messages pass, since they move on.
#[derive(Debug)]
pub(super) struct LogFacts {
    /// The format that the headers were captured for.
    format: Arc<Format>,
    method: Method,
    authority: Box<str>,
    path: Box<str>,
    scheme: &'static str,
    client: std::net::IpAddr,
    request_headers: CapturedHeaders,
    response_headers: CapturedHeaders,
    response_trailers: CapturedHeaders,
    /// The path before a rewrite.
    original_path: Option<Box<str>>,
    /// When the head of the response was there, after the start.
    response_duration: Option<std::time::Duration>,
    /// When the try that was answered began, after the start.
    pub(super) sent: Option<std::time::Duration>,
    pub(super) transport_failure: Option<Box<str>>,
}

impl LogFacts {
    /// Looks at the request before it is changed for the upstream.
    pub(super) fn new(format: Arc<Format>, request: &request::Parts, received: &Received) -> Self {
        Self {
            request_headers: format.capture_request(&request.headers),
            method: request.method.clone(),
            authority: received.authority().into(),
            path: request.uri.path_and_query().map_or("", |path| path.as_str()).into(),
            scheme: received.client.scheme.as_str(),
            client: received.client.address,
            response_headers: CapturedHeaders::default(),
            response_trailers: CapturedHeaders::default(),
            original_path: None,
            response_duration: None,
            sent: None,
            transport_failure: None,
            format,
        }
    }

    pub(super) fn responded(&mut self, headers: &HeaderMap, started: Instant) {
        self.response_headers = self.format.capture_response(headers);
        self.response_duration = Some(started.elapsed());
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        self.response_trailers = self.format.capture_trailers(trailers);
    }

    pub(super) fn rewritten(&mut self, path: &str) {
        self.original_path = Some(std::mem::replace(&mut self.path, path.into()));
    }
}

/// Counts and logs a finished exchange.
pub(super) fn record(exchange: &Exchange, ended: Instant) {
    let (reason, flags) = exchange.outcome();
    let worker = &exchange.connection.worker;
    let target = exchange.target();
    let duration = ended.saturating_duration_since(exchange.started);
    worker.metrics.request(&RequestEnd {
        destination: target.map_or(&worker.unknown_destination, |target| &target.destination),
        protocol: if exchange.grpc { RequestProtocol::Grpc } else { RequestProtocol::Http },
        response_code: exchange.status,
        response_flags: flags,
        grpc_status: exchange.grpc_status,
        duration,
        request_bytes: exchange.received_bytes(),
        response_bytes: exchange.sent_bytes,
    });
    let Some(facts) = &exchange.log else { return };
    let info = &exchange.connection.info;
    let tls = info.tls.as_ref();
    let since_start = |at: Instant| at.saturating_duration_since(exchange.started);
    let request_ended = exchange.request_body.as_ref().map_or(Some(exchange.started), |body| body.ended());
    worker.access_log.record(
        &facts.format,
        &Entry {
            duration: Some(duration),
            request_duration: request_ended.map(since_start),
            response_duration: facts.response_duration,
            upstream_service_time: facts
                .response_duration
                .zip(facts.sent)
                .map(|(end, start)| end.saturating_sub(start)),
            protocol: Some(exchange.version),
            method: Some(facts.method.as_str()),
            path: Some(&facts.path),
            original_path: facts.original_path.as_deref(),
            authority: Some(&facts.authority),
            scheme: Some(facts.scheme),
            request_headers: HeaderSource::Captured(&facts.request_headers),
            response_headers: HeaderSource::Captured(&facts.response_headers),
            response_trailers: HeaderSource::Captured(&facts.response_trailers),
            response_code: exchange.status,
            reason: Some(reason),
            response_flags: flags,
            connection_termination_details: None,
            upstream_transport_failure_reason: facts.transport_failure.as_deref(),
            bytes_received: exchange.received_bytes(),
            bytes_sent: exchange.sent_bytes,
            upstream_host: exchange.upstream,
            upstream_cluster: target.and_then(|target| target.cluster_name()),
            downstream_local_address: Some(info.local),
            downstream_remote_address: Some(std::net::SocketAddr::new(facts.client, info.peer.port())),
            downstream_direct_remote_address: Some(info.direct_peer),
            requested_server_name: tls.and_then(|tls| tls.server_name.as_deref()),
            route_name: exchange.route().map(|route| &*route.name).filter(|name| !name.is_empty()),
            downstream_tls_version: tls.map(|tls| tls.version),
            downstream_tls_cipher: tls.map(|tls| tls.cipher),
            downstream_peer_subject: tls.and_then(|tls| tls.peer.as_ref()).map(|peer| peer.subject()),
            upstream_request_attempt_count: exchange.attempts,
            grpc_status: exchange.grpc_status,
            connection_id: Some(info.id),
            ..Entry::new(SystemTime::now().checked_sub(duration).unwrap_or(SystemTime::UNIX_EPOCH))
        },
    );
}
