//! The first phase: is this a request that can be served, who sends it, and what of it goes on.

use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request, uri};
use hyper::{ext::Protocol, upgrade::OnUpgrade};
use postern_telemetry::Reason;

use super::{
    connection::Connection,
    forwarded::{self, Client},
    headers::{self, Seen},
    normalize::PathRules,
    settings::Settings,
};

/// More fields than this are too many (Envoy).
const MOST_HEADERS: usize = 100;

/// A request as the next phases want it: with the path in normal form, without what ended with the client's hop, and
/// with what the upstream is told about the client.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) client: Client,
    pub(super) seen: Seen,
    pub(super) grpc: bool,
    pub(super) upgrade: Option<Box<UpgradeRequest>>,
    /// The client is to ask there.
    pub(super) redirect: Option<Box<HeaderValue>>,
    authority: Authority,
}

/// The host, with port if the client sent one.
#[derive(Debug)]
enum Authority {
    Header(HeaderValue),
    Uri(uri::Authority),
    None,
}

/// The client wants another protocol.
#[derive(Debug)]
pub(super) struct UpgradeRequest {
    /// Its name: `websocket`.
    pub(super) protocol: HeaderValue,
    /// Becomes the client's byte stream.
    pub(super) client: OnUpgrade,
    /// By an HTTP/2 extended CONNECT (RFC 8441).
    pub(super) extended_connect: bool,
}

impl Received {
    /// The host, with port if the client sent one; empty if it sent none.
    pub(super) fn authority(&self) -> &str {
        match &self.authority {
            Authority::Header(value) => value.to_str().unwrap_or_default(),
            Authority::Uri(authority) => authority.as_str(),
            Authority::None => "",
        }
    }

    pub(super) const fn is_extended_connect(&self) -> bool {
        matches!(&self.upgrade, Some(upgrade) if upgrade.extended_connect)
    }
}

/// Receives a request. The reason is why it is not served; then nobody reads the rest.
pub(super) fn receive(
    connection: &Connection,
    settings: &Settings,
    request: &mut request::Parts,
) -> (Received, Option<Reason>) {
    let seen = Seen::of(&request.headers);
    let authority = authority(request, seen);
    let mut problem = authority.as_ref().err().copied().or_else(|| problem_of(request));
    let mut redirect = None;
    if problem.is_none() {
        match normalize_path(request, &settings.path) {
            Ok(to) => redirect = to.map(Box::new),
            Err(reason) => problem = Some(reason),
        }
    }
    let upgrade = upgrade(request, seen).map(Box::new);
    headers::remove_hop_by_hop(&mut request.headers, seen);
    if seen.any(Seen::EXPECT) && expects_continue(&request.headers) {
        // hyper sends the 100 when the body is asked for, so when the upstream has a connection.
        request.headers.remove(header::EXPECT);
    }
    let id = forwarded::request_id(&mut connection.worker.rng.borrow_mut());
    let client = connection.peer.describe(&mut request.headers, seen, settings.trust, id);
    let grpc = seen.any(Seen::CONTENT_TYPE) && is_grpc(&request.headers);
    let authority = authority.unwrap_or(Authority::None);
    let received = Received { client, seen, grpc, upgrade, redirect, authority };
    (received, problem)
}

/// The host of an absolute URI (always so in HTTP/2) or of the `host` field. Where both are, they must agree: whoever
/// comes after us might look at the other one.
fn authority(request: &request::Parts, seen: Seen) -> Result<Authority, Reason> {
    let mut hosts =
        seen.any(Seen::HOST).then(|| request.headers.get_all(header::HOST).iter()).into_iter().flatten();
    let (host, second) = (hosts.next(), hosts.next());
    if second.is_some() {
        return Err(Reason::DownstreamProtocolError);
    }
    match (request.uri.authority(), host) {
        (None, None) => Err(Reason::MissingHost),
        (None, Some(host)) => {
            if is_valid_host(host.as_bytes()) {
                Ok(Authority::Header(host.clone()))
            } else {
                Err(Reason::DownstreamProtocolError)
            }
        }
        (Some(authority), host) => {
            let agree =
                host.is_none_or(|host| host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()));
            if agree && !authority.as_str().contains('@') {
                Ok(Authority::Uri(authority.clone()))
            } else {
                Err(Reason::DownstreamProtocolError)
            }
        }
    }
}

