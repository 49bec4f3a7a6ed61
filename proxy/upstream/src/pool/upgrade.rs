//! Connections that leave HTTP.

use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Response, StatusCode};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ResponseBody;
use crate::{Cause, Endpoint, EndpointGuard};

/// Becomes the byte stream of the other protocol.
pub struct Upgrade {
    upgrade: OnUpgrade,
    guard: EndpointGuard,
    /// The stream's place on an HTTP/2 connection. Its type does not matter any more.
    place: Box<dyn Any>,
}

impl Upgrade {
    /// Does the peer switch to another protocol?
    pub(super) fn is_in<T>(response: &Response<T>) -> bool {
        response.status() == StatusCode::SWITCHING_PROTOCOLS
            || response.extensions().get::<OnUpgrade>().is_some()
    }

    pub(super) fn of<B: 'static>(response: &mut Response<ResponseBody<B>>) -> Option<Self> {
        let upgrade = response.extensions_mut().remove::<OnUpgrade>()?;
        let body = response.body_mut();
        Some(Self { upgrade, guard: body.another_guard(), place: Box::new(body.take_lease()) })
    }

    /// Waits for the byte stream.
    ///
    /// # Errors
    ///
    /// The connection closed.
    pub async fn stream(self) -> Result<UpgradedStream, Cause> {
        let upgraded = self.upgrade.await?;
        Ok(UpgradedStream { io: TokioIo::new(upgraded), guard: self.guard, _place: self.place })
    }
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("endpoint", self.guard.endpoint()).finish_non_exhaustive()
    }
}

/// The byte stream after an upgrade. While it lives, it counts as a request at its endpoint.
pub struct UpgradedStream {
    io: TokioIo<Upgraded>,
    guard: EndpointGuard,
    _place: Box<dyn Any>,
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
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for UpgradedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
