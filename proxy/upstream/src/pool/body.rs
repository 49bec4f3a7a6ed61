//! The body of an upstream's response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;

use super::{Upgrade, http1, http2};
use crate::{BodyError, Endpoint, EndpointGuard};

/// The body of an upstream's response. While it lives, the request counts as under way at its endpoint.
///
/// Once it was read to its end, the connection is free for the next request. Dropped before, it closes the connection
/// (HTTP/1.1) or resets the stream (HTTP/2).
pub struct ResponseBody<B> {
    incoming: Incoming<B>,
    guard: EndpointGuard,
}

/// By protocol.
pub(super) enum Incoming<B> {
    Http1(http1::Incoming<B>),
    Http2(Http2<B>),
}

/// An HTTP/2 stream's.
pub(super) struct Http2<B> {
    body: hyper::body::Incoming,
    /// Its place on the connection, until the end.
    stream: Option<http2::Stream<B>>,
    upgrade: Option<OnUpgrade>,
}

impl<B> ResponseBody<B> {
    pub(super) const fn new(incoming: Incoming<B>, guard: EndpointGuard) -> Self {
        Self { incoming, guard }
    }

    /// Whose response it is.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        self.guard.endpoint()
    }

    pub(super) fn take_upgrade(&mut self) -> Option<Upgrade>
    where
        B: 'static,
    {
        match &mut self.incoming {
            Incoming::Http1(body) => {
                let switched = body.take_stream()?;
                Some(Upgrade::http1(switched, self.guard.hand_on()))
            }
            Incoming::Http2(body) => {
                let upgrade = body.upgrade.take()?;
                Some(Upgrade::http2(upgrade, body.stream.take(), self.guard.hand_on()))
            }
        }
    }
}

impl<B> Incoming<B> {
    pub(super) fn http2(
        body: hyper::body::Incoming,
        stream: http2::Stream<B>,
        upgrade: Option<OnUpgrade>,
    ) -> Self {
        let mut body = Http2 { body, stream: Some(stream), upgrade };
        body.finish_if_over();
        Self::Http2(body)
    }
}

impl<B> Http2<B> {
    /// A stream that becomes a tunnel has no body, and is not over.
    fn finish_if_over(&mut self) {
        if self.body.is_end_stream() && self.upgrade.is_none() {
            self.stream = None;
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.finish_if_over();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.stream = None;
                Poll::Ready(Some(Err(BodyError(error.into()))))
            }
            None => {
                self.finish_if_over();
                Poll::Ready(None)
            }
        }
    }
}

impl<B> Unpin for ResponseBody<B> {}

impl<B> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.incoming {
            Incoming::Http1(body) => Pin::new(body).poll_frame(cx),
            Incoming::Http2(body) => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.incoming {
            Incoming::Http1(body) => body.is_end_stream(),
            Incoming::Http2(body) => body.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.incoming {
            Incoming::Http1(body) => body.size_hint(),
            Incoming::Http2(body) => body.body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("endpoint", self.endpoint()).finish_non_exhaustive()
    }
}
