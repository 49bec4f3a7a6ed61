//! What can be logged about one request or connection.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::access_log::headers::HeaderSource;
use crate::{GrpcStatus, Reason, ResponseFlags};

/// The facts about one finished request or connection, borrowed from whoever has them.
///
/// Fields carry Envoy's names; what is `None` prints as `-`, in JSON as `null`. Start with
/// [`Entry::new`] and fill in what is known.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// When the request, or the downstream connection, began.
    pub start_time: SystemTime,
    /// From the start to the last byte sent downstream; logged in whole milliseconds.
    pub duration: Option<Duration>,
    /// From the start to the last byte of the request received.
    pub request_duration: Option<Duration>,
    /// From the start to the first byte of the response received from the upstream.
    pub response_duration: Option<Duration>,
    /// How long the upstream took: `%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%`, so that the header need
    /// not be made for the log alone.
    pub upstream_service_time: Option<Duration>,
    /// The downstream protocol; `None` for connections.
    pub protocol: Option<http::Version>,
    /// The request method (`:METHOD`).
    pub method: Option<&'a str>,
    /// The path and query as sent upstream (`:PATH`).
    pub path: Option<&'a str>,
    /// The path and query before a rewrite, if there was one (`X-ENVOY-ORIGINAL-PATH`).
    pub original_path: Option<&'a str>,
    /// The host that the request names (`:AUTHORITY`).
    pub authority: Option<&'a str>,
    /// `http` or `https` (`:SCHEME`).
    pub scheme: Option<&'a str>,
    /// Where to look up `%REQ(...)%`.
    pub request_headers: HeaderSource<'a>,
    /// Where to look up `%RESP(...)%`.
    pub response_headers: HeaderSource<'a>,
    /// Where to look up `%TRAILER(...)%`.
    pub response_trailers: HeaderSource<'a>,
    /// The status code sent downstream; 0 if no response was begun, and for connections.
    pub response_code: u16,
    /// Why the request ended so (`%RESPONSE_CODE_DETAILS%`); `None` for connections.
    pub reason: Option<Reason>,
    /// `%RESPONSE_FLAGS%`: those of the reason and what happened besides.
    pub response_flags: ResponseFlags,
    /// Why the proxy closed the connection, where it did.
    pub connection_termination_details: Option<&'a str>,
    /// Why connecting or the TLS handshake with the upstream failed.
    pub upstream_transport_failure_reason: Option<&'a str>,
    /// Body bytes received from the client; for connections, all bytes.
    pub bytes_received: u64,
    /// Body bytes sent to the client; for connections, all bytes.
    pub bytes_sent: u64,
    /// The endpoint of the last attempt.
    pub upstream_host: Option<SocketAddr>,
    /// The cluster of that endpoint, such as `outbound|80||app-service.default.svc.cluster.local`.
    pub upstream_cluster: Option<&'a str>,
    /// The proxy's own address on the upstream connection.
    pub upstream_local_address: Option<SocketAddr>,
    /// The proxy's own address on the downstream connection.
    pub downstream_local_address: Option<SocketAddr>,
    /// The client: from PROXY protocol or `x-forwarded-for` where those are trusted.
    pub downstream_remote_address: Option<SocketAddr>,
    /// The direct peer of the downstream connection.
    pub downstream_direct_remote_address: Option<SocketAddr>,
    /// The server name (SNI) of the downstream TLS connection.
    pub requested_server_name: Option<&'a str>,
    /// The name of the route.
    pub route_name: Option<&'a str>,
    /// The TLS version downstream, such as `TLSv1.3`.
    pub downstream_tls_version: Option<&'a str>,
    /// The TLS cipher suite downstream, such as `TLS_AES_128_GCM_SHA256`.
    pub downstream_tls_cipher: Option<&'a str>,
    /// The subject of the client's certificate (RFC 2253).
    pub downstream_peer_subject: Option<&'a str>,
    /// How many times the request was tried upstream.
    pub upstream_request_attempt_count: u32,
    /// The gRPC status of the response.
    pub grpc_status: Option<GrpcStatus>,
    /// The number of the downstream connection, unique within the process.
    pub connection_id: Option<u64>,
}

impl Entry<'_> {
    /// An entry of which nothing but the start is known.
    #[must_use]
    pub const fn new(start_time: SystemTime) -> Self {
        Self {
            start_time,
            duration: None,
            request_duration: None,
            response_duration: None,
            upstream_service_time: None,
            protocol: None,
            method: None,
            path: None,
            original_path: None,
            authority: None,
            scheme: None,
            request_headers: HeaderSource::None,
            response_headers: HeaderSource::None,
            response_trailers: HeaderSource::None,
            response_code: 0,
            reason: None,
            response_flags: ResponseFlags::NONE,
            connection_termination_details: None,
            upstream_transport_failure_reason: None,
            bytes_received: 0,
            bytes_sent: 0,
            upstream_host: None,
            upstream_cluster: None,
            upstream_local_address: None,
            downstream_local_address: None,
            downstream_remote_address: None,
            downstream_direct_remote_address: None,
            requested_server_name: None,
            route_name: None,
            downstream_tls_version: None,
            downstream_tls_cipher: None,
            downstream_peer_subject: None,
            upstream_request_attempt_count: 0,
            grpc_status: None,
            connection_id: None,
        }
    }
}
