//! How the requests of a chain are logged.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// How the requests of a chain are logged (Envoy's `access_log`), to where the proxy's access log goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessLog {
    /// The object that says so, for the status: `EnvoyFilter/istio-system/access-log`.
    pub origin: String,
    /// What a line looks like. One with an unknown operator is refused, and the proxy's own format is used.
    pub format: AccessLogFormat,
}

/// A format of Envoy's command operators (Envoy, "Access logging", format strings and dictionaries).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessLogFormat {
    /// `text_format_source`.
    Text(String),
    /// `json_format`. Texts are format strings; objects and lists may be nested.
    Json(Map<String, Value>),
}

/// A format that no proxy of this version can write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFormat {
    /// Envoy may know it; Postern does not.
    #[error("Postern's access log does not know the command operator %{0}%")]
    UnknownOperator(String),
    /// `%%` stands for a percent sign.
    #[error("a percent sign begins no command operator: {0:?}")]
    Malformed(String),
}

/// The command operators that proxies know. Their arguments are for the proxy to check.
pub const OPERATORS: [&str; 46] = [
    "BYTES_RECEIVED",
    "BYTES_SENT",
    "CONNECTION_ID",
    "CONNECTION_TERMINATION_DETAILS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS",
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_DIRECT_REMOTE_PORT",
    "DOWNSTREAM_LOCAL_ADDRESS",
    "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_LOCAL_PORT",
    "DOWNSTREAM_PEER_SUBJECT",
    "DOWNSTREAM_REMOTE_ADDRESS",
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "DOWNSTREAM_REMOTE_PORT",
    "DOWNSTREAM_TLS_CIPHER",
    "DOWNSTREAM_TLS_VERSION",
    "DURATION",
    "GRPC_STATUS",
    "GRPC_STATUS_NUMBER",
    "HOSTNAME",
    "PROTOCOL",
    "REQ",
    "REQUESTED_SERVER_NAME",
    "REQUEST_DURATION",
    "REQ_WITHOUT_QUERY",
    "RESP",
    "RESPONSE_CODE",
    "RESPONSE_CODE_DETAILS",
    "RESPONSE_DURATION",
    "RESPONSE_FLAGS",
    "RESPONSE_FLAGS_LONG",
    "RESPONSE_TX_DURATION",
    "ROUTE_NAME",
    "START_TIME",
    "TRAILER",
    "UPSTREAM_CLUSTER",
    "UPSTREAM_CLUSTER_RAW",
    "UPSTREAM_HOST",
    "UPSTREAM_LOCAL_ADDRESS",
    "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_LOCAL_PORT",
    "UPSTREAM_REMOTE_ADDRESS",
    "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT",
    "UPSTREAM_REMOTE_PORT",
    "UPSTREAM_REQUEST_ATTEMPT_COUNT",
    "UPSTREAM_TRANSPORT_FAILURE_REASON",
];

impl AccessLogFormat {
    /// Looks for operators that no proxy knows.
    ///
    /// # Errors
    /// The first of them.
    pub fn check(&self) -> Result<(), BadFormat> {
        match self {
            Self::Text(text) => check_text(text),
            Self::Json(fields) => fields.values().try_for_each(check_json),
        }
    }
}

fn check_json(value: &Value) -> Result<(), BadFormat> {
    match value {
        Value::String(text) => check_text(text),
        Value::Array(list) => list.iter().try_for_each(check_json),
        Value::Object(fields) => fields.values().try_for_each(check_json),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

fn check_text(text: &str) -> Result<(), BadFormat> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('%') {
        rest = match after.strip_prefix('%') {
            Some(behind) => behind,
            None => check_operator(after)?,
        };
    }
    Ok(())
}

/// Checks the operator that a text begins with, its first percent sign aside: `NAME(argument):length%`. Returns what
/// is behind it.
fn check_operator(text: &str) -> Result<&str, BadFormat> {
    let malformed = || BadFormat::Malformed(text.chars().take(20).collect());
    let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let (name, mut rest) = text.split_at(text.find(|c| !is_name(c)).unwrap_or(text.len()));
    if name.is_empty() {
        return Err(malformed());
    }
    if OPERATORS.binary_search(&name).is_err() {
        return Err(BadFormat::UnknownOperator(name.to_owned()));
    }
    if let Some(argument) = rest.strip_prefix('(') {
        rest = argument.split_once(')').ok_or_else(malformed)?.1;
    }
    if let Some(length) = rest.strip_prefix(':') {
        rest = length.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    rest.strip_prefix('%').ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_sorted() {
        assert!(OPERATORS.is_sorted());
    }

    #[test]
    fn what_nobody_knows_is_named() {
        let text = |text: &str| AccessLogFormat::Text(text.to_owned()).check();
        for known in
            ["", "plain", "100 %%", "%REQ(A?B):10% %PROTOCOL%", "%START_TIME(%Y/%m)%", "%%%DURATION%%%"]
        {
            assert_eq!(text(known), Ok(()), "{known}");
        }
        let unknown = |name: &str| Err(BadFormat::UnknownOperator(name.to_owned()));
        assert_eq!(text("%PROTOCOL% %DYNAMIC_METADATA(a:b)%"), unknown("DYNAMIC_METADATA"));
        for malformed in ["%", "100 % of", "%req(a)%", "%REQ(a%", "%PROTOCOL", "%REQ(a):x%"] {
            assert!(matches!(text(malformed), Err(BadFormat::Malformed(_))), "{malformed}");
        }
        let json = serde_json::json!({ "a": 1, "b": ["%PROTOCOL%", { "c": "%NOBODY%" }] });
        let fields = json.as_object().cloned().unwrap_or_default();
        assert_eq!(AccessLogFormat::Json(fields).check(), unknown("NOBODY"));
    }
}
