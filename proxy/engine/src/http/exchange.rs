//! What is known about one request and its response. It is counted and logged once, when it is dropped: at the end of
//! the response, or when the client has gone.

use std::{net::SocketAddr, rc::Rc};

use http::{HeaderMap, HeaderValue, Version};
use postern_telemetry::{GrpcStatus, Reason, ResetReason, ResponseFlags};
use tokio::time::Instant;

use super::{
    body::ResponseBodyError, chain::Loaded, connection::Connection, headers::GRPC_STATUS, log::LogFacts,
    progress::Progress, rate_limit::Told, route::Place, stream_limits::StreamLimits,
};

/// A request under way.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) connection: Rc<Connection>,
    /// What was configured when the request came; a reload does not change its course.
    pub(super) runtime: Rc<Loaded>,
    pub(super) started: Instant,
    pub(super) version: Version,
    /// Is it gRPC, by its content type?
    pub(super) grpc: bool,
    pub(super) place: Place,
    /// The status that was sent, 0 as long as none was.
    pub(super) status: u16,
    pub(super) reason: Reason,
    pub(super) flags: ResponseFlags,
    pub(super) grpc_status: Option<GrpcStatus>,
    /// The connection manager's time limits, if there are any.
    pub(super) limits: Option<Box<StreamLimits>>,
    /// The request's body; `None` if it has none.
    pub(super) request_body: Option<Rc<Progress>>,
    pub(super) sent_bytes: u64,
    /// Bytes that a tunnel brought from the client.
    pub(super) tunnel_received_bytes: u64,
    pub(super) attempts: u32,
    pub(super) upstream: Option<SocketAddr>,
    /// Only when there is an access log.
    pub(super) log: Option<Box<LogFacts>>,
    /// What the response says of the rate limit.
    pub(super) limit: Option<Told>,
    /// Only where responses are compressed.
    pub(super) accept_encoding: Option<HeaderValue>,
    /// The page's origin, if the route's CORS policy allows it.
    pub(super) origin: Option<HeaderValue>,
    complete: bool,
}

impl Exchange {
    pub(super) fn new(connection: Rc<Connection>, runtime: Rc<Loaded>, version: Version) -> Self {
        connection.request_started();
        let started = Instant::now();
        let limits = StreamLimits::new(&runtime.settings, started, &connection.worker.timers);
        Self {
            connection,
            runtime,
            started,
            limits,
            version,
            grpc: false,
            place: Place::default(),
            status: 0,
            reason: Reason::DownstreamDisconnect,
            flags: ResponseFlags::NONE,
            grpc_status: None,
            request_body: None,
            sent_bytes: 0,
            tunnel_received_bytes: 0,
            attempts: 0,
            upstream: None,
            log: None,
            limit: None,
            accept_encoding: None,
            origin: None,
            complete: false,
        }
    }

    /// The head of the response is on its way.
    pub(super) fn responded(&mut self, status: u16, reason: Reason, headers: &HeaderMap) {
        self.status = status;
        self.reason = reason;
        if let Some(limits) = &mut self.limits {
            limits.responded();
        }
        if self.grpc {
            self.grpc_status = grpc_status(headers);
        }
        if let Some(log) = &mut self.log {
            log.responded(headers, self.started);
        }
    }

    /// The request has a body.
    pub(super) fn reads(&mut self, body: Rc<Progress>) {
        if let Some(limits) = &mut self.limits {
            limits.reads(&body);
        }
        self.request_body = Some(body);
    }

    /// Bytes of the response's body are on their way.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent_bytes += bytes as u64;
        if let Some(limits) = &mut self.limits {
            limits.moved();
        }
    }

    pub(super) fn trailers(&mut self, trailers: &HeaderMap) {
        if self.grpc {
            self.grpc_status = grpc_status(trailers).or(self.grpc_status);
        }
        if let Some(log) = &mut self.log {
            log.trailers(trailers);
        }
    }

    /// All of the response was taken by the connection.
    pub(super) const fn complete(&mut self) {
        self.complete = true;
    }

    /// The response's body ended early, and not because of the client.
    pub(super) fn broke_off(&mut self, error: &ResponseBodyError) {
        self.complete = true;
        self.reason = match error {
            ResponseBodyError::Upstream(_) => {
                Reason::UpstreamResetAfterResponse(ResetReason::ConnectionTermination)
            }
            ResponseBodyError::Timeout => Reason::ResponseTimeout,
            ResponseBodyError::Idle => Reason::StreamIdleTimeout,
            ResponseBodyError::Compression(_) => Reason::UpstreamResetAfterResponse(ResetReason::LocalReset),
        };
    }

    pub(super) fn received_bytes(&self) -> u64 {
        self.request_body.as_ref().map_or(0, |body| body.bytes()) + self.tunnel_received_bytes
    }

    /// How it ended, and all flags.
    pub(super) fn outcome(&self) -> (Reason, ResponseFlags) {
        let reason = if self.complete { self.reason } else { Reason::DownstreamDisconnect };
        (reason, self.flags | reason.flags())
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let ended = Instant::now();
        self.connection.request_ended(ended);
        super::log::record(self, ended);
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<GrpcStatus> {
    headers.get(GRPC_STATUS).map(|value| GrpcStatus::from_header(value.as_bytes()))
}
