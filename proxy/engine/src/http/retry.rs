//! When a failed try is followed by another, and after which pause. As Envoy decides
//! (`source/common/router/retry_state_impl.cc`).

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use postern_snapshot::model::{self, RetryCondition, UpstreamProtocol};
use postern_telemetry::{GrpcStatus, Reason, ResetReason};
use postern_upstream::{ConnectError, Failure};

use super::headers::{GRPC_STATUS, Seen};

/// A compiled [`model::RetryPolicy`].
#[derive(Debug)]
pub(super) struct RetryPolicy {
    /// Tries after the first.
    pub(super) attempts: u32,
    pub(super) per_try_timeout: Option<Duration>,
    pub(super) ignore_previous_hosts: bool,
    conditions: Conditions,
    status_codes: Box<[u16]>,
    backoff: Duration,
}

/// A set of [`RetryCondition`]s.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Conditions(u16);

impl Conditions {
    /// Those that look at the response's gRPC status.
    const GRPC: Self = Self(
        1 << RetryCondition::Cancelled as u16
            | 1 << RetryCondition::DeadlineExceeded as u16
            | 1 << RetryCondition::Internal as u16
            | 1 << RetryCondition::ResourceExhausted as u16
            | 1 << RetryCondition::Unavailable as u16,
    );
    /// Those that may hold before anything of the request was sent, when it can be sent again as it is.
    const UNSENT: Self =
        Self(1 << RetryCondition::ConnectFailure as u16 | 1 << RetryCondition::ResetBeforeRequest as u16);
    const REFUSED_STREAM: Self = Self(1 << RetryCondition::RefusedStream as u16);

    fn has(self, condition: RetryCondition) -> bool {
        self.0 & (1 << condition as u16) != 0
    }
}

impl RetryPolicy {
    pub(super) fn compile(from: &model::RetryPolicy) -> Self {
        Self {
            attempts: from.attempts,
            per_try_timeout: from.per_try_timeout.filter(|timeout| !timeout.is_zero()),
            ignore_previous_hosts: from.ignore_previous_hosts,
            conditions: Conditions(from.conditions.iter().fold(0, |set, c| set | 1 << *c as u16)),
            status_codes: from.status_codes.as_slice().into(),
            backoff: from.backoff.unwrap_or(Duration::from_millis(25)),
        }
    }

    /// Can there be a reason to send a request again that was sent? Otherwise no copy of it need be kept. With Istio's
    /// default conditions a copy is needed for gRPC and for HTTP/2 upstreams, but not for plain HTTP/1.1.
    pub(super) const fn needs_copy(&self, grpc: bool, protocol: UpstreamProtocol) -> bool {
        let mut never = Conditions::UNSENT.0;
        if !grpc {
            never |= Conditions::GRPC.0;
        }
        if matches!(protocol, UpstreamProtocol::Http1) {
            never |= Conditions::REFUSED_STREAM.0;
        }
        self.conditions.0 & !never != 0 || !self.status_codes.is_empty()
    }

    /// Is this response a failure that is worth another try?
    pub(super) fn retries_response(&self, status: StatusCode, headers: &HeaderMap, seen: Seen) -> bool {
        let code = status.as_u16();
        (status.is_server_error() && self.conditions.has(RetryCondition::ServerError))
            || (matches!(code, 502..=504) && self.conditions.has(RetryCondition::GatewayError))
            || (code == 409 && self.conditions.has(RetryCondition::Retriable4xx))
            || self.status_codes.binary_search(&code).is_ok()
            || (seen.any(Seen::GRPC_STATUS) && self.retries_grpc(headers))
    }

    /// Only a status in the head can be looked at: that of a response without messages.
    fn retries_grpc(&self, headers: &HeaderMap) -> bool {
        let Some(status) = headers.get(GRPC_STATUS) else { return false };
        let condition = match GrpcStatus::from_header(status.as_bytes()) {
            GrpcStatus::CANCELLED => RetryCondition::Cancelled,
            GrpcStatus::DEADLINE_EXCEEDED => RetryCondition::DeadlineExceeded,
            GrpcStatus::INTERNAL => RetryCondition::Internal,
            GrpcStatus::RESOURCE_EXHAUSTED => RetryCondition::ResourceExhausted,
            GrpcStatus::UNAVAILABLE => RetryCondition::Unavailable,
            _ => return false,
        };
        self.conditions.has(condition)
    }

    /// Is it worth another try that there was no response?
    pub(super) fn retries_failure(&self, failure: &Failure) -> bool {
        let has = |condition| self.conditions.has(condition);
        match failure {
            Failure::NoEndpoints | Failure::Overflow | Failure::RequestBody(_) => return false,
            Failure::Connect(_) if has(RetryCondition::ConnectFailure) => return true,
            Failure::RefusedStream(_) if has(RetryCondition::RefusedStream) => return true,
            Failure::Connect(_) | Failure::ResetBeforeRequest(_)
                if has(RetryCondition::ResetBeforeRequest) =>
            {
                return true;
            }
            _ => {}
        }
        self.retries_timeout()
    }

    /// Is it worth another try that the per-try timeout passed?
    pub(super) fn retries_timeout(&self) -> bool {
        let has = |condition| self.conditions.has(condition);
        has(RetryCondition::ServerError) || has(RetryCondition::GatewayError) || has(RetryCondition::Reset)
    }

    /// The pause before the `retry`th further try, the first being 1: any up to the backoff, which doubles each time, up
    /// to ten times the first (Envoy's fully jittered exponential backoff).
    pub(super) fn pause(&self, retry: u32, rng: &mut fastrand::Rng) -> Duration {
        let doubled = self.backoff.saturating_mul(1 << (retry.saturating_sub(1)).min(4));
        let most = doubled.min(self.backoff.saturating_mul(10));
        most.mul_f64(rng.f64())
    }
}

/// What a failure is called in answers, logs and metrics.
pub(super) fn reason(failure: &Failure) -> Reason {
    let reset = match failure {
        Failure::NoEndpoints => return Reason::NoHealthyUpstream,
        Failure::RequestBody(_) => return Reason::DownstreamDisconnect,
        Failure::Overflow => ResetReason::Overflow,
        Failure::Connect(ConnectError::Timeout(_)) => ResetReason::ConnectionTimeout,
        Failure::Connect(_) => ResetReason::RemoteConnectionFailure,
        Failure::ResetBeforeRequest(_) | Failure::ConnectionClosed(_) => ResetReason::ConnectionTermination,
        Failure::RefusedStream(_) => ResetReason::RemoteRefusedStream,
        Failure::StreamReset(_) => ResetReason::RemoteReset,
        Failure::Protocol(_) => ResetReason::ProtocolError,
    };
    Reason::UpstreamResetBeforeResponse(reset)
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
