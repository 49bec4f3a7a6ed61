//! One worker's share of a time series, and what tells series apart.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::metrics::histogram::{self, Histogram, Unit};
use crate::{GrpcStatus, ResponseFlags};

/// The protocol of a request, as Istio's label `request_protocol` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RequestProtocol {
    /// HTTP of any version.
    Http,
    /// gRPC over HTTP.
    Grpc,
}

impl RequestProtocol {
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Grpc => "grpc",
        }
    }
}

/// What tells request series apart, besides the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct RequestKey {
    pub(super) destination: u32,
    pub(super) protocol: RequestProtocol,
    pub(super) response_code: u16,
    pub(super) grpc_status: Option<GrpcStatus>,
    pub(super) response_flags: ResponseFlags,
}

impl RequestKey {
    /// The key in one integer: hashes faster than field by field.
    pub(super) fn packed(self) -> u128 {
        let grpc = self.grpc_status.map_or(u8::MAX, GrpcStatus::code);
        u128::from(self.destination)
            | u128::from(self.response_flags.bits()) << 32
            | u128::from(self.response_code) << 64
            | u128::from(grpc) << 80
            | u128::from(self.protocol as u8) << 88
    }
}

/// One worker's share of a request series.
#[derive(Debug, Default)]
pub(super) struct RequestSeries {
    pub(super) duration: Histogram,
    pub(super) request_bytes: Histogram,
    pub(super) response_bytes: Histogram,
}

impl RequestSeries {
    pub(super) fn record(&self, duration: Duration, request_bytes: u64, response_bytes: u64) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.duration.observe(Unit::Milliseconds, micros);
        self.request_bytes.observe(Unit::Bytes, request_bytes);
        self.response_bytes.observe(Unit::Bytes, response_bytes);
    }
}

/// What tells connection series apart, besides the destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ConnectionKey {
    pub(super) destination: u32,
    pub(super) response_flags: ResponseFlags,
}

impl ConnectionKey {
    pub(super) fn packed(self) -> u128 {
        u128::from(self.destination) | u128::from(self.response_flags.bits()) << 32
    }
}

/// One worker's share of a series of TCP connections.
#[derive(Debug, Default)]
pub(super) struct ConnectionSeries {
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
}

impl ConnectionSeries {
    pub(super) fn opened(&self) {
        histogram::add(&self.opened, 1);
    }

    pub(super) fn closed(&self) {
        histogram::add(&self.closed, 1);
    }

    pub(super) fn bytes(&self, sent: u64, received: u64) {
        histogram::add(&self.sent, sent);
        histogram::add(&self.received, received);
    }
}

/// The sum over the workers of one connection series.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConnectionTotals {
    pub(super) opened: u64,
    pub(super) closed: u64,
    pub(super) sent: u64,
    pub(super) received: u64,
}

impl ConnectionTotals {
    pub(super) fn of<'a>(shares: impl IntoIterator<Item = &'a ConnectionSeries>) -> Self {
        shares.into_iter().fold(Self::default(), |sum, share| Self {
            opened: sum.opened + share.opened.load(Relaxed),
            closed: sum.closed + share.closed.load(Relaxed),
            sent: sum.sent + share.sent.load(Relaxed),
            received: sum.received + share.received.load(Relaxed),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::ResponseFlag;

    #[test]
    fn packed_keys_differ_where_keys_do() {
        let base = RequestKey {
            destination: 1,
            protocol: RequestProtocol::Http,
            response_code: 200,
            grpc_status: None,
            response_flags: ResponseFlags::NONE,
        };
        let keys = [
            base,
            RequestKey { destination: u32::MAX, ..base },
            RequestKey { protocol: RequestProtocol::Grpc, ..base },
            RequestKey { response_code: 503, ..base },
            RequestKey { grpc_status: Some(GrpcStatus::OK), ..base },
            RequestKey { grpc_status: Some(GrpcStatus::UNAVAILABLE), ..base },
            RequestKey { response_flags: ResponseFlag::NoHealthyUpstream.into(), ..base },
        ];
        assert_eq!(keys.iter().map(|key| key.packed()).collect::<HashSet<_>>().len(), keys.len());
    }
}
