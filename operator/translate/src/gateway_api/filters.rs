//! Filters of rules and backends → fields of Istio's rules.

use std::collections::BTreeMap;

use postern_api::gateway_api::filter::{
    Cors, HeaderModifier, HttpHeader, PathModifier, RequestMirror, RequestRedirect, RouteFilter, UrlRewrite,
};
use postern_api::istio::virtual_service::{
    CorsPolicy, HeaderOperations, Headers, HttpMirrorPolicy, HttpRedirect, HttpRewrite, RedirectPort,
    RedirectPortSelection, RegexRewrite, StringMatch, UnmatchedPreflights,
};
use postern_api::value::{Duration, Percent, Percentage};

use super::Context;
use super::backends;
use super::denial::Denial;
use super::routes::Route;
use crate::finding::Reason;

/// What the filters of a rule say.
#[derive(Default)]
pub(super) struct Filters {
    pub(super) headers: Option<Headers>,
    pub(super) redirect: Option<HttpRedirect>,
    pub(super) rewrite: Option<HttpRewrite>,
    pub(super) mirrors: Vec<HttpMirrorPolicy>,
    pub(super) cors: Option<CorsPolicy>,
    /// Backends of mirrors that cannot be used.
    pub(super) unresolved: Vec<Denial>,
    /// Filters that are not honoured.
    pub(super) unsupported: Vec<Denial>,
}

impl Filters {
    /// The filters of a rule.
    pub(super) fn of_rule(filters: &[RouteFilter], route: &Route<'_>, context: Context<'_>) -> Self {
        let mut found = Self::default();
        for filter in filters {
            found.add(filter, route, context);
        }
        found
    }

    /// The filters of a backend: of headers. Others are for rules, or not honoured.
    pub(super) fn of_backend(filters: &[RouteFilter]) -> Self {
        let mut found = Self::default();
        for filter in filters {
            if !found.add_headers(filter) {
                let message =
                    format!("filters of type {} are not honoured for one backend", filter.type_name());
                found.unsupported.push(Denial::new(Reason::UnsupportedValue, message));
            }
        }
        found
    }

    fn add(&mut self, filter: &RouteFilter, route: &Route<'_>, context: Context<'_>) {
        match filter {
            RouteFilter::RequestHeaderModifier(_) | RouteFilter::ResponseHeaderModifier(_) => {
                self.add_headers(filter);
            }
            RouteFilter::RequestRedirect(redirect) => self.redirect = Some(istio_redirect(redirect)),
            RouteFilter::UrlRewrite(rewrite) => self.rewrite = istio_rewrite(rewrite),
            RouteFilter::RequestMirror(mirror) => self.add_mirror(mirror, route, context),
            RouteFilter::Cors(cors) => self.cors = Some(istio_cors(cors)),
            RouteFilter::ExtensionRef(reference) => {
                let message = format!("extensionRef: {} is no filter that Postern knows", reference.kind);
                self.unresolved.push(Denial::new(Reason::InvalidKind, message.clone()));
                self.unsupported.push(Denial::new(Reason::UnsupportedValue, message));
            }
            RouteFilter::ExternalAuth(_) => {
                let message = "filters of type ExternalAuth are not honoured; requests of this rule get 500";
                self.unsupported.push(Denial::new(Reason::UnsupportedValue, message));
            }
        }
    }

    /// Takes a filter in, if it is one of headers.
    fn add_headers(&mut self, filter: &RouteFilter) -> bool {
        match filter {
            RouteFilter::RequestHeaderModifier(headers) => {
                self.headers.get_or_insert_default().request = Some(operations(headers));
            }
            RouteFilter::ResponseHeaderModifier(headers) => {
                self.headers.get_or_insert_default().response = Some(operations(headers));
            }
            _ => return false,
        }
        true
    }

    fn add_mirror(&mut self, mirror: &RequestMirror, route: &Route<'_>, context: Context<'_>) {
        match backends::destination(&mirror.backend_ref, route, context) {
            Ok(destination) => {
                // The smallest share that Istio knows is a millionth.
                let share = Percent::try_from(mirror.share()).unwrap_or_default();
                let percentage = (share != Percent::ALL).then_some(Percentage { value: share });
                self.mirrors.push(HttpMirrorPolicy { destination, percentage });
            }
            Err(denial) => self.unresolved.push(denial),
        }
    }
}

