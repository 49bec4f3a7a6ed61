//! Why a request ended as it did.

use crate::flags::{ResponseFlag, ResponseFlags};

/// How an attempt at an upstream was cut off, with Envoy's names for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResetReason {
    /// The proxy had no socket, port or address to connect with.
    LocalConnectionFailure,
    /// The upstream refused the connection, or its TLS handshake failed.
    RemoteConnectionFailure,
    /// The connection was not made in time.
    ConnectionTimeout,
    /// The upstream closed the connection in the middle of the exchange.
    ConnectionTermination,
    /// The proxy reset the stream.
    LocalReset,
    /// The proxy refused to open one more stream.
    LocalRefusedStream,
    /// A circuit breaker was open.
    Overflow,
    /// The upstream reset the stream.
    RemoteReset,
    /// The upstream refused the stream before it did any work on it (RFC 9113, `REFUSED_STREAM`).
    RemoteRefusedStream,
    /// The upstream broke the HTTP protocol.
    ProtocolError,
}

impl ResetReason {
    /// All reset reasons.
    pub const ALL: [Self; 10] = [
        Self::LocalConnectionFailure,
        Self::RemoteConnectionFailure,
        Self::ConnectionTimeout,
        Self::ConnectionTermination,
        Self::LocalReset,
        Self::LocalRefusedStream,
        Self::Overflow,
        Self::RemoteReset,
        Self::RemoteRefusedStream,
        Self::ProtocolError,
    ];

    /// The response flag of an attempt that ended so.
    #[must_use]
    pub const fn flag(self) -> ResponseFlag {
        match self {
            Self::LocalConnectionFailure | Self::RemoteConnectionFailure | Self::ConnectionTimeout => {
                ResponseFlag::UpstreamConnectionFailure
            }
            Self::ConnectionTermination => ResponseFlag::UpstreamConnectionTermination,
            Self::LocalReset | Self::LocalRefusedStream => ResponseFlag::LocalReset,
            Self::Overflow => ResponseFlag::UpstreamOverflow,
            Self::RemoteReset | Self::RemoteRefusedStream => ResponseFlag::UpstreamRemoteReset,
            Self::ProtocolError => ResponseFlag::UpstreamProtocolError,
        }
    }

    /// Envoy's words for it, as in the body of its 503: `remote connection failure`.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::LocalConnectionFailure => "local connection failure",
            Self::RemoteConnectionFailure => "remote connection failure",
            Self::ConnectionTimeout => "connection timeout",
            Self::ConnectionTermination => "connection termination",
            Self::LocalReset => "local reset",
            Self::LocalRefusedStream => "local refused stream reset",
            Self::Overflow => "overflow",
            Self::RemoteReset => "remote reset",
            Self::RemoteRefusedStream => "remote refused stream reset",
            Self::ProtocolError => "protocol error",
        }
    }

    const fn details_before_response(self) -> &'static str {
        match self {
            Self::LocalConnectionFailure => {
                "upstream_reset_before_response_started{local_connection_failure}"
            }
            Self::RemoteConnectionFailure => {
                "upstream_reset_before_response_started{remote_connection_failure}"
            }
            Self::ConnectionTimeout => "upstream_reset_before_response_started{connection_timeout}",
            Self::ConnectionTermination => "upstream_reset_before_response_started{connection_termination}",
            Self::LocalReset => "upstream_reset_before_response_started{local_reset}",
            Self::LocalRefusedStream => "upstream_reset_before_response_started{local_refused_stream_reset}",
            Self::Overflow => "upstream_reset_before_response_started{overflow}",
            Self::RemoteReset => "upstream_reset_before_response_started{remote_reset}",
            Self::RemoteRefusedStream => {
                "upstream_reset_before_response_started{remote_refused_stream_reset}"
            }
            Self::ProtocolError => "upstream_reset_before_response_started{protocol_error}",
        }
    }

    const fn details_after_response(self) -> &'static str {
        match self {
            Self::LocalConnectionFailure => "upstream_reset_after_response_started{local_connection_failure}",
            Self::RemoteConnectionFailure => {
                "upstream_reset_after_response_started{remote_connection_failure}"
            }
            Self::ConnectionTimeout => "upstream_reset_after_response_started{connection_timeout}",
            Self::ConnectionTermination => "upstream_reset_after_response_started{connection_termination}",
            Self::LocalReset => "upstream_reset_after_response_started{local_reset}",
            Self::LocalRefusedStream => "upstream_reset_after_response_started{local_refused_stream_reset}",
            Self::Overflow => "upstream_reset_after_response_started{overflow}",
            Self::RemoteReset => "upstream_reset_after_response_started{remote_reset}",
            Self::RemoteRefusedStream => "upstream_reset_after_response_started{remote_refused_stream_reset}",
            Self::ProtocolError => "upstream_reset_after_response_started{protocol_error}",
        }
    }
}

