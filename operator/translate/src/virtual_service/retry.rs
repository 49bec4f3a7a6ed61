//! When a request is tried again.

use postern_api::istio::virtual_service::HttpRetry;
use postern_snapshot::model::{RetryCondition, RetryPolicy};

use crate::at::At;
use crate::finding::{Findings, Problem, Reason};

/// Istio's default for a route without `retries`.
fn default_policy() -> RetryPolicy {
    RetryPolicy {
        attempts: 2,
        per_try_timeout: None,
        conditions: vec![
            RetryCondition::ConnectFailure,
            RetryCondition::RefusedStream,
            RetryCondition::Cancelled,
            RetryCondition::Unavailable,
        ],
        status_codes: Vec::new(),
        backoff: None,
        ignore_previous_hosts: true,
    }
}

/// The policy that `retries` says; 0 attempts is none. `at` is the place of `retries`.
pub(crate) fn retry_policy(
    retries: Option<&HttpRetry>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Option<RetryPolicy> {
    let Some(retries) = retries else { return Some(default_policy()) };
    let HttpRetry {
        attempts,
        per_try_timeout,
        retry_on: _,
        retry_remote_localities,
        retry_ignore_previous_hosts: _,
        backoff,
    } = retries;
    if *attempts == 0 {
        return None;
    }
    if *retry_remote_localities == Some(true) {
        findings.unsupported(
            &at.field("retryRemoteLocalities"),
            "all endpoints are tried alike, whatever their locality",
        );
    }
    let mut policy = RetryPolicy {
        attempts: *attempts,
        // In Envoy 0 is no limit of its own.
        per_try_timeout: per_try_timeout.filter(|timeout| !timeout.is_zero()).map(Into::into),
        conditions: Vec::new(),
        backoff: backoff.map(Into::into),
        status_codes: Vec::new(),
        ignore_previous_hosts: retries.ignores_previous_hosts(),
    };
    for name in retries.conditions() {
        add_condition(&mut policy, name, &at.field("retryOn"), findings);
    }
    policy.conditions.sort();
    policy.conditions.dedup();
    policy.status_codes.sort_unstable();
    policy.status_codes.dedup();
    Some(policy)
}

fn add_condition(policy: &mut RetryPolicy, name: &str, at: &At<'_>, findings: &mut Findings) {
    if let Ok(status) = name.parse::<u16>()
        && (100..600).contains(&status)
    {
        policy.status_codes.push(status);
        return;
    }
    let condition = match name {
        "5xx" => RetryCondition::ServerError,
        "gateway-error" => RetryCondition::GatewayError,
        "reset" => RetryCondition::Reset,
        "reset-before-request" => RetryCondition::ResetBeforeRequest,
        "connect-failure" => RetryCondition::ConnectFailure,
        "retriable-4xx" => RetryCondition::Retriable4xx,
        "refused-stream" => RetryCondition::RefusedStream,
        "cancelled" => RetryCondition::Cancelled,
        "deadline-exceeded" => RetryCondition::DeadlineExceeded,
        "internal" => RetryCondition::Internal,
        "resource-exhausted" => RetryCondition::ResourceExhausted,
        "unavailable" => RetryCondition::Unavailable,
        // Says that the status codes beside it count, which they do anyway. And there is no HTTP/3 to fail.
        "retriable-status-codes" | "http3-post-connect-failure" => return,
        _ => {
            let message = format!("{name:?} is not a condition that Postern knows, and is left out");
            findings.warn(at, Problem::programmed(Reason::UnsupportedValue, message));
            return;
        }
    };
    policy.conditions.push(condition);
}
