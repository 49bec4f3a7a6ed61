//! Filters: what is changed about requests and responses.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::hostname::Hostname;
use super::reference::{BackendObjectReference, LocalObjectReference};
use super::route_match::unknown_type;
use crate::value::Port;

/// Changes of headers (`HTTPHeaderFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HeaderModifier {
    /// Overwritten, or added if they are not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<HttpHeader>,
    /// Appended to what is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub add: Vec<HttpHeader>,
    /// Taken away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpHeader {
    /// Its name; case does not matter.
    pub name: String,
    /// Its value, literally.
    pub value: String,
}

/// A copy of requests (`HTTPRequestMirrorFilter`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestMirror {
    /// Where to.
    pub backend_ref: BackendObjectReference,
    /// The share in percent, 0 to 100. Not beside `fraction`; without both, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// The share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<Fraction>,
}

impl RequestMirror {
    /// The share in percent, 0 to 100.
    #[must_use]
    pub fn share(&self) -> f64 {
        match (self.percent, self.fraction) {
            (Some(percent), _) => f64::from(percent).min(100.0),
            (None, Some(fraction)) => fraction.percent(),
            (None, None) => 100.0,
        }
    }
}

/// A part of a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction {
    /// So many.
    pub numerator: u32,
    /// Of so many; 100 if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub denominator: Option<u32>,
}

impl Fraction {
    /// In percent, 0 to 100.
    #[must_use]
    pub fn percent(self) -> f64 {
        let denominator = self.denominator.unwrap_or(100).max(1);
        (f64::from(self.numerator) * 100.0 / f64::from(denominator)).min(100.0)
    }
}

/// An answer that sends the client elsewhere (`HTTPRequestRedirectFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RequestRedirect {
    /// `http` or `https`; the request's if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scheme: Option<String>,
    /// The request's if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The request's if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
    /// With a scheme its well-known port if it is left out, else the listener's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// 301, 302, 303, 307 or 308; 302 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_code: Option<u16>,
}

/// A change of the request (`HTTPURLRewriteFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UrlRewrite {
    /// The host that the backend sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The path that the backend sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathModifier>,
}

/// Another path (`HTTPPathModifier`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "PathModifierFields", into = "PathModifierFields")]
pub enum PathModifier {
    /// The whole.
    ReplaceFullPath(String),
    /// What the prefix match took.
    ReplacePrefixMatch(String),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PathModifierFields {
    #[serde(rename = "type")]
    type_: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replace_full_path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replace_prefix_match: Option<String>,
}

impl TryFrom<PathModifierFields> for PathModifier {
    type Error = String;

    fn try_from(fields: PathModifierFields) -> Result<Self, String> {
        match (fields.type_.as_str(), fields.replace_full_path, fields.replace_prefix_match) {
            ("ReplaceFullPath", Some(path), None) => Ok(Self::ReplaceFullPath(path)),
            ("ReplacePrefixMatch", None, Some(path)) => Ok(Self::ReplacePrefixMatch(path)),
            ("ReplaceFullPath" | "ReplacePrefixMatch", ..) => {
                Err(format!("the field of type {} must be set, and no other", fields.type_))
            }
            (other, ..) => Err(unknown_type(other, "ReplaceFullPath and ReplacePrefixMatch")),
        }
    }
}

impl From<PathModifier> for PathModifierFields {
    fn from(path: PathModifier) -> Self {
        let (kind, full, prefix) = match path {
            PathModifier::ReplaceFullPath(path) => ("ReplaceFullPath", Some(path), None),
            PathModifier::ReplacePrefixMatch(path) => ("ReplacePrefixMatch", None, Some(path)),
        };
        Self { type_: kind.to_owned(), replace_full_path: full, replace_prefix_match: prefix }
    }
}

/// Which pages of other origins may send requests (`HTTPCORSFilter`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Cors {
    /// Origins: `https://example.com`, `https://*.example.com`, or `*` for all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_origins: Vec<String>,
    /// Whether requests may carry credentials; false if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// Methods; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_methods: Vec<String>,
    /// Headers of requests; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_headers: Vec<String>,
    /// Headers of responses that pages may see; `*` is all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// How long a preflight's answer may be kept, in seconds; 5 if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u32>,
}

