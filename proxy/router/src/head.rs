//! What a route is chosen by.

use http::HeaderMap;

/// The head of a request, borrowed from wherever it is.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'a> {
    /// The host as [`normalize_host`](crate::normalize_host) gives it: lower case, no port, no trailing dot. Empty
    /// when the request names none.
    pub host: &'a str,
    /// The host as the client sent it, with port if it sent one (`:authority`, `host`). Empty when it sent none: no
    /// condition on it holds then.
    pub authority: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// `GET`, ...; case-sensitive (RFC 9110).
    pub method: &'a str,
    /// The path as sent, without query and fragment.
    pub path: &'a str,
    /// The query as sent, without the `?`; `None` when there is no `?`.
    pub query: Option<&'a str>,
    /// The header fields, without pseudo-headers.
    pub headers: &'a HeaderMap,
}
