//! Rules about faults.

use super::super::{Findings, common};
use crate::istio::virtual_service::{Abort, AbortKind, Delay, DelayKind, HttpFaultInjection};
use crate::place::Place;

/// The names of gRPC's statuses.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

pub(super) fn validate(fault: &HttpFaultInjection, at: &Place<'_>, findings: &mut Findings) {
    if fault.abort.is_none() && fault.delay.is_none() {
        findings.error(at, "one of delay and abort is needed");
    }
    if let Some(delay) = &fault.delay {
        validate_delay(delay, &at.field("delay"), findings);
    }
    if let Some(abort) = &fault.abort {
        validate_abort(abort, &at.field("abort"), findings);
    }
}

fn validate_delay(delay: &Delay, at: &Place<'_>, findings: &mut Findings) {
    match delay.kind {
        None => findings.warn(at, "without fixedDelay there is no delay"),
        Some(DelayKind::Fixed(duration)) => {
            common::duration(Some(duration), &at.field("fixedDelay"), findings);
        }
        Some(DelayKind::Exponential(_)) => {
            findings.error(&at.field("exponentialDelay"), "exponentialDelay is not supported");
        }
    }
    if let Some(percent) = delay.percent {
        let at = at.field("percent");
        findings.deprecated(&at, "percent is deprecated; write percentage");
        if percent > 100 {
            findings.error(&at, format!("{percent} is not a percentage; it must be from 0 to 100"));
        }
    }
}

fn validate_abort(abort: &Abort, at: &Place<'_>, findings: &mut Findings) {
    match &abort.kind {
        None => findings.warn(at, "without httpStatus or grpcStatus nothing is aborted"),
        Some(AbortKind::HttpStatus(status)) => {
            if !(200..=599).contains(status) {
                findings.error(
                    &at.field("httpStatus"),
                    format!("{status} is not a response's status; it must be from 200 to 599"),
                );
            }
        }
        Some(AbortKind::GrpcStatus(status)) => {
            if !GRPC_STATUSES.contains(&status.as_str()) {
                findings.error(
                    &at.field("grpcStatus"),
                    format!("{status:?} is not a status of gRPC; write its name, such as NOT_FOUND"),
                );
            }
        }
        Some(AbortKind::Http2Error(_)) => {
            findings.error(&at.field("http2Error"), "http2Error is not supported");
        }
    }
}
