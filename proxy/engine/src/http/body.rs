//! The bodies that pass through, in both directions. They are concrete types: no allocation and no virtual call for
//! what hyper and the pool need anyway, and nothing is buffered, so each side waits for the other.

use std::{
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    buffer::{Whole, WholeBody},
    compress::{Encoded, Encoder},
    copied::Copied,
    deadline::Deadline,
    exchange::Exchange,
    progress::Progress,
    replay::Replayed,
};

/// What is sent to an upstream.
#[derive(Debug, Default)]
pub struct RequestBody(Request);

#[derive(Debug, Default)]
enum Request {
    #[default]
    Empty,
    /// As the client sends it.
    Streamed(Incoming, Rc<Progress>),
    /// The same, kept in part for another try.
    Replayed(Replayed),
    /// All of it is here. Boxed, since it is rare and larger.
    Whole(Box<WholeBody>),
    /// Another request's, for a mirror.
    Copied(Copied),
}

/// Why a request's body broke off.
#[derive(Debug, thiserror::Error)]
pub enum RequestBodyError {
    /// The client did not send all of it.
    #[error("the client broke off: {0}")]
    Client(#[source] hyper::Error),
    /// Another try reads it now.
    #[error("the request is sent to another endpoint")]
    Superseded,
    /// A mirror cannot have the whole body: the client broke off, or the mirror is too slow.
    #[error("the copy of the request is not whole")]
    NotCopied,
}

impl RequestBody {
    pub(super) const fn empty() -> Self {
        Self(Request::Empty)
    }

    pub(super) const fn streamed(body: Incoming, progress: Rc<Progress>) -> Self {
        Self(Request::Streamed(body, progress))
    }

    pub(super) const fn replayed(body: Replayed) -> Self {
        Self(Request::Replayed(body))
    }

    pub(super) fn whole(body: &Whole) -> Self {
        Self(Request::Whole(Box::new(body.read())))
    }

    pub(super) const fn copied(body: Copied) -> Self {
        Self(Request::Copied(body))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        match &mut self.0 {
            Request::Empty => Poll::Ready(None),
            Request::Streamed(body, progress) => {
                let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
                progress.saw(frame.as_ref(), body.is_end_stream());
                Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Client)))
            }
            Request::Replayed(body) => body.poll_frame(cx),
            Request::Whole(body) => Poll::Ready(body.next().map(Ok)),
            Request::Copied(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Request::Empty => true,
            Request::Streamed(body, _) => body.is_end_stream(),
            Request::Replayed(body) => body.is_end_stream(),
            Request::Whole(body) => body.is_end_stream(),
            Request::Copied(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Request::Empty => SizeHint::with_exact(0),
            Request::Streamed(body, _) => body.size_hint(),
            Request::Replayed(body) => body.size_hint(),
            Request::Whole(body) => body.size_hint(),
            Request::Copied(body) => body.size_hint(),
        }
    }
}

/// What is sent to a client. The exchange ends with it, and is recorded then.
pub(super) struct ResponseBody {
    content: Content,
    exchange: Option<Box<Exchange>>,
    /// The route's timeout covers the whole response.
    deadline: Option<Deadline>,
}

enum Content {
    Bytes(Bytes),
    Upstream(postern_upstream::ResponseBody<RequestBody>),
    Encoded(Box<Encoded>),
    /// It broke off; `None` once that was said.
    Broken(Option<ResponseBodyError>),
}

/// Why a response's body broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum ResponseBodyError {
    /// The upstream's body ended early.
    #[error(transparent)]
    Upstream(#[from] postern_upstream::BodyError),
    /// The route's timeout passed.
    #[error("the route's timeout passed in the middle of the response")]
    Timeout,
    /// Nothing moved for longer than the connection manager allows.
    #[error("nothing moved for too long in the middle of the response")]
    Idle,
    /// The library failed.
    #[error("it could not be compressed: {0}")]
    Compression(#[source] std::io::Error),
}

impl ResponseBody {
    /// A body made here; may be empty.
    pub(super) fn local(content: Bytes, exchange: Option<Box<Exchange>>) -> Self {
        Self::new(Content::Bytes(content), exchange, None)
    }

    /// An upstream's.
    pub(super) fn upstream(
        body: postern_upstream::ResponseBody<RequestBody>,
        exchange: Box<Exchange>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self::new(Content::Upstream(body), Some(exchange), deadline)
    }

    /// An upstream's, compressed.
    pub(super) fn encoded(
        body: postern_upstream::ResponseBody<RequestBody>,
        encoder: Encoder,
        exchange: Box<Exchange>,
        deadline: Option<Deadline>,
    ) -> Self {
        Self::new(Content::Encoded(Box::new(Encoded::new(body, encoder))), Some(exchange), deadline)
    }

    fn new(content: Content, exchange: Option<Box<Exchange>>, deadline: Option<Deadline>) -> Self {
        let mut body = Self { content, exchange, deadline };
        if body.is_end_stream() {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        self.deadline = None;
        if let Some(mut exchange) = self.exchange.take() {
            exchange.complete();
        }
    }

    fn sent(&mut self, data: &Bytes) {
        if let Some(exchange) = &mut self.exchange {
            exchange.sent(data.len());
        }
    }

    fn poll_upstream(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        let polled = match &mut self.content {
            Content::Upstream(body) => Pin::new(body).poll_frame(cx).map_err(Into::into),
            Content::Encoded(body) => body.poll_frame(cx),
            Content::Bytes(_) | Content::Broken(_) => return Poll::Ready(None),
        };
        let Poll::Ready(frame) = polled else { return self.poll_limits(cx) };
        match frame {
            Some(Ok(frame)) => {
                match frame.data_ref() {
                    Some(data) => self.sent(data),
                    None => self.trailers(frame.trailers_ref()),
                }
                if self.is_end_stream() {
                    self.complete();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => self.break_off(error, cx),
            None => {
                self.complete();
                Poll::Ready(None)
            }
        }
    }

    /// While the upstream has nothing.
    fn poll_limits(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        if self.deadline.as_mut().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
            return self.break_off(ResponseBodyError::Timeout, cx);
        }
        let limits = self.exchange.as_mut().and_then(|exchange| exchange.limits.as_mut());
        if limits.is_some_and(|limits| limits.poll(cx).is_ready()) {
            return self.break_off(ResponseBodyError::Idle, cx);
        }
        Poll::Pending
    }

    fn trailers(&mut self, trailers: Option<&HeaderMap>) {
        if let (Some(exchange), Some(trailers)) = (&mut self.exchange, trailers) {
            exchange.trailers(trailers);
        }
    }

    /// The error is told at the next poll: hyper closes at once then, and so gets to send before what is there already.
    fn break_off(
        &mut self,
        error: ResponseBodyError,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        self.deadline = None;
        if let Some(mut exchange) = self.exchange.take() {
            exchange.broke_off(&error);
        }
        self.content = Content::Broken(Some(error));
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = ResponseBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ResponseBodyError>>> {
        match &mut self.content {
            Content::Upstream(_) | Content::Encoded(_) => self.poll_upstream(cx),
            Content::Broken(error) => Poll::Ready(error.take().map(Err)),
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => {
                let bytes = std::mem::take(bytes);
                self.sent(&bytes);
                self.complete();
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Upstream(body) => body.is_end_stream(),
            Content::Encoded(body) => body.is_end_stream(),
            Content::Broken(error) => error.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Upstream(body) => body.size_hint(),
            Content::Encoded(_) | Content::Broken(_) => SizeHint::new(),
        }
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("size_hint", &self.size_hint()).finish_non_exhaustive()
    }
}
