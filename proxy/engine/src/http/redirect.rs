//! Answers that send the client elsewhere.

use http::{HeaderValue, StatusCode};
use postern_router::PathMatched;
use postern_snapshot::{
    Port,
    model::{self, HttpsRedirect, RedirectPath, RedirectPort},
};

use super::{forwarded::Scheme, rewrite::replace_matched};

/// A compiled [`model::Redirect`].
#[derive(Debug)]
pub(super) struct Redirect {
    pub(super) status: StatusCode,
    scheme: Option<Box<str>>,
    host: Option<Box<str>>,
    port: RedirectPort,
    path: Option<RedirectPath>,
    /// The port that clients know.
    service_port: Port,
}

/// What of a request a redirect looks at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) scheme: Scheme,
    /// The host, with port if the client sent one.
    pub(super) authority: &'a str,
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
}

impl Redirect {
    /// # Errors
    /// The status is none of 300 to 399.
    pub(super) fn compile(from: &model::Redirect, service_port: Port) -> Result<Self, String> {
        let status = StatusCode::from_u16(from.status)
            .ok()
            .filter(StatusCode::is_redirection)
            .ok_or_else(|| format!("redirect: {} is not a status of 300 to 399", from.status))?;
        Ok(Self {
            status,
            scheme: from.scheme.as_deref().map(Into::into),
            host: from.host.as_deref().map(Into::into),
            port: from.port,
            path: from.path.clone(),
            service_port,
        })
    }

    /// The `location`; `None` when parts of the configuration and the request make no valid one.
    pub(super) fn location(&self, asked: Asked<'_>, matched: PathMatched) -> Option<HeaderValue> {
        let scheme = self.scheme.as_deref().unwrap_or(asked.scheme.as_str());
        let (asked_host, asked_port) = split_port(asked.authority);
        let host = self.host.as_deref().unwrap_or(asked_host);
        let mut out = String::with_capacity(64);
        out.push_str(scheme);
        out.push_str("://");
        out.push_str(host);
        match self.port {
            RedirectPort::FromHost => {
                if scheme == asked.scheme.as_str() && self.host.is_none() {
                    push_port(&mut out, asked_port);
                }
            }
            RedirectPort::Number(port) => push_unless_default(&mut out, scheme, port),
            RedirectPort::ProtocolDefault => {}
            RedirectPort::RequestPort => push_unless_default(&mut out, scheme, self.service_port),
        }
        match &self.path {
            None => out.push_str(asked.path),
            Some(RedirectPath::Full(path)) => out.push_str(path),
            Some(RedirectPath::Prefix(new)) => out.push_str(&replace_matched(asked.path, matched, new)),
        }
        let has_query = matches!(&self.path, Some(RedirectPath::Full(path)) if path.contains('?'));
        if !has_query {
            push_query(&mut out, asked.query);
        }
        HeaderValue::from_maybe_shared(bytes::Bytes::from(out)).ok()
    }
}

/// The `location` of Istio's `httpsRedirect`.
pub(super) fn https_location(redirect: HttpsRedirect, asked: Asked<'_>) -> Option<HeaderValue> {
    let mut out = String::with_capacity(64);
    out.push_str("https://");
    out.push_str(split_port(asked.authority).0);
    if let Some(port) = redirect.port {
        push_unless_default(&mut out, "https", port);
    }
    out.push_str(asked.path);
    push_query(&mut out, asked.query);
    HeaderValue::from_maybe_shared(bytes::Bytes::from(out)).ok()
}

/// Host and port, the host of an IPv6 address with its brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    let host_ends = authority.rfind(']').map_or(0, |end| end + 1);
    match authority.get(host_ends..).and_then(|rest| rest.rfind(':')) {
        Some(colon) => match authority.split_at_checked(host_ends + colon) {
            Some((host, port)) => (host, port.get(1..)),
            None => (authority, None),
        },
        None => (authority, None),
    }
}

fn push_port(out: &mut String, port: Option<&str>) {
    if let Some(port) = port {
        out.push(':');
        out.push_str(port);
    }
}

