//! A stream some of whose bytes were already read, to look at them.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Reads `prefix` first, then `inner`; writes go to `inner`.
#[derive(Debug)]
pub(super) struct Prefixed<IO> {
    prefix: Bytes,
    inner: IO,
}

impl<IO> Prefixed<IO> {
    /// The stream as it was before `prefix` was read.
    pub(super) const fn new(prefix: Bytes, inner: IO) -> Self {
        Self { prefix, inner }
    }

    /// The stream as it was before `read` was read of it.
    pub(super) fn unread(self, read: Bytes) -> Self {
        let prefix = match self.prefix.is_empty() {
            true => read,
            false => [read, self.prefix].concat().into(),
        };
        Self { prefix, inner: self.inner }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Prefixed<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.is_empty() {
            return Pin::new(&mut self.inner).poll_read(cx, buf);
        }
        let length = self.prefix.len().min(buf.remaining());
        buf.put_slice(&self.prefix.split_to(length));
        if !self.prefix.has_remaining() {
            self.prefix = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Prefixed<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn the_prefix_comes_first_even_in_small_reads() {
        let mut stream = Prefixed::new(Bytes::from_static(b"abc"), &b"defg"[..]);
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.expect("two bytes");
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.expect("the rest");
        assert_eq!((&two, rest.as_slice()), (b"ab", &b"cdefg"[..]));
    }

    #[tokio::test]
    async fn what_was_read_comes_again() {
        let mut stream = Prefixed::new(Bytes::from_static(b"abc"), &b"d"[..]);
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.expect("two bytes");
        let mut all = Vec::new();
        stream.unread(Bytes::from_static(b"ab")).read_to_end(&mut all).await.expect("all");
        assert_eq!(all, b"abcd");
    }
}
