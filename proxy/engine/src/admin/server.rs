//! As much of an HTTP server as the three ports need.

use std::{borrow::Cow, convert::Infallible, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONTENT_TYPE, ETAG},
};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_snapshot::manifest::Hash;
use tokio::net::TcpListener;

/// What is answered on one port.
pub trait Port: 'static {
    /// Answers a request. Its body is not read.
    fn answer(&self, request: Question<'_>) -> impl Future<Output = Answer>;
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// HEAD counts as GET; hyper leaves the body out.
    pub method: &'a Method,
    /// Without the query.
    pub path: &'a str,
    query: &'a str,
}

impl<'a> Question<'a> {
    /// The value of a query parameter, percent-decoded. A `+` is a plus.
    pub fn parameter(&self, name: &str) -> Option<Cow<'a, str>> {
        let value = self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy())
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    allow: Option<&'static str>,
    etag: Option<Hash>,
    body: Bytes,
}

impl Answer {
    /// Plain text; a newline is added.
    pub fn text(status: StatusCode, text: impl std::fmt::Display) -> Self {
        let body = format!("{text}\n").into();
        Self { status, content_type: "text/plain; charset=utf-8", allow: None, etag: None, body }
    }

    /// Bytes of this type.
    pub const fn of_type(content_type: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type, allow: None, etag: None, body }
    }

    /// Names this content (RFC 9110 section 8.8.3).
    pub fn with_etag(self, etag: Hash) -> Self {
        Self { etag: Some(etag), ..self }
    }

    /// A value as JSON.
    pub fn json(value: &impl serde::Serialize) -> Self {
        match serde_json::to_vec_pretty(value) {
            Ok(mut body) => {
                body.push(b'\n');
                Self::of_type("application/json", body.into())
            }
            Err(error) => Self::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    /// Only these methods make sense there (RFC 9110 section 15.5.6).
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let text = format_args!("method not allowed; there is {allow}");
        Self { allow: Some(allow), ..Self::text(StatusCode::METHOD_NOT_ALLOWED, text) }
    }

    /// There is nothing at that path, but at these.
    pub fn not_found(paths: &[&str]) -> Self {
        Self::text(StatusCode::NOT_FOUND, format_args!("not found; there is {}", paths.join(", ")))
    }
}

/// Answers on this socket until the future is dropped. Runs on a `LocalSet`.
pub async fn serve(listener: TcpListener, port: impl Port) {
    let port = Rc::new(port);
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No file descriptors left, for example: some may be free again soon.
                tracing::warn!(%error, "cannot accept on an own port");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let port = Rc::clone(&port);
        let service = service_fn(move |request| respond(Rc::clone(&port), request));
        tokio::task::spawn_local(
            http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn respond(
    port: Rc<impl Port>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let uri = request.uri();
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let question = Question { method, path: uri.path(), query: uri.query().unwrap_or_default() };
    let answer = port.answer(question).await;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if let Some(allow) = answer.allow {
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    }
    let etag = answer.etag.and_then(|etag| HeaderValue::try_from(format!("\"{etag}\"")).ok());
    response.headers_mut().extend(etag.map(|etag| (ETAG, etag)));
    Ok(response)
}
