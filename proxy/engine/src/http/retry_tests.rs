use std::io;

use http::HeaderValue;

use super::*;

fn policy(conditions: &[RetryCondition], status_codes: &[u16]) -> RetryPolicy {
    RetryPolicy::compile(&model::RetryPolicy {
        attempts: 2,
        per_try_timeout: None,
        conditions: conditions.to_vec(),
        status_codes: status_codes.to_vec(),
        backoff: None,
        ignore_previous_hosts: true,
    })
}

const ISTIO_DEFAULT: [RetryCondition; 4] = [
    RetryCondition::ConnectFailure,
    RetryCondition::RefusedStream,
    RetryCondition::Cancelled,
    RetryCondition::Unavailable,
];

fn connect() -> Failure {
    Failure::Connect(ConnectError::from(io::Error::from(io::ErrorKind::ConnectionRefused)))
}

fn retries(policy: &RetryPolicy, status: StatusCode, headers: &HeaderMap) -> bool {
    policy.retries_response(status, headers, Seen::of(headers))
}

fn statuses_retried(policy: &RetryPolicy) -> Vec<u16> {
    let retried = |code: &u16| {
        StatusCode::from_u16(*code).is_ok_and(|status| retries(policy, status, &HeaderMap::new()))
    };
    (200..=599).filter(retried).collect()
}

#[test]
fn statuses_by_condition() {
    assert_eq!(statuses_retried(&policy(&ISTIO_DEFAULT, &[])), [0; 0]);
    assert_eq!(statuses_retried(&policy(&[RetryCondition::GatewayError], &[])), [502, 503, 504]);
    assert_eq!(statuses_retried(&policy(&[RetryCondition::Retriable4xx], &[404])), [404, 409]);
    assert_eq!(statuses_retried(&policy(&[RetryCondition::ServerError], &[])).len(), 100);
}

#[test]
fn grpc_statuses_by_condition() {
    let with_status = |status| HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(status))]);
    let default = policy(&ISTIO_DEFAULT, &[]);
    for (status, retried) in [("14", true), ("1", true), ("0", false), ("4", false), ("13", false)] {
        assert_eq!(retries(&default, StatusCode::OK, &with_status(status)), retried, "{status}");
    }
    let other = policy(&[RetryCondition::DeadlineExceeded, RetryCondition::Internal], &[]);
    assert!(retries(&other, StatusCode::OK, &with_status("4")));
    assert!(!retries(&other, StatusCode::OK, &with_status("14")));
}

#[test]
fn failures_by_condition() {
    let refused = Failure::RefusedStream("refused".into());
    let closed = Failure::ConnectionClosed("closed".into());
    let unsent = Failure::ResetBeforeRequest("closed".into());
    for (condition, expected) in [
        (RetryCondition::ConnectFailure, [true, false, false, false]),
        (RetryCondition::RefusedStream, [false, true, false, false]),
        (RetryCondition::ResetBeforeRequest, [true, false, false, true]),
        (RetryCondition::Reset, [true; 4]),
        (RetryCondition::ServerError, [true; 4]),
        (RetryCondition::GatewayError, [true; 4]),
        (RetryCondition::Retriable4xx, [false; 4]),
    ] {
        let policy = policy(&[condition], &[]);
        let retried = [&connect(), &refused, &closed, &unsent].map(|failure| policy.retries_failure(failure));
        assert_eq!(retried, expected, "{condition:?}");
    }
    let all = policy(&[RetryCondition::ServerError], &[]);
    assert!(!all.retries_failure(&Failure::NoEndpoints));
    assert!(!all.retries_failure(&Failure::RequestBody("gone".into())));
}

#[test]
fn a_copy_is_kept_only_where_it_may_be_needed() {
    let default = policy(&ISTIO_DEFAULT, &[]);
    assert!(!default.needs_copy(false, UpstreamProtocol::Http1));
    assert!(default.needs_copy(false, UpstreamProtocol::Http2));
    assert!(default.needs_copy(true, UpstreamProtocol::Http1));
    assert!(policy(&[], &[503]).needs_copy(false, UpstreamProtocol::Http1));
    assert!(policy(&[RetryCondition::Reset], &[]).needs_copy(false, UpstreamProtocol::Http1));
}

#[test]
fn pauses_double_up_to_ten_times() {
    let policy = policy(&[], &[]);
    let mut rng = fastrand::Rng::with_seed(3);
    for (retry, most) in [(1, 25), (2, 50), (3, 100), (4, 200), (5, 250), (6, 250), (60, 250)] {
        let longest = (0..2000).map(|_| policy.pause(retry, &mut rng)).max().unwrap_or_default();
        assert!(longest <= Duration::from_millis(most), "{retry}: {longest:?}");
        assert!(longest > Duration::from_millis(most * 9 / 10), "{retry}: {longest:?}");
    }
}