/// Only what may be in `host [":" port]` (RFC 9110 section 7.2).
fn is_valid_host(host: &[u8]) -> bool {
    const ALLOWED: [bool; 256] = {
        let mut allowed = [false; 256];
        let marks = b"-._~!$&'()*+,;=%:[]";
        let mut byte = 0;
        while byte < allowed.len() {
            allowed[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut mark = 0;
        while mark < marks.len() {
            allowed[marks[mark] as usize] = true;
            mark += 1;
        }
        allowed
    };
    !host.is_empty() && host.iter().all(|byte| ALLOWED[usize::from(*byte)])
}

fn problem_of(request: &request::Parts) -> Option<Reason> {
    if request.version < Version::HTTP_11 {
        // As Istio without PILOT_HTTP10.
        return Some(Reason::LowVersion);
    }
    if request.version == Version::HTTP_2 && request.headers.len() > MOST_HEADERS {
        return Some(Reason::RequestHeadersTooLarge);
    }
    let path = request.uri.path();
    let is_path = path.starts_with('/')
        || request.method == Method::CONNECT
        || (path == "*" && request.method == Method::OPTIONS);
    if is_path { None } else { Some(Reason::InvalidPath) }
}

/// Returns where the client is to be sent because of its path, if it is.
fn normalize_path(request: &mut request::Parts, rules: &PathRules) -> Result<Option<HeaderValue>, Reason> {
    const FAILED: Reason = Reason::PathNormalizationFailed;
    let Some(changed) = rules.apply(request.uri.path()).map_err(|_| FAILED)? else { return Ok(None) };
    request.uri = with_path(&request.uri, &changed.path).ok_or(FAILED)?;
    if !changed.redirect {
        return Ok(None);
    }
    let location = request.uri.path_and_query().map_or("/", |path| path.as_str());
    HeaderValue::from_str(location).map(Some).map_err(|_| FAILED)
}

/// The same URI with another path and the same query; `None` if that is no path.
pub(super) fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let mut text = String::with_capacity(path.len() + 1 + uri.query().map_or(0, str::len));
    text.push_str(path);
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(uri::PathAndQuery::from_maybe_shared(bytes::Bytes::from(text)).ok()?);
    Uri::from_parts(parts).ok()
}

/// What the client wants to upgrade to, if that is something this proxy passes on. HTTP/2 and TLS are not: they would
/// carry requests past the routes (`h2c` smuggling); such wishes are ignored, as they may be (RFC 9110 section 7.8).
fn upgrade(request: &mut request::Parts, seen: Seen) -> Option<UpgradeRequest> {
    let client = request.extensions.remove::<OnUpgrade>()?;
    if let Some(protocol) = request.extensions.remove::<Protocol>() {
        let protocol = HeaderValue::from_str(protocol.as_str()).ok()?;
        return Some(UpgradeRequest { protocol, client, extended_connect: true });
    }
    if !seen.any(Seen::UPGRADE) || !headers::has_token(&request.headers, &header::CONNECTION, "upgrade") {
        return None;
    }
    let protocol = request.headers.get(header::UPGRADE)?;
    let refused = [&b"h2c"[..], b"h2", b"http/", b"tls/"];
    let name = protocol.as_bytes();
    let is_refused =
        |start: &&[u8]| name.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    if refused.iter().any(is_refused) || name.contains(&b',') {
        return None;
    }
    Some(UpgradeRequest { protocol: protocol.clone(), client, extended_connect: false })
}

fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(header::EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// `application/grpc`, also with a suffix or parameters (Envoy).
fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return false };
    let rest = value.as_bytes().strip_prefix(b"application/grpc");
    matches!(rest.map(<[u8]>::first), Some(None | Some(b'+' | b';')))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn parts(uri: &'static str, fields: &[(&'static str, &'static str)]) -> request::Parts {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in fields {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    fn authority_of(uri: &'static str, fields: &[(&'static str, &'static str)]) -> Result<String, Reason> {
        let parts = parts(uri, fields);
        let seen = Seen::of(&parts.headers);
        authority(&parts, seen).map(|authority| match authority {
            Authority::Header(value) => value.to_str().unwrap().to_owned(),
            Authority::Uri(authority) => authority.to_string(),
            Authority::None => String::new(),
        })
    }

    #[test]
    fn the_host_is_one() {
        assert_eq!(authority_of("/", &[("host", "a:80")]), Ok("a:80".into()));
        assert_eq!(authority_of("http://a/x", &[]), Ok("a".into()));
        assert_eq!(authority_of("http://a/x", &[("host", "A")]), Ok("a".into()));
        assert_eq!(authority_of("/", &[]), Err(Reason::MissingHost));
        for (uri, fields) in [
            ("/", &[("host", "a"), ("host", "a")][..]),
            ("http://a/", &[("host", "b")]),
            ("http://u@a/", &[]),
            ("/", &[("host", "")]),
            ("/", &[("host", "a/b")]),
            ("/", &[("host", "a b")]),
            ("/", &[("host", "u@a")]),
        ] {
            assert_eq!(authority_of(uri, fields), Err(Reason::DownstreamProtocolError), "{uri} {fields:?}");
        }
    }

    #[test]
    fn grpc_by_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc;charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            assert_eq!(is_grpc(&parts("/", &[("content-type", value)]).headers), expected, "{value}");
        }
    }

    #[test]
    fn a_path_can_be_replaced() {
        let uri = Uri::from_static("http://a/b?c=d");
        assert_eq!(with_path(&uri, "/x").unwrap(), "http://a/x?c=d");
        assert_eq!(with_path(&Uri::from_static("/b"), "/x").unwrap(), "/x");
        assert_eq!(with_path(&uri, "/x y"), None);
    }

    #[test]
    fn http_1_requests_need_a_path() {
        assert_eq!(problem_of(&parts("/", &[])), None);
        assert_eq!(problem_of(&parts("*", &[])), Some(Reason::InvalidPath));
        let mut options = parts("*", &[]);
        options.method = Method::OPTIONS;
        assert_eq!(problem_of(&options), None);
        options.version = Version::HTTP_10;
        assert_eq!(problem_of(&options), Some(Reason::LowVersion));
    }
}