/// Why a request ended as it did: the one source of the status code of an answer that the proxy
/// makes itself, of the response flags and of the response code details (Envoy,
/// `RESPONSE_CODE_DETAILS`). What happened besides (a delay, exhausted retries) is added to the
/// [`ResponseFlags`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reason {
    /// The upstream answered.
    #[default]
    ViaUpstream,
    /// The route says what to answer: a redirect or a direct response.
    DirectResponse,
    /// No route matched.
    RouteNotFound,
    /// The route's cluster does not exist.
    ClusterNotFound,
    /// No endpoint of the cluster can be used.
    NoHealthyUpstream,
    /// The last attempt at an upstream was cut off before its response began.
    UpstreamResetBeforeResponse(ResetReason),
    /// The upstream was cut off after response headers were sent to the client.
    UpstreamResetAfterResponse(ResetReason),
    /// The route's timeout passed without a response.
    ResponseTimeout,
    /// The last attempt used up its per-try timeout.
    UpstreamPerTryTimeout,
    /// The route's longest stream duration passed.
    UpstreamMaxStreamDuration,
    /// The name of the upstream could not be resolved.
    DnsResolutionFailed,
    /// The client did not send its whole request in time.
    RequestTimeout,
    /// The client did not send the request headers in time.
    RequestHeaderTimeout,
    /// The stream was idle for too long.
    StreamIdleTimeout,
    /// The connection lasted longer than it may.
    DurationTimeout,
    /// The client closed its connection before the response was complete.
    DownstreamDisconnect,
    /// The client reset the stream before the response was complete.
    DownstreamReset,
    /// The request broke the HTTP protocol.
    DownstreamProtocolError,
    /// The request headers are larger or more than allowed (RFC 6585, 431).
    RequestHeadersTooLarge,
    /// The request body is larger than allowed.
    RequestPayloadTooLarge,
    /// The request has no host (RFC 9110, section 7.2).
    MissingHost,
    /// The path is missing or is none.
    InvalidPath,
    /// The path could not be normalized, or holds an escape that is refused.
    PathNormalizationFailed,
    /// HTTP/1.0 or older.
    LowVersion,
    /// The upgrade that the request asks for is not allowed.
    UpgradeFailed,
    /// The connection's certificate belongs to another listener (RFC 9110, 421). Postern's own.
    MisdirectedRequest,
    /// A local rate limit refused the request.
    RateLimited,
    /// A fault injection aborted the request.
    FaultAbort,
    /// External authorization denied the request.
    ExternalAuthorizationDenied,
    /// The proxy is short of a resource and shed the request.
    Overload,
    /// No filter chain matched a connection (by SNI, for instance). Connections only.
    FilterChainNotFound,
}

impl Reason {
    /// The flags that go with this reason.
    #[must_use]
    pub const fn flags(self) -> ResponseFlags {
        let flag = match self {
            Self::RouteNotFound | Self::FilterChainNotFound => ResponseFlag::NoRouteFound,
            Self::ClusterNotFound => ResponseFlag::NoClusterFound,
            Self::NoHealthyUpstream => ResponseFlag::NoHealthyUpstream,
            Self::UpstreamResetBeforeResponse(reset) | Self::UpstreamResetAfterResponse(reset) => {
                reset.flag()
            }
            Self::ResponseTimeout | Self::UpstreamPerTryTimeout => ResponseFlag::UpstreamRequestTimeout,
            Self::UpstreamMaxStreamDuration => ResponseFlag::UpstreamMaxStreamDurationReached,
            Self::DnsResolutionFailed => ResponseFlag::DnsResolutionFailed,
            Self::StreamIdleTimeout => ResponseFlag::StreamIdleTimeout,
            Self::DurationTimeout => ResponseFlag::DurationTimeout,
            Self::DownstreamDisconnect => ResponseFlag::DownstreamConnectionTermination,
            Self::DownstreamReset => ResponseFlag::DownstreamRemoteReset,
            Self::DownstreamProtocolError | Self::RequestHeadersTooLarge => {
                ResponseFlag::DownstreamProtocolError
            }
            Self::RateLimited => ResponseFlag::RateLimited,
            Self::FaultAbort => ResponseFlag::FaultInjected,
            Self::ExternalAuthorizationDenied => ResponseFlag::UnauthorizedExternalService,
            Self::Overload => ResponseFlag::OverloadManager,
            Self::ViaUpstream
            | Self::DirectResponse
            | Self::RequestTimeout
            | Self::RequestHeaderTimeout
            | Self::RequestPayloadTooLarge
            | Self::MissingHost
            | Self::InvalidPath
            | Self::PathNormalizationFailed
            | Self::LowVersion
            | Self::UpgradeFailed
            | Self::MisdirectedRequest => return ResponseFlags::NONE,
        };
        ResponseFlags::of(flag)
    }

