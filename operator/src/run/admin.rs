//! The operator's own port: `/metrics` for Prometheus, `/healthz` and `/readyz` for kubelet.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::Instant;

use super::metrics::{CONTENT_TYPE as OPENMETRICS, Metrics};

/// A loop that has not turned for this long hangs.
const HANGS: Duration = Duration::from_secs(60);
/// No file descriptors left, for example: some may be free again soon.
const PAUSE: Duration = Duration::from_millis(100);

/// What the answers are made of.
#[derive(Clone)]
pub(super) struct Admin {
    pub(super) metrics: Arc<Metrics>,
    pub(super) ready: watch::Receiver<bool>,
    pub(super) alive: watch::Receiver<Instant>,
}

impl Admin {
    /// Binds the address and answers there.
    pub(super) async fn start(self, address: SocketAddr) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
        tokio::spawn(self.serve(listener));
        Ok(())
    }

    async fn serve(self, listener: TcpListener) {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let admin = self.clone();
            let service = service_fn(move |request| {
                let response = admin.answer(&request);
                async { Ok::<_, Infallible>(response) }
            });
            let mut server = http1::Builder::new();
            server.timer(TokioTimer::new());
            tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
        }
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let unavailable = StatusCode::SERVICE_UNAVAILABLE;
        match request.uri().path() {
            "/metrics" => respond(StatusCode::OK, OPENMETRICS, self.metrics.render()),
            "/healthz" if self.alive.borrow().elapsed() > HANGS => text(unavailable, "the loop hangs\n"),
            "/readyz" if !*self.ready.borrow() => text(unavailable, "not everything has been read yet\n"),
            "/healthz" | "/readyz" => text(StatusCode::OK, "ok\n"),
            _ => text(StatusCode::NOT_FOUND, "not found; there is /metrics, /healthz, /readyz\n"),
        }
    }
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    respond(status, "text/plain; charset=utf-8", text.to_owned())
}

fn respond(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
