//! What a proxy says about its snapshots: its status port, asked again and again.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use postern_snapshot::ack::Ack;
use postern_snapshot::manifest::Hash;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// How long the proxy may wait with its answer for something new.
const PATIENCE: Duration = Duration::from_secs(30);
/// Without an answer for this much longer, the proxy is asked again.
const GRACE: Duration = Duration::from_secs(5);
/// A proxy that does not answer is asked again after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(20);
/// But never later than this.
const LONGEST_RETRY: Duration = Duration::from_millis(500);
/// A proxy that has not answered for this long may serve something else by now.
const TRUST: Duration = Duration::from_secs(3);
/// No ack is larger.
const MAX_LENGTH: usize = 64 * 1024 * 1024;

/// Tells every new answer, for ever; and `None`, when a proxy does not answer any more.
pub(crate) async fn follow(status: SocketAddr, tell: impl Fn(Option<Ack>)) {
    let mut known = None;
    let mut heard = false;
    let mut silence: Option<(Instant, Duration)> = None;
    loop {
        let answer = tokio::time::timeout(PATIENCE + GRACE, ask(status, known)).await;
        match answer.context("no answer").flatten() {
            Ok((hash, _)) if known == Some(hash) => silence = None,
            Ok((hash, ack)) => {
                tell(Some(ack));
                heard = true;
                known = Some(hash);
                silence = None;
            }
            Err(error) => {
                tracing::debug!(%status, error = format!("{error:#}"), "the proxy does not answer");
                let (since, retry) = silence.unwrap_or((Instant::now(), FIRST_RETRY));
                // Whoever answers next may be another process: whatever it says is told.
                known = None;
                if since.elapsed() > TRUST && std::mem::take(&mut heard) {
                    tell(None);
                }
                tokio::time::sleep(retry).await;
                silence = Some((since, (retry * 2).min(LONGEST_RETRY)));
            }
        }
    }
}

/// Asks for another answer than the one with the hash `known`. Gives its hash too.
async fn ask(status: SocketAddr, known: Option<Hash>) -> anyhow::Result<(Hash, Ack)> {
    let stream = TcpStream::connect(status).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = match known {
        Some(known) => format!("/snapshot?not={known}&timeout={}", PATIENCE.as_secs()),
        None => "/snapshot".to_owned(),
    };
    let request = Request::get(path)
        .header(header::HOST, status.to_string())
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        ensure!(response.status() == StatusCode::OK, "status {}", response.status());
        let body = Limited::new(response.into_body(), MAX_LENGTH).collect().await;
        let body = body.map_err(anyhow::Error::from_boxed)?.to_bytes();
        Ok((Hash::of(&body), serde_json::from_slice(&body)?))
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}
