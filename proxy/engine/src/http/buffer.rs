//! Requests that are sent on when all of them is here (Envoy's `buffer` filter).

use std::{pin::pin, rc::Rc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header, request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use postern_telemetry::Reason;

use super::{
    body::{RequestBody, ResponseBody},
    deadline,
    exchange::Exchange,
    forward::{self, Forwarding},
    local_reply::{self, LocalReply},
    mirror::Copy,
    progress::Progress,
};

/// Memory for so much is taken before it came.
const MOST_AHEAD: u64 = 64 * 1024;

/// A body that is here.
#[derive(Debug, Clone, Default)]
pub(super) struct Whole {
    content: Bytes,
    trailers: Option<HeaderMap>,
}

/// One reading of it.
#[derive(Debug)]
pub(super) struct WholeBody(Whole);

impl Whole {
    /// From its beginning.
    pub(super) fn read(&self) -> WholeBody {
        WholeBody(self.clone())
    }
}

impl WholeBody {
    pub(super) fn next(&mut self) -> Option<Frame<Bytes>> {
        if !self.0.content.is_empty() {
            return Some(Frame::data(std::mem::take(&mut self.0.content)));
        }
        self.0.trailers.take().map(Frame::trailers)
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.0.content.is_empty() && self.0.trailers.is_none()
    }

    /// Without trailers it is exact: an HTTP/1.1 upstream is told the length then, and else gets chunks, which can have
    /// trailers.
    pub(super) fn size_hint(&self) -> SizeHint {
        let length = self.0.content.len() as u64;
        let mut hint = SizeHint::with_exact(length);
        if self.0.trailers.is_some() {
            hint = SizeHint::new();
            hint.set_lower(length);
        }
        hint
    }
}

/// Is its body too long, by what its head says?
pub(super) fn is_too_long(request: &request::Parts, most: u32) -> bool {
    content_length(&request.headers).is_some_and(|length| length > u64::from(most))
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The answer to a request whose body is too long. Nobody reads the rest.
pub(super) fn too_long() -> LocalReply {
    LocalReply::new(Reason::RequestPayloadTooLarge).and_close()
}

/// A request that is prepared but for its body.
pub(super) struct Buffering {
    pub(super) exchange: Box<Exchange>,
    pub(super) request: request::Parts,
    pub(super) body: Incoming,
    /// In bytes.
    pub(super) most: u32,
    pub(super) tls_host: Option<String>,
    /// For mirrors, which get them when the body is here.
    pub(super) copies: Vec<Copy>,
}

impl Buffering {
    /// Waits for the body, then goes on as without the filter.
    pub(super) async fn run(self) -> Response<ResponseBody> {
        match self.collect().await {
            Ok((forwarding, request)) => forward::run(forwarding, request).await,
            Err((exchange, reply)) => local_reply::reply(exchange, reply),
        }
    }

    async fn collect(self) -> Result<(Forwarding, Request<RequestBody>), (Box<Exchange>, LocalReply)> {
        let Self { mut exchange, mut request, body, most, tls_host, copies } = self;
        let progress = Rc::new(Progress::default());
        exchange.reads(Rc::clone(&progress));
        let ahead = content_length(&request.headers).unwrap_or_default().min(MOST_AHEAD);
        let collecting = pin!(collect(body, &progress, most, usize::try_from(ahead).unwrap_or_default()));
        let collected = deadline::within(collecting, &mut None, &mut None, &mut exchange.limits).await;
        let whole = match collected {
            Ok(Ok(whole)) => whole,
            Ok(Err(reply)) => return Err((exchange, reply)),
            Err(timed_out) => return Err((exchange, LocalReply::timed_out(timed_out))),
        };
        if whole.trailers.is_none() {
            // RFC 9112 section 6.2: there is one now, whatever the client's framing was.
            request.headers.insert(header::CONTENT_LENGTH, whole.content.len().into());
        }
        forward::with_whole_body(exchange, request, whole, tls_host, copies)
    }
}

async fn collect(body: Incoming, progress: &Progress, most: u32, ahead: usize) -> Result<Whole, LocalReply> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut content = Vec::with_capacity(ahead);
    let mut trailers = None;
    let mut body = pin!(body);
    loop {
        let frame = body.as_mut().frame().await;
        progress.saw(frame.as_ref(), body.is_end_stream());
        match frame {
            None => return Ok(Whole { content: Bytes::from(content), trailers }),
            Some(Err(_)) => return Err(LocalReply::new(Reason::DownstreamProtocolError).and_close()),
            Some(Ok(frame)) => match frame.into_data() {
                // Copied: pieces would keep all of the buffers alive that they were read into.
                Ok(data) if content.len() + data.len() <= most => content.extend_from_slice(&data),
                Ok(_) => return Err(too_long()),
                Err(frame) => trailers = frame.into_trailers().ok(),
            },
        }
    }
}