    /// The response code details, as Envoy's `%RESPONSE_CODE_DETAILS%`.
    #[must_use]
    pub const fn details(self) -> &'static str {
        match self {
            Self::ViaUpstream => "via_upstream",
            Self::DirectResponse => "direct_response",
            Self::RouteNotFound => "route_not_found",
            Self::ClusterNotFound => "cluster_not_found",
            Self::NoHealthyUpstream => "no_healthy_upstream",
            Self::UpstreamResetBeforeResponse(reset) => reset.details_before_response(),
            Self::UpstreamResetAfterResponse(reset) => reset.details_after_response(),
            Self::ResponseTimeout => "response_timeout",
            Self::UpstreamPerTryTimeout => "upstream_per_try_timeout",
            Self::UpstreamMaxStreamDuration => "upstream_max_stream_duration_reached",
            Self::DnsResolutionFailed => "dns_resolution_failure",
            Self::RequestTimeout => "request_overall_timeout",
            Self::RequestHeaderTimeout => "request_header_timeout",
            Self::StreamIdleTimeout => "stream_idle_timeout",
            Self::DurationTimeout => "duration_timeout",
            Self::DownstreamDisconnect => "downstream_remote_disconnect",
            Self::DownstreamReset => "http2.remote_reset",
            Self::DownstreamProtocolError => "http1.codec_error",
            Self::RequestHeadersTooLarge => "http1.headers_too_large",
            Self::RequestPayloadTooLarge => "request_payload_too_large",
            Self::MissingHost => "missing_host_header",
            Self::InvalidPath => "invalid_path",
            Self::PathNormalizationFailed => "path_normalization_failed",
            Self::LowVersion => "low_version",
            Self::UpgradeFailed => "upgrade_failed",
            Self::MisdirectedRequest => "misdirected_request",
            Self::RateLimited => "local_rate_limited",
            Self::FaultAbort => "fault_filter_abort",
            Self::ExternalAuthorizationDenied => "ext_authz_denied",
            Self::Overload => "overload",
            Self::FilterChainNotFound => "filter_chain_not_found",
        }
    }

    /// The status code with which the proxy answers for this reason, unless the configuration says
    /// another. `None` where the proxy does not choose the status (the upstream or the route does),
    /// or no response can be sent any more.
    #[must_use]
    pub const fn status(self) -> Option<u16> {
        Some(match self {
            Self::ViaUpstream
            | Self::DirectResponse
            | Self::UpstreamResetAfterResponse(_)
            | Self::DownstreamDisconnect
            | Self::DownstreamReset
            | Self::DurationTimeout
            | Self::FilterChainNotFound => return None,
            Self::RouteNotFound => 404,
            Self::UpstreamResetBeforeResponse(ResetReason::ProtocolError) => 502,
            Self::ClusterNotFound
            | Self::NoHealthyUpstream
            | Self::UpstreamResetBeforeResponse(_)
            | Self::DnsResolutionFailed
            | Self::FaultAbort
            | Self::Overload => 503,
            Self::ResponseTimeout | Self::UpstreamPerTryTimeout | Self::UpstreamMaxStreamDuration => 504,
            Self::RequestTimeout | Self::RequestHeaderTimeout | Self::StreamIdleTimeout => 408,
            Self::DownstreamProtocolError
            | Self::MissingHost
            | Self::InvalidPath
            | Self::PathNormalizationFailed => 400,
            Self::RequestHeadersTooLarge => 431,
            Self::RequestPayloadTooLarge => 413,
            Self::LowVersion => 426,
            Self::UpgradeFailed | Self::ExternalAuthorizationDenied => 403,
            Self::MisdirectedRequest => 421,
            Self::RateLimited => 429,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reset_details_are_envoys_words_with_underscores() {
        for reset in ResetReason::ALL {
            let words = reset.description().replace(' ', "_");
            assert_eq!(
                Reason::UpstreamResetBeforeResponse(reset).details(),
                format!("upstream_reset_before_response_started{{{words}}}")
            );
            assert_eq!(
                Reason::UpstreamResetAfterResponse(reset).details(),
                format!("upstream_reset_after_response_started{{{words}}}")
            );
        }
    }

    #[test]
    fn a_missing_route_is_404_nr() {
        let reason = Reason::RouteNotFound;
        assert_eq!((reason.status(), reason.details()), (Some(404), "route_not_found"));
        assert_eq!(reason.flags().to_string(), "NR");
    }

    #[test]
    fn a_failed_connect_is_503_uf_and_a_broken_response_502_upe() {
        let refused = Reason::UpstreamResetBeforeResponse(ResetReason::RemoteConnectionFailure);
        assert_eq!((refused.status(), refused.flags().to_string()), (Some(503), "UF".to_owned()));
        let broken = Reason::UpstreamResetBeforeResponse(ResetReason::ProtocolError);
        assert_eq!((broken.status(), broken.flags().to_string()), (Some(502), "UPE".to_owned()));
    }

    #[test]
    fn the_upstreams_answer_has_no_flag_and_no_status_of_ours() {
        assert_eq!(Reason::default(), Reason::ViaUpstream);
        assert!(Reason::ViaUpstream.flags().is_empty());
        assert_eq!(Reason::ViaUpstream.status(), None);
    }
}
