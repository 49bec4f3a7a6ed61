//! Faults on purpose.

use serde::{Deserialize, Serialize};

use crate::value::{Duration, Percent, Percentage};

/// Faults that are injected into requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HttpFaultInjection {
    /// Wait before forwarding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Delay>,
    /// Answer with an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abort: Option<Abort>,
}

/// Wait before forwarding a share of the requests.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "DelayFields", into = "DelayFields")]
pub struct Delay {
    /// How long.
    pub kind: Option<DelayKind>,
    /// The share of requests; see [`Self::share`].
    pub percentage: Option<Percentage>,
    /// Deprecated: the share of requests in whole percent.
    pub percent: Option<u32>,
}

/// How long a [`Delay`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DelayKind {
    /// Always as long.
    Fixed(Duration),
    /// Hidden in Istio's documentation and not implemented.
    Exponential(Duration),
}

impl Delay {
    /// The share of requests: none of them if nothing is said.
    #[must_use]
    pub fn share(&self) -> Percent {
        match (self.percentage, self.percent) {
            (Some(percentage), _) => percentage.value,
            (None, Some(percent)) => Percent::try_from(f64::from(percent)).unwrap_or(Percent::ALL),
            (None, None) => Percent::default(),
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DelayFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed_delay: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exponential_delay: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<Percentage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percent: Option<u32>,
}

impl TryFrom<DelayFields> for Delay {
    type Error = &'static str;

    fn try_from(fields: DelayFields) -> Result<Self, &'static str> {
        let kind = match (fields.fixed_delay, fields.exponential_delay) {
            (None, None) => None,
            (Some(delay), None) => Some(DelayKind::Fixed(delay)),
            (None, Some(delay)) => Some(DelayKind::Exponential(delay)),
            (Some(_), Some(_)) => {
                return Err("only one of fixedDelay and exponentialDelay may be set");
            }
        };
        Ok(Self { kind, percentage: fields.percentage, percent: fields.percent })
    }
}

impl From<Delay> for DelayFields {
    fn from(delay: Delay) -> Self {
        let (fixed_delay, exponential_delay) = match delay.kind {
            None => (None, None),
            Some(DelayKind::Fixed(delay)) => (Some(delay), None),
            Some(DelayKind::Exponential(delay)) => (None, Some(delay)),
        };
        Self { fixed_delay, exponential_delay, percentage: delay.percentage, percent: delay.percent }
    }
}

/// Answer a share of the requests with an error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "AbortFields", into = "AbortFields")]
pub struct Abort {
    /// With which error.
    pub kind: Option<AbortKind>,
    /// The share of requests; see [`Self::share`].
    pub percentage: Option<Percentage>,
}

/// The error of an [`Abort`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AbortKind {
    /// This HTTP status.
    HttpStatus(u16),
    /// This gRPC status, by name: `UNAVAILABLE`.
    GrpcStatus(String),
    /// Rejected by Istio's validation.
    Http2Error(String),
}

impl Abort {
    /// The share of requests: none of them if nothing is said.
    #[must_use]
    pub fn share(&self) -> Percent {
        self.percentage.unwrap_or_default().value
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct AbortFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    grpc_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http2_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    percentage: Option<Percentage>,
}

impl TryFrom<AbortFields> for Abort {
    type Error = &'static str;

    fn try_from(fields: AbortFields) -> Result<Self, &'static str> {
        let kind = match (fields.http_status, fields.grpc_status, fields.http2_error) {
            (None, None, None) => None,
            (Some(status), None, None) => Some(AbortKind::HttpStatus(status)),
            (None, Some(status), None) => Some(AbortKind::GrpcStatus(status)),
            (None, None, Some(error)) => Some(AbortKind::Http2Error(error)),
            _ => return Err("only one of httpStatus, grpcStatus and http2Error may be set"),
        };
        Ok(Self { kind, percentage: fields.percentage })
    }
}

impl From<Abort> for AbortFields {
    fn from(abort: Abort) -> Self {
        let mut fields = Self { percentage: abort.percentage, ..Self::default() };
        match abort.kind {
            None => {}
            Some(AbortKind::HttpStatus(status)) => fields.http_status = Some(status),
            Some(AbortKind::GrpcStatus(status)) => fields.grpc_status = Some(status),
            Some(AbortKind::Http2Error(error)) => fields.http2_error = Some(error),
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn one_kind_of_each() {
        let abort = |value| serde_json::from_value::<Abort>(value);
        assert_eq!(abort(json!({"httpStatus": 503})).unwrap().kind, Some(AbortKind::HttpStatus(503)));
        assert!(abort(json!({"httpStatus": 503, "grpcStatus": "UNAVAILABLE"})).is_err());
        let delay = |value| serde_json::from_value::<Delay>(value);
        assert!(delay(json!({"fixedDelay": "1s", "exponentialDelay": "1s"})).is_err());
    }

    #[test]
    fn the_share_is_nothing_by_default() {
        assert_eq!(Abort::default().share(), Percent::default());
        let delay: Delay = serde_json::from_value(json!({"percent": 5})).unwrap();
        assert_eq!(delay.share().millionths(), 50_000);
    }
}
