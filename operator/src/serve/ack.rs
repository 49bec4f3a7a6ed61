//! What a proxy says about its snapshots: its status port, asked again and again.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use postern_snapshot::ack::Ack;
use tokio::net::TcpStream;

/// How long the proxy may wait with its answer for something new. A refusal between two questions is seen after this.
const PATIENCE: Duration = Duration::from_secs(5);
/// A proxy that does not answer is asked again after this.
const RETRY: Duration = Duration::from_millis(20);
/// No ack is larger.
const MAX_LENGTH: usize = 64 * 1024 * 1024;
/// The hash of no snapshot: whatever is applied is news.
const NO_HASH: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// Tells every new answer, for ever. After a restart the proxy's answer is new.
pub(super) async fn follow(status: SocketAddr, tell: impl Fn(Ack)) {
    let mut known: Option<Ack> = None;
    loop {
        let applied = known.as_ref().and_then(|ack| ack.applied.as_ref());
        let not = applied.map_or_else(|| NO_HASH.to_owned(), |applied| applied.hash.to_string());
        let answer = tokio::time::timeout(PATIENCE * 2, ask(status, &not)).await;
        match answer.context("no answer").flatten() {
            Ok(ack) if known.as_ref() == Some(&ack) => {}
            Ok(ack) => {
                tell(ack.clone());
                known = Some(ack);
            }
            Err(error) => {
                tracing::debug!(%status, error = format!("{error:#}"), "the proxy does not answer");
                known = None;
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

async fn ask(status: SocketAddr, not: &str) -> anyhow::Result<Ack> {
    let stream = TcpStream::connect(status).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = format!("/snapshot?not={not}&timeout={}", PATIENCE.as_secs());
    let request = Request::get(path)
        .header(header::HOST, status.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "status {}", response.status());
        let body = Limited::new(response.into_body(), MAX_LENGTH).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok(serde_json::from_slice(&body)?)
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
