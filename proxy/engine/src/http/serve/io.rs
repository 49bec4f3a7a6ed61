//! A client's byte stream as hyper wants it, with what was read to find out the protocol in front, and a mark that
//! something came.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

/// Up to this size, pieces are copied together: that costs less than the system's vectored write (about 2 % of all that
/// a small response costs).
const GATHERED: usize = 4096;

thread_local! {
    static GATHER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How an HTTP/2 connection with prior knowledge begins (RFC 9113 section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether bytes came since it was last asked. Shared with the stream, which hyper owns and may send elsewhere.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrivals(Arc<AtomicBool>);

impl Arrivals {
    pub(super) fn any(&self) -> bool {
        self.0.load(Relaxed)
    }

    pub(super) fn forget(&self) {
        self.0.store(false, Relaxed);
    }

    fn mark(&self) {
        self.0.store(true, Relaxed);
    }
}

/// A client's byte stream.
#[derive(Debug)]
pub(super) struct ClientIo<IO> {
    inner: IO,
    /// Read already, from `start` to `end`.
    begun: [u8; PREFACE.len()],
    start: usize,
    end: usize,
    arrivals: Arrivals,
}

impl<IO> ClientIo<IO> {
    pub(super) fn new(inner: IO) -> Self {
        Self { inner, begun: [0; PREFACE.len()], start: 0, end: 0, arrivals: Arrivals::default() }
    }

    pub(super) fn arrivals(&self) -> Arrivals {
        self.arrivals.clone()
    }
}

impl<IO: AsyncRead + Unpin> ClientIo<IO> {
    /// Does the client begin with HTTP/2? Reads no more than is needed to know. `None` when it closes before anything
    /// came.
    pub(super) async fn begins_with_http2(&mut self) -> io::Result<Option<bool>> {
        while self.end < PREFACE.len() {
            let Some(space) = self.begun.get_mut(self.end..) else { break };
            let read = self.inner.read(space).await?;
            if read == 0 {
                return Ok((self.end > 0).then_some(false));
            }
            self.arrivals.mark();
            self.end += read;
            if self.begun.get(..self.end) != PREFACE.get(..self.end) {
                return Ok(Some(false));
            }
        }
        Ok(Some(true))
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for ClientIo<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.start < self.end {
            let begun = self.begun.get(self.start..self.end).unwrap_or_default();
            let length = begun.len().min(buf.remaining());
            buf.put_slice(begun.get(..length).unwrap_or_default());
            self.start += length;
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.arrivals.mark();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for ClientIo<IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length: usize = bufs.iter().map(|buf| buf.len()).sum();
        if length > GATHERED {
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        GATHER.with_borrow_mut(|gather| {
            gather.clear();
            bufs.iter().for_each(|buf| gather.extend_from_slice(buf));
            Pin::new(&mut self.inner).poll_write(cx, gather)
        })
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn sniffed(pieces: &[&[u8]]) -> (Option<bool>, Vec<u8>) {
        let (mut client, server) = tokio::io::duplex(1024);
        let mut io = ClientIo::new(server);
        let writing = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let (found, ()) = tokio::join!(io.begins_with_http2(), writing);
        let mut all = Vec::new();
        io.read_to_end(&mut all).await.unwrap();
        (found.unwrap(), all)
    }

    #[tokio::test]
    async fn finds_the_preface_and_loses_nothing() {
        let get = b"GET / HTTP/1.1\r\n\r\n";
        let pri = b"PRI * HTTP/1.1\r\n\r\n";
        assert_eq!(sniffed(&[get]).await, (Some(false), get.to_vec()));
        assert_eq!(sniffed(&[pri]).await, (Some(false), pri.to_vec()));
        assert_eq!(sniffed(&[b"P", b"OST"]).await, (Some(false), b"POST".to_vec()));
        assert_eq!(sniffed(&[b"PRI"]).await, (Some(false), b"PRI".to_vec()));
        assert_eq!(sniffed(&[]).await, (None, vec![]));
        let (start, rest) = PREFACE.split_at(7);
        let more = [PREFACE.as_slice(), b"more"].concat();
        assert_eq!(sniffed(&[start, rest, b"more"]).await, (Some(true), more));
    }
}