fn operations(modifier: &HeaderModifier) -> HeaderOperations {
    HeaderOperations {
        set: headers(&modifier.set),
        add: headers(&modifier.add),
        remove: modifier.remove.clone(),
    }
}

/// Of several with one name the first counts (Gateway API). Values are literal; in Istio's `%` begins a substitution.
fn headers(list: &[HttpHeader]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    for header in list {
        let value = || header.value.replace('%', "%%");
        headers.entry(header.name.to_ascii_lowercase()).or_insert_with(value);
    }
    headers
}

fn istio_redirect(redirect: &RequestRedirect) -> HttpRedirect {
    let RequestRedirect { scheme, hostname, path, port, status_code } = redirect;
    let (uri, prefix_rewrite) = match path {
        None => (None, None),
        Some(PathModifier::ReplaceFullPath(path)) => (Some(path.clone()), None),
        Some(PathModifier::ReplacePrefixMatch(prefix)) => (None, Some(prefix.clone())),
    };
    // Without a port: that of the scheme if there is one, or else that of the listener.
    let derived = match scheme {
        Some(_) => RedirectPortSelection::FromProtocolDefault,
        None => RedirectPortSelection::FromRequestPort,
    };
    HttpRedirect {
        uri,
        prefix_rewrite,
        authority: hostname.as_ref().map(ToString::to_string),
        port: Some(port.map_or(RedirectPort::Derived(derived), RedirectPort::Port)),
        scheme: scheme.clone(),
        code: *status_code,
    }
}

fn istio_rewrite(rewrite: &UrlRewrite) -> Option<HttpRewrite> {
    let authority = rewrite.hostname.as_ref().map(ToString::to_string);
    let (uri, regex) = match &rewrite.path {
        None => (None, None),
        // Istio takes nothing for "not set".
        Some(PathModifier::ReplacePrefixMatch(prefix)) if prefix.is_empty() => (Some("/".to_owned()), None),
        Some(PathModifier::ReplacePrefixMatch(prefix)) => (Some(prefix.clone()), None),
        Some(PathModifier::ReplaceFullPath(path)) => {
            // The whole path, whatever the match took.
            let rewrite = path.replace('\\', "\\\\");
            (None, Some(RegexRewrite { match_: "/.*".to_owned(), rewrite }))
        }
    };
    let found = HttpRewrite { uri, authority, uri_regex_rewrite: regex };
    (found != HttpRewrite::default()).then_some(found)
}

fn istio_cors(cors: &Cors) -> CorsPolicy {
    CorsPolicy {
        allow_origin: Vec::new(),
        allow_origins: cors.allow_origins.iter().map(|origin| allowed_origin(origin)).collect(),
        allow_methods: cors.allow_methods.clone(),
        allow_headers: cors.allow_headers.clone(),
        expose_headers: cors.expose_headers.clone(),
        max_age: Some(Duration::from(std::time::Duration::from_secs(cors.max_age.unwrap_or(5).into()))),
        allow_credentials: cors.allow_credentials,
        // A preflight that does not fit is answered, and not sent to the backend.
        unmatched_preflights: Some(UnmatchedPreflights::Ignore),
    }
}

/// An origin; a wildcard stands for one or more labels, or for every host. Browsers write hosts in lower case, and no
/// port that is the scheme's own (RFC 6454 section 6.2).
fn allowed_origin(origin: &str) -> StringMatch {
    if origin == "*" {
        return StringMatch::Regex(".*".to_owned());
    }
    let lower = origin.to_ascii_lowercase();
    let without_port = match lower.split_once("://") {
        Some(("http", host)) => host.strip_suffix(":80").map(|host| format!("http://{host}")),
        Some(("https", host)) => host.strip_suffix(":443").map(|host| format!("https://{host}")),
        _ => None,
    };
    let origin = without_port.unwrap_or(lower);
    match origin.split_once('*') {
        Some((scheme, rest)) => {
            let any = if rest.starts_with('.') { ANY_LABELS } else { ANY_HOST };
            StringMatch::Regex(format!("{}{any}{}", escape(scheme), escape(rest)))
        }
        None => StringMatch::Exact(origin),
    }
}

const ANY_LABELS: &str = "[^/:]+";
/// Also an IPv6 address.
const ANY_HOST: &str = "([^/:]+|\\[[^/]+\\])";

/// A text as an expression that only it fits.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if !character.is_alphanumeric() && !matches!(character, '/' | ':' | '-' | '_') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