fn push_unless_default(out: &mut String, scheme: &str, port: Port) {
    let default = match scheme {
        "http" => Scheme::Http.default_port(),
        "https" => Scheme::Https.default_port(),
        _ => 0,
    };
    if port.number() != default {
        push_port(out, Some(&port.to_string()));
    }
}

fn push_query(out: &mut String, query: Option<&str>) {
    if let Some(query) = query {
        out.push('?');
        out.push_str(query);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn asked() -> Asked<'static> {
        Asked { scheme: Scheme::Http, authority: "example.com:8080", path: "/app/x", query: Some("q=1") }
    }

    fn redirect() -> model::Redirect {
        model::Redirect { status: 301, scheme: None, host: None, port: RedirectPort::FromHost, path: None }
    }

    fn location(from: &model::Redirect, asked: Asked<'_>) -> String {
        let compiled = Redirect::compile(from, Port::new(8443).unwrap()).unwrap();
        compiled.location(asked, PathMatched::Prefix(4)).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn what_is_not_given_stays() {
        assert_eq!(location(&redirect(), asked()), "http://example.com:8080/app/x?q=1");
        let v6 = Asked { authority: "[::1]:81", ..asked() };
        assert_eq!(location(&redirect(), v6), "http://[::1]:81/app/x?q=1");
        let v6 = Asked { authority: "[::1]", query: None, ..asked() };
        assert_eq!(location(&redirect(), v6), "http://[::1]/app/x");
    }

    #[test]
    fn the_port_of_the_host_goes_with_another_scheme_or_host() {
        let from = model::Redirect { scheme: Some("https".into()), ..redirect() };
        assert_eq!(location(&from, asked()), "https://example.com/app/x?q=1");
        let from = model::Redirect { host: Some("other.com".into()), ..redirect() };
        assert_eq!(location(&from, asked()), "http://other.com/app/x?q=1");
        let from = model::Redirect { scheme: Some("http".into()), ..redirect() };
        assert_eq!(location(&from, asked()), "http://example.com:8080/app/x?q=1");
    }

    #[test]
    fn a_port_is_named_unless_it_is_the_schemes_default() {
        let port = |number| RedirectPort::Number(Port::new(number).unwrap());
        for (port, scheme, expected) in [
            (port(8443), Some("https"), "https://example.com:8443/app/x?q=1"),
            (port(443), Some("https"), "https://example.com/app/x?q=1"),
            (port(80), None, "http://example.com/app/x?q=1"),
            (port(80), Some("https"), "https://example.com:80/app/x?q=1"),
            (RedirectPort::ProtocolDefault, None, "http://example.com/app/x?q=1"),
            (RedirectPort::RequestPort, Some("https"), "https://example.com:8443/app/x?q=1"),
        ] {
            let from = model::Redirect { port, scheme: scheme.map(Into::into), ..redirect() };
            assert_eq!(location(&from, asked()), expected);
        }
    }

    #[test]
    fn the_path_is_replaced_as_a_whole_or_in_part() {
        for (path, expected) in [
            (RedirectPath::Full("/new".into()), "http://example.com:8080/new?q=1"),
            (RedirectPath::Full("/new?r=2".into()), "http://example.com:8080/new?r=2"),
            (RedirectPath::Prefix("/new".into()), "http://example.com:8080/new/x?q=1"),
        ] {
            assert_eq!(location(&model::Redirect { path: Some(path), ..redirect() }, asked()), expected);
        }
    }

    #[test]
    fn https_redirects_name_no_port_or_the_servers() {
        let to = |port| https_location(HttpsRedirect { port }, asked()).unwrap().to_str().unwrap().to_owned();
        assert_eq!(to(None), "https://example.com/app/x?q=1");
        assert_eq!(to(Port::new(8443)), "https://example.com:8443/app/x?q=1");
        assert_eq!(to(Port::new(443)), "https://example.com/app/x?q=1");
    }

    #[test]
    fn other_statuses_are_refused() {
        for status in [200, 299, 400, 0, 1000] {
            let from = model::Redirect { status, ..redirect() };
            assert!(Redirect::compile(&from, Port::new(80).unwrap()).is_err(), "{status}");
        }
    }
}
