//! As much of an HTTP server as the three ports need.

use std::{convert::Infallible, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// What is answered on one port.
pub trait Port: 'static {
    /// Answers a request. Its body is not read.
    fn answer(&self, request: Question<'_>) -> impl Future<Output = Answer>;
}

/// What was asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// GET or POST.
    pub method: &'a Method,
    /// Without the query.
    pub path: &'a str,
    query: &'a str,
}

impl<'a> Question<'a> {
    /// The value of a query parameter as it was sent.
    pub fn parameter(&self, name: &str) -> Option<&'a str> {
        self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What is answered.
#[derive(Debug)]
pub struct Answer {
    status: StatusCode,
    content_type: &'static str,
    body: Bytes,
}

impl Answer {
    /// Plain text; a newline is added.
    pub fn text(status: StatusCode, text: impl std::fmt::Display) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: format!("{text}\n").into() }
    }

    /// Bytes of this type.
    pub const fn of_type(content_type: &'static str, body: Bytes) -> Self {
        Self { status: StatusCode::OK, content_type, body }
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
    let question =
        Question { method: request.method(), path: uri.path(), query: uri.query().unwrap_or_default() };
    let answer = port.answer(question).await;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    Ok(response)
}
