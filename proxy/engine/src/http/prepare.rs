//! From the request that was received to the one that the upstream gets: the route's and the target's changes, and the
//! form that the upstream's protocol wants.

use std::borrow::Cow;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header, request, uri};
use postern_router::PathMatched;
use postern_snapshot::model::UpstreamProtocol;

use super::{
    compile::{Forward, HostRewrite, Route},
    forward::FIRST_ATTEMPT,
    header_ops::HeaderOps,
    headers::{Seen, X_ENVOY_ATTEMPT_COUNT, X_ENVOY_ORIGINAL_PATH, X_FORWARDED_HOST},
    log::LogFacts,
    receive::{Received, UpgradeRequest, with_path},
};

/// All that decides what the upstream gets.
#[derive(Clone, Copy)]
pub(super) struct Prepare<'a> {
    pub(super) route: &'a Route,
    pub(super) action: &'a Forward,
    pub(super) target_headers: Option<&'a HeaderOps>,
    pub(super) host_rewrite: Option<&'a HostRewrite>,
    pub(super) protocol: UpstreamProtocol,
    pub(super) received: &'a Received,
    pub(super) upgrade: Option<&'a UpgradeRequest>,
    pub(super) matched: PathMatched,
}

/// The configured changes make no valid request of this one.
#[derive(Debug)]
pub(super) struct Impossible;

impl Prepare<'_> {
    pub(super) fn run(
        &self,
        request: &mut request::Parts,
        log: Option<&mut LogFacts>,
    ) -> Result<(), Impossible> {
        // The contract: the route's changes, then the target's, then the virtual host's.
        for ops in [self.route.request_headers.as_deref(), self.target_headers].into_iter().flatten() {
            ops.apply(&mut request.headers);
        }
        if let Some(host) = &self.route.host {
            host.request.apply(&mut request.headers);
        }
        self.rewrite_path(request, log)?;
        if self.host_rewrite.is_some() {
            self.tell_original_host(&mut request.headers);
        }
        match self.protocol {
            // The contract has no routes to clusters for datagrams.
            UpstreamProtocol::Http1 | UpstreamProtocol::Udp => self.for_http1(request)?,
            UpstreamProtocol::Http2 => self.for_http2(request)?,
        }
        request.headers.insert(X_ENVOY_ATTEMPT_COUNT, FIRST_ATTEMPT);
        Ok(())
    }

    fn rewrite_path(
        &self,
        request: &mut request::Parts,
        log: Option<&mut LogFacts>,
    ) -> Result<(), Impossible> {
        let Some(rewrite) = &self.action.path_rewrite else { return Ok(()) };
        let new = match rewrite.apply(request.uri.path(), self.matched) {
            Cow::Borrowed(_) => return Ok(()),
            Cow::Owned(new) => new,
        };
        let uri = with_path(&request.uri, &new).ok_or(Impossible)?;
        let original = request.uri.path_and_query().map_or("/", |path| path.as_str());
        let original = HeaderValue::from_str(original).map_err(|_| Impossible)?;
        request.headers.insert(X_ENVOY_ORIGINAL_PATH, original);
        request.uri = uri;
        if let Some(log) = log {
            log.rewritten(request.uri.path_and_query().map_or("/", |path| path.as_str()));
        }
        Ok(())
    }

    /// A trusted proxy may have told the host that the client asked for already.
    fn tell_original_host(&self, headers: &mut HeaderMap) {
        if let header::Entry::Vacant(entry) = headers.entry(X_FORWARDED_HOST)
            && let Ok(host) = HeaderValue::from_str(self.received.authority())
        {
            entry.insert(host);
        }
    }

    /// Origin form and `host` (RFC 9112 section 3.2.1).
    fn for_http1(&self, request: &mut request::Parts) -> Result<(), Impossible> {
        let from_uri = request.uri.authority().is_some();
        if from_uri {
            let path = request.uri.path_and_query().cloned();
            request.uri = Uri::from(path.unwrap_or(uri::PathAndQuery::from_static("/")));
        }
        if let Some(rewrite) = self.host_rewrite {
            request.headers.insert(header::HOST, rewrite.value.clone());
        } else if from_uri {
            let host = HeaderValue::from_str(self.received.authority()).map_err(|_| Impossible)?;
            request.headers.insert(header::HOST, host);
        }
        if self.received.seen.any(Seen::COOKIE) {
            join_cookies(&mut request.headers);
        }
        if let Some(upgrade) = self.upgrade {
            ask_for_upgrade(request, upgrade);
        }
        Ok(())
    }

    /// Scheme and authority in the URI instead of `host` (RFC 9113 section 8.3.1).
    fn for_http2(&self, request: &mut request::Parts) -> Result<(), Impossible> {
        let authority = match (self.host_rewrite, request.uri.authority()) {
            (Some(rewrite), _) => rewrite.authority.clone(),
            (None, Some(authority)) => authority.clone(),
            (None, None) => {
                let host = Bytes::copy_from_slice(self.received.authority().as_bytes());
                uri::Authority::from_maybe_shared(host).map_err(|_| Impossible)?
            }
        };
        if self.received.seen.any(Seen::HOST) {
            request.headers.remove(header::HOST);
        }
        let mut parts = uri::Parts::default();
        parts.scheme = Some(match self.received.client.scheme {
            super::forwarded::Scheme::Http => uri::Scheme::HTTP,
            super::forwarded::Scheme::Https => uri::Scheme::HTTPS,
        });
        parts.authority = Some(authority);
        let path = request.uri.path_and_query().cloned();
        parts.path_and_query = Some(path.unwrap_or(uri::PathAndQuery::from_static("/")));
        request.uri = Uri::from_parts(parts).map_err(|_| Impossible)?;
        Ok(())
    }
}

/// HTTP/2 may split `cookie` over several fields, HTTP/1.1 may not (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let header::Entry::Occupied(mut entry) = headers.entry(header::COOKIE) else { return };
    if entry.iter().count() < 2 {
        return;
    }
    let crumbs: Vec<&[u8]> = entry.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::from_maybe_shared(Bytes::from(crumbs.join(&b"; "[..]))) {
        entry.insert(joined);
    }
}

/// Only HTTP/1.1 upstreams are asked to switch protocols; others get a plain request.
pub(super) const fn can_upgrade(protocol: UpstreamProtocol) -> bool {
    matches!(protocol, UpstreamProtocol::Http1)
}

fn ask_for_upgrade(request: &mut request::Parts, upgrade: &UpgradeRequest) {
    request.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers.insert(header::UPGRADE, upgrade.protocol.clone());
    if !upgrade.extended_connect {
        return;
    }
    // RFC 8441 section 5: over HTTP/2 there is no key; over HTTP/1.1 there must be one.
    request.method = Method::GET;
    if upgrade.protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && let Ok(key) = HeaderValue::from_str(&STANDARD.encode(fastrand::u128(..).to_be_bytes()))
    {
        request.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    }
}

/// The host that an upstream's TLS handshake asks for when the cluster names none.
pub(super) fn tls_host(received: &Received, host_rewrite: Option<&HostRewrite>) -> String {
    let authority = match host_rewrite {
        Some(rewrite) => rewrite.authority.as_str(),
        None => received.authority(),
    };
    postern_router::normalize_host(authority).into_owned()
}
