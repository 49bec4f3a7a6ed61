//! The body of an upstream's response.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::lease::Lease;
use crate::{BodyError, Endpoint, EndpointGuard};

/// The body of an upstream's response. While it lives, the request counts as under way at its endpoint.
///
/// Once it was read to its end, the connection is free for the next request. Dropped before, it closes the connection
/// (HTTP/1.1) or resets the stream (HTTP/2).
pub struct ResponseBody<B> {
    inner: Incoming,
    lease: Option<Lease<B>>,
    guard: EndpointGuard,
}

impl<B> ResponseBody<B> {
    /// A body that is over before it begins frees the connection at once, unless it is `upgraded`.
    pub(super) fn new(inner: Incoming, guard: EndpointGuard, lease: Lease<B>, upgraded: bool) -> Self {
        let mut body = Self { inner, lease: Some(lease), guard };
        if !upgraded {
            body.finish_at_end();
        }
        body
    }

    /// Whose response it is.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        self.guard.endpoint()
    }

    /// The connection of a response that switches protocols; it never returns to the pool.
    pub(super) fn take_lease(&mut self) -> Option<Lease<B>> {
        self.lease.take()
    }

    pub(super) fn another_guard(&self) -> EndpointGuard {
        EndpointGuard::new(Arc::clone(self.endpoint()))
    }

    fn finish_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish();
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
        match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            Some(Ok(frame)) => {
                self.finish_at_end();
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                self.lease = None;
                Poll::Ready(Some(Err(BodyError(error.into()))))
            }
            None => {
                self.finish();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").field("endpoint", self.endpoint()).finish_non_exhaustive()
    }
}
