//! Cross-origin resource sharing, as Envoy's filter does it: preflights are answered here, and responses say which origin
//! may see them.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request};
use postern_router::re2;
use postern_snapshot::model::{self, StringMatch};
use regex::bytes::Regex;

use super::headers::has_token;

/// A compiled [`model::CorsPolicy`].
#[derive(Debug)]
pub(super) struct Cors {
    origins: Box<[Origin]>,
    methods: Option<Allowed>,
    headers: Option<Allowed>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    credentials: bool,
    ignores_unmatched: bool,
}

/// A condition on an origin.
#[derive(Debug)]
enum Origin {
    Any,
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Regex(Regex),
}

/// What a preflight is told.
#[derive(Debug)]
enum Allowed {
    /// What it asks for.
    Asked,
    These(HeaderValue),
}

/// What a policy says about a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The origin, if it is allowed.
    pub(super) origin: Option<HeaderValue>,
    /// It is a preflight, and this is all of its answer but what [`Cors::tell`] adds.
    pub(super) answer: Option<HeaderMap>,
}

impl Cors {
    /// # Errors
    /// An expression is not RE2's, or a method or a name has what a header cannot hold.
    pub(super) fn compile(from: &model::CorsPolicy) -> Result<Self, String> {
        let credentials = from.allow_credentials;
        let expose: Vec<&str> = from
            .expose_headers
            .iter()
            .map(String::as_str)
            .filter(|name| !(credentials && *name == "*"))
            .collect();
        Ok(Self {
            origins: from.allow_origins.iter().map(Origin::compile).collect::<Result<_, _>>()?,
            methods: Allowed::compile(&from.allow_methods)?,
            headers: Allowed::compile(&from.allow_headers)?,
            expose: list(&expose)?,
            max_age: from.max_age.map(HeaderValue::from),
            credentials,
            ignores_unmatched: from.ignore_unmatched_preflights,
        })
    }

    pub(super) fn judge(&self, request: &request::Parts) -> Verdict {
        let origin = request.headers.get(header::ORIGIN).filter(|origin| !origin.is_empty());
        let Some(origin) = origin else { return Verdict { origin: None, answer: None } };
        let is_allowed = self.origins.iter().any(|allowed| allowed.is_match(origin.as_bytes()));
        let asked = request.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = asked.filter(|method| request.method == Method::OPTIONS && !method.is_empty());
        let answer = match asked {
            Some(method) if is_allowed => Some(self.allow(method, &request.headers)),
            Some(_) if self.ignores_unmatched => Some(HeaderMap::new()),
            _ => None,
        };
        Verdict { origin: is_allowed.then(|| origin.clone()), answer }
    }

    /// The answer to a preflight.
    fn allow(&self, method: &HeaderValue, asked: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        let asked_headers =
            asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|names| !names.is_empty());
        let fields: [(HeaderName, Option<&HeaderValue>); 3] = [
            (
                header::ACCESS_CONTROL_ALLOW_METHODS,
                self.methods.as_ref().and_then(|allowed| allowed.to(Some(method))),
            ),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                self.headers.as_ref().and_then(|allowed| allowed.to(asked_headers)),
            ),
            (header::ACCESS_CONTROL_MAX_AGE, self.max_age.as_ref()),
        ];
        for (name, value) in fields {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        headers
    }

    /// Tells in a response, over what was there, that this origin may see it; without one, nothing changes but that caches
    /// are told that it may be otherwise for others (Fetch, section 3.3.6).
    pub(super) fn tell(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        if !has_token(headers, &header::VARY, "origin") && !has_token(headers, &header::VARY, "*") {
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        let Some(origin) = origin else { return };
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Some(names) = &self.expose {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names.clone());
        }
    }
}

impl Origin {
    fn compile(from: &StringMatch) -> Result<Self, String> {
        Ok(match from {
            StringMatch::Exact(text) if text == "*" => Self::Any,
            StringMatch::Exact(text) => Self::Exact(text.as_bytes().into()),
            StringMatch::Prefix(text) => Self::Prefix(text.as_bytes().into()),
            StringMatch::Regex(pattern) => {
                Self::Regex(re2::full_match(pattern).map_err(|problem| format!("CORS: {problem}"))?)
            }
        })
    }

    fn is_match(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(text) => **text == *origin,
            Self::Prefix(text) => origin.starts_with(text),
            Self::Regex(regex) => regex.is_match(origin),
        }
    }
}

impl Allowed {
    fn compile(from: &[String]) -> Result<Option<Self>, String> {
        if from == ["*"] {
            return Ok(Some(Self::Asked));
        }
        Ok(list(from)?.map(Self::These))
    }

    fn to<'a>(&'a self, asked: Option<&'a HeaderValue>) -> Option<&'a HeaderValue> {
        match self {
            Self::Asked => asked,
            Self::These(value) => Some(value),
        }
    }
}

fn list<S: AsRef<str> + std::borrow::Borrow<str>>(items: &[S]) -> Result<Option<HeaderValue>, String> {
    if items.is_empty() {
        return Ok(None);
    }
    let text = items.join(",");
    HeaderValue::from_str(&text).map(Some).map_err(|_| format!("CORS: {text:?} is not a valid header value"))
}

#[cfg(test)]
#[path = "cors_tests.rs"]
mod tests;
