//! The status port, 15021: is the proxy ready, and what does it serve?

use std::{sync::Arc, time::Duration};

use http::{Method, StatusCode};

use super::server::{Answer, Port, Question};
use crate::progress::{self, Progress};

/// How long `?not=` waits when it does not say so.
const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);
/// And at most.
const MAX_PATIENCE: Duration = Duration::from_secs(300);

/// * `GET /healthz/ready`: 200 or 503 (Istio's path);
/// * `GET /healthz/live`: 200;
/// * `GET /snapshot`: an [`Ack`](postern_snapshot::ack::Ack). With `?not=` and the ETag of an answer without its quotes,
///   which is the hash of its body: as soon as the answer is another one, or after `timeout=` seconds (default 30, at
///   most 300).
#[derive(Debug)]
pub struct StatusPort {
    progress: Arc<Progress>,
}

impl StatusPort {
    /// About this progress.
    #[must_use]
    pub const fn new(progress: Arc<Progress>) -> Self {
        Self { progress }
    }

    async fn snapshot(&self, request: Question<'_>) -> Answer {
        let Some(known) = request.parameter("not") else {
            return said(self.progress.answer());
        };
        let patience = match request.parameter("timeout").map(|seconds| seconds.parse()) {
            None => DEFAULT_PATIENCE,
            Some(Ok(seconds)) => Duration::from_secs(seconds).min(MAX_PATIENCE),
            Some(Err(error)) => {
                return Answer::text(StatusCode::BAD_REQUEST, format_args!("timeout: {error}"));
            }
        };
        match known.parse() {
            Ok(known) => said(self.progress.answer_unless(known, patience).await),
            Err(error) => Answer::text(StatusCode::BAD_REQUEST, format_args!("not: {error}")),
        }
    }
}

fn said(answer: progress::Answer) -> Answer {
    Answer::of_type("application/json", answer.body).with_etag(answer.tag)
}

impl Port for StatusPort {
    async fn answer(&self, request: Question<'_>) -> Answer {
        if request.method != Method::GET {
            return Answer::method_not_allowed("GET");
        }
        match request.path {
            "/healthz/ready" => match self.progress.ready() {
                Ok(()) => Answer::text(StatusCode::OK, "ready"),
                Err(reason) => Answer::text(StatusCode::SERVICE_UNAVAILABLE, reason),
            },
            "/healthz/live" => Answer::text(StatusCode::OK, "live"),
            "/snapshot" => self.snapshot(request).await,
            _ => Answer::not_found(&["/healthz/ready", "/healthz/live", "/snapshot"]),
        }
    }
}
