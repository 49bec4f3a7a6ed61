//! Connections that leave HTTP.

use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Buf;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{http1::Switched, http2};
use crate::{Cause, Endpoint, EndpointGuard};

/// Becomes the byte stream of the other protocol.
pub struct Upgrade {
    kind: Kind,
    guard: EndpointGuard,
}

enum Kind {
    Http1(Switched),
    Http2(OnUpgrade, Place),
}

/// A tunnel's place on an HTTP/2 connection, held until it ends. Its type does not matter any more.
type Place = Box<dyn Any>;

impl Upgrade {
    pub(super) const fn http1(switched: Switched, guard: EndpointGuard) -> Self {
        Self { kind: Kind::Http1(switched), guard }
    }

    pub(super) fn http2<B: 'static>(
        upgrade: OnUpgrade,
        place: Option<http2::Stream<B>>,
        guard: EndpointGuard,
    ) -> Self {
        Self { kind: Kind::Http2(upgrade, Box::new(place)), guard }
    }

    /// Waits for the byte stream.
    ///
    /// # Errors
    ///
    /// The connection closed.
    pub async fn stream(self) -> Result<UpgradedStream, Cause> {
        let io = match self.kind {
            Kind::Http1(switched) => Io::Http1(switched),
            Kind::Http2(upgrade, place) => Io::Http2(TokioIo::new(upgrade.await?), place),
        };
        Ok(UpgradedStream { io, guard: self.guard })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("endpoint", self.guard.endpoint()).finish_non_exhaustive()
    }
}

/// The byte stream after an upgrade. While it lives, it counts as a request at its endpoint.
pub struct UpgradedStream {
    io: Io,
    guard: EndpointGuard,
}

enum Io {
    /// With what came together with the response's head.
    Http1(Switched),
    Http2(TokioIo<Upgraded>, #[allow(dead_code, reason = "held until the end")] Place),
}

impl UpgradedStream {
    /// Where it leads.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        self.guard.endpoint()
    }
}

impl fmt::Debug for UpgradedStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpgradedStream").field("endpoint", self.endpoint()).finish_non_exhaustive()
    }
}

impl AsyncRead for UpgradedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Http1(Switched { early, .. }) if !early.is_empty() => {
                let piece = early.len().min(buf.remaining());
                buf.put_slice(early.get(..piece).unwrap_or_default());
                early.advance(piece);
                Poll::Ready(Ok(()))
            }
            Io::Http1(Switched { stream, .. }) => Pin::new(stream).poll_read(cx, buf),
            Io::Http2(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for UpgradedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Http1(Switched { stream, .. }) => Pin::new(stream).poll_write(cx, buf),
            Io::Http2(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Http1(Switched { stream, .. }) => Pin::new(stream).poll_flush(cx),
            Io::Http2(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Http1(Switched { stream, .. }) => Pin::new(stream).poll_shutdown(cx),
            Io::Http2(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
