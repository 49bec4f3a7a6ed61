//! What is done with a request other than forwarding it as it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::value::{Port, non_empty};

/// The VirtualService that has the rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Its namespace; the default is the root's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// Answer with a redirect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RedirectFields", into = "RedirectFields")]
pub struct HttpRedirect {
    /// The path in place of the request's.
    pub uri: Option<String>,
    /// What replaces the prefix that matched; `Some("")` takes it away.
    pub prefix_rewrite: Option<String>,
    /// The authority in place of the request's.
    pub authority: Option<String>,
    /// The port in place of the request's.
    pub port: Option<RedirectPort>,
    /// The scheme in place of the request's.
    pub scheme: Option<String>,
    /// As written; see [`Self::redirect_code`].
    pub code: Option<u16>,
}

impl HttpRedirect {
    /// The status code; 301 if it is left out.
    #[must_use]
    pub fn redirect_code(&self) -> u16 {
        self.code.unwrap_or(301)
    }
}

/// The port of a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RedirectPort {
    /// This one.
    Port(Port),
    /// One that depends on the request.
    Derived(RedirectPortSelection),
}

/// How the port of a redirect depends on the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RedirectPortSelection {
    /// 80 for http and 443 for https, so none is written.
    FromProtocolDefault,
    /// The port that the request came to.
    FromRequestPort,
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RedirectFields {
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix_rewrite: Option<String>,
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    authority: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<Port>,
    #[serde(skip_serializing_if = "Option::is_none")]
    derive_port: Option<RedirectPortSelection>,
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    scheme: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_code: Option<u16>,
}

impl TryFrom<RedirectFields> for HttpRedirect {
    type Error = &'static str;

    fn try_from(fields: RedirectFields) -> Result<Self, &'static str> {
        let port = match (fields.port, fields.derive_port) {
            (None, None) => None,
            (Some(port), None) => Some(RedirectPort::Port(port)),
            (None, Some(selection)) => Some(RedirectPort::Derived(selection)),
            (Some(_), Some(_)) => return Err("only one of port and derivePort may be set"),
        };
        Ok(Self {
            uri: fields.uri,
            prefix_rewrite: fields.prefix_rewrite,
            authority: fields.authority,
            port,
            scheme: fields.scheme,
            // In protobuf 0 is the same as nothing.
            code: fields.redirect_code.filter(|code| *code != 0),
        })
    }
}

impl From<HttpRedirect> for RedirectFields {
    fn from(redirect: HttpRedirect) -> Self {
        let (port, derive_port) = match redirect.port {
            None => (None, None),
            Some(RedirectPort::Port(port)) => (Some(port), None),
            Some(RedirectPort::Derived(selection)) => (None, Some(selection)),
        };
        Self {
            uri: redirect.uri,
            prefix_rewrite: redirect.prefix_rewrite,
            authority: redirect.authority,
            port,
            derive_port,
            scheme: redirect.scheme,
            redirect_code: redirect.code,
        }
    }
}

/// Answer with a fixed response.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpDirectResponse {
    /// The status code.
    pub status: u16,
    /// The body; none is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<HttpBody>,
}

/// A fixed body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "BodyFields", into = "BodyFields")]
pub enum HttpBody {
    /// As text.
    String(String),
    /// As bytes (base64 in JSON).
    Bytes(Vec<u8>),
}

impl HttpBody {
    /// The body.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::String(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default)]
struct BodyFields {
    #[serde(skip_serializing_if = "Option::is_none")]
    string: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

impl TryFrom<BodyFields> for HttpBody {
    type Error = String;

    fn try_from(fields: BodyFields) -> Result<Self, String> {
        match (fields.string, fields.bytes) {
            (None, None) => Ok(Self::String(String::new())),
            (Some(text), None) => Ok(Self::String(text)),
            (None, Some(encoded)) => STANDARD
                .decode(encoded)
                .map(Self::Bytes)
                .map_err(|error| format!("bytes must be base64: {error}")),
            (Some(_), Some(_)) => Err("only one of string and bytes may be set".to_owned()),
        }
    }
}

impl From<HttpBody> for BodyFields {
    fn from(body: HttpBody) -> Self {
        match body {
            HttpBody::String(text) => Self { string: Some(text), bytes: None },
            HttpBody::Bytes(bytes) => Self { string: None, bytes: Some(STANDARD.encode(bytes)) },
        }
    }
}

/// Change the request before it is forwarded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRewrite {
    /// What replaces the prefix that matched, or the whole path if it was matched exactly. Not beside
    /// `uriRegexRewrite`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The authority in place of the request's.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// A replacement in the path by a regular expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri_regex_rewrite: Option<RegexRewrite>,
}

/// A replacement by a regular expression in RE2's syntax.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RegexRewrite {
    /// What is replaced.
    #[serde(rename = "match")]
    pub match_: String,
    /// What it is replaced with; `\1` is the first group.
    pub rewrite: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_redirect_has_one_port() {
        let read = |value| serde_json::from_value::<HttpRedirect>(value);
        let redirect = read(json!({"derivePort": "FROM_REQUEST_PORT"})).unwrap();
        assert_eq!(redirect.port, Some(RedirectPort::Derived(RedirectPortSelection::FromRequestPort)));
        assert_eq!(redirect.redirect_code(), 301);
        let both = json!({"port": 8080, "derivePort": "FROM_REQUEST_PORT"});
        assert!(read(both).is_err());
    }

    #[test]
    fn a_body_is_text_or_bytes() {
        let read = |value| serde_json::from_value::<HttpBody>(value);
        assert_eq!(read(json!({"string": "a"})).unwrap().as_bytes(), b"a");
        assert_eq!(read(json!({"bytes": "/wA="})).unwrap().as_bytes(), [255, 0]);
        assert_eq!(read(json!({})).unwrap().as_bytes(), b"");
        assert!(read(json!({"bytes": "?"})).is_err());
        assert!(read(json!({"string": "", "bytes": ""})).is_err());
    }
}