/// A filter (`HTTPRouteFilter`, and `GRPCRouteFilter`, which has some of these types).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "FilterFields", into = "FilterFields")]
pub enum RouteFilter {
    /// Changes the request's headers.
    RequestHeaderModifier(HeaderModifier),
    /// Changes the response's headers.
    ResponseHeaderModifier(HeaderModifier),
    /// Copies requests.
    RequestMirror(RequestMirror),
    /// Sends the client elsewhere.
    RequestRedirect(RequestRedirect),
    /// Changes host or path of the request.
    UrlRewrite(UrlRewrite),
    /// Cross-origin resource sharing.
    Cors(Cors),
    /// Experimental: asks another service; as written.
    ExternalAuth(Value),
    /// A filter of an implementation.
    ExtensionRef(LocalObjectReference),
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct FilterFields {
    #[serde(rename = "type")]
    type_: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_header_modifier: Option<HeaderModifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_header_modifier: Option<HeaderModifier>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_mirror: Option<RequestMirror>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_redirect: Option<RequestRedirect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url_rewrite: Option<UrlRewrite>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cors: Option<Cors>,
    #[serde(skip_serializing_if = "Option::is_none")]
    external_auth: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extension_ref: Option<LocalObjectReference>,
}

/// All types, as messages name them.
const TYPES: &str = "RequestHeaderModifier, ResponseHeaderModifier, RequestMirror, RequestRedirect, URLRewrite, CORS, \
                     ExternalAuth and ExtensionRef";

impl TryFrom<FilterFields> for RouteFilter {
    type Error = String;

    fn try_from(fields: FilterFields) -> Result<Self, String> {
        let count = [
            fields.request_header_modifier.is_some(),
            fields.response_header_modifier.is_some(),
            fields.request_mirror.is_some(),
            fields.request_redirect.is_some(),
            fields.url_rewrite.is_some(),
            fields.cors.is_some(),
            fields.external_auth.is_some(),
            fields.extension_ref.is_some(),
        ];
        let filter = match fields.type_.as_str() {
            "RequestHeaderModifier" => fields.request_header_modifier.map(Self::RequestHeaderModifier),
            "ResponseHeaderModifier" => fields.response_header_modifier.map(Self::ResponseHeaderModifier),
            "RequestMirror" => fields.request_mirror.map(Self::RequestMirror),
            "RequestRedirect" => fields.request_redirect.map(Self::RequestRedirect),
            "URLRewrite" => fields.url_rewrite.map(Self::UrlRewrite),
            "CORS" => fields.cors.map(Self::Cors),
            "ExternalAuth" => fields.external_auth.map(Self::ExternalAuth),
            "ExtensionRef" => fields.extension_ref.map(Self::ExtensionRef),
            other => return Err(unknown_type(other, TYPES)),
        };
        let sole = count.into_iter().filter(|is_set| *is_set).count() == 1;
        let message = || format!("the field of type {} must be set, and no other", fields.type_);
        filter.filter(|_| sole).ok_or_else(message)
    }
}

impl From<RouteFilter> for FilterFields {
    fn from(filter: RouteFilter) -> Self {
        let mut fields = Self { type_: filter.type_name().to_owned(), ..Self::default() };
        match filter {
            RouteFilter::RequestHeaderModifier(filter) => fields.request_header_modifier = Some(filter),
            RouteFilter::ResponseHeaderModifier(filter) => fields.response_header_modifier = Some(filter),
            RouteFilter::RequestMirror(filter) => fields.request_mirror = Some(filter),
            RouteFilter::RequestRedirect(filter) => fields.request_redirect = Some(filter),
            RouteFilter::UrlRewrite(filter) => fields.url_rewrite = Some(filter),
            RouteFilter::Cors(filter) => fields.cors = Some(filter),
            RouteFilter::ExternalAuth(filter) => fields.external_auth = Some(filter),
            RouteFilter::ExtensionRef(filter) => fields.extension_ref = Some(filter),
        }
        fields
    }
}

impl RouteFilter {
    /// Its `type`.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::RequestHeaderModifier(_) => "RequestHeaderModifier",
            Self::ResponseHeaderModifier(_) => "ResponseHeaderModifier",
            Self::RequestMirror(_) => "RequestMirror",
            Self::RequestRedirect(_) => "RequestRedirect",
            Self::UrlRewrite(_) => "URLRewrite",
            Self::Cors(_) => "CORS",
            Self::ExternalAuth(_) => "ExternalAuth",
            Self::ExtensionRef(_) => "ExtensionRef",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn a_filter_has_the_field_of_its_type() {
        let read = |value| serde_json::from_value::<RouteFilter>(value);
        let filter = json!({"type": "URLRewrite", "urlRewrite": {"hostname": "a.com"}});
        assert_eq!(serde_json::to_value(read(filter.clone()).unwrap()).unwrap(), filter);
        assert!(read(json!({"type": "URLRewrite"})).is_err());
        assert!(read(json!({"type": "CORS", "urlRewrite": {}})).is_err());
        assert!(read(json!({"type": "CORS", "cors": {}, "urlRewrite": {}})).is_err());
        assert!(read(json!({"type": "Other"})).is_err());
    }

    #[test]
    fn a_mirror_has_a_share() {
        let share = |value| serde_json::from_value::<RequestMirror>(value).unwrap().share();
        assert_eq!(share(json!({"backendRef": {"name": "a"}})), 100.0);
        assert_eq!(share(json!({"backendRef": {"name": "a"}, "percent": 20})), 20.0);
        let fraction = json!({"backendRef": {"name": "a"}, "fraction": {"numerator": 1, "denominator": 8}});
        assert_eq!(share(fraction), 12.5);
    }
}
