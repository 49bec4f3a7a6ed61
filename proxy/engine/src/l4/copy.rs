//! Bytes in both directions, until both are done or nothing moves any more.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What moved. Kept by the caller, so that it is known however the copying ends.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// From the client to the upstream, in bytes.
    pub(crate) received: Cell<u64>,
    /// From the upstream to the client, in bytes.
    pub(crate) sent: Cell<u64>,
}

impl Moved {
    fn total(&self) -> u64 {
        self.received.get().wrapping_add(self.sent.get())
    }
}

/// How the copying ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Both sides closed.
    Closed,
    /// One side failed.
    Failed(io::Error),
    /// Nothing moved for too long.
    Idle,
}

/// Copies until both directions are closed; a side that closes its half leaves the other open (half close).
pub(crate) async fn copy<C, U>(client: C, upstream: U, idle_timeout: Duration, moved: &Moved) -> End
where
    C: AsyncRead + AsyncWrite + Unpin,
    U: AsyncRead + AsyncWrite + Unpin,
{
    let mut client = Counted { inner: client, read: &moved.received };
    let mut upstream = Counted { inner: upstream, read: &moved.sent };
    let copying = tokio::io::copy_bidirectional(&mut client, &mut upstream);
    tokio::select! {
        result = copying => match result {
            Ok(_) => End::Closed,
            Err(error) => End::Failed(error),
        },
        () = idle(idle_timeout, moved) => End::Idle,
    }
}

/// Returns when nothing moved between two looks. A look costs one timer each `timeout`, not one each packet; so the end
/// comes after one to two of them.
async fn idle(timeout: Duration, moved: &Moved) {
    loop {
        let before = moved.total();
        tokio::time::sleep(timeout).await;
        if moved.total() == before {
            return;
        }
    }
}

/// Counts what is read from a stream.
struct Counted<'a, IO> {
    inner: IO,
    read: &'a Cell<u64>,
}

impl<IO: AsyncRead + Unpin> AsyncRead for Counted<'_, IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        let count = buf.filled().len().saturating_sub(before);
        self.read.set(self.read.get().wrapping_add(count as u64));
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Counted<'_, IO> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_half_close_leaves_the_other_direction_open() {
        let (mut client, proxy_client) = duplex(64);
        let (mut upstream, proxy_upstream) = duplex(64);
        let moved = Moved::default();
        let talk = async {
            client.write_all(b"question").await.expect("written");
            client.shutdown().await.expect("closed");
            let mut question = String::new();
            upstream.read_to_string(&mut question).await.expect("read to its end");
            upstream.write_all(b"the answer").await.expect("written");
            drop(upstream);
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("read to its end");
            (question, answer)
        };
        let (end, (question, answer)) = tokio::join!(copy(proxy_client, proxy_upstream, IDLE, &moved), talk);
        assert!(matches!(end, End::Closed));
        assert_eq!((question.as_str(), answer.as_str()), ("question", "the answer"));
        assert_eq!((moved.received.get(), moved.sent.get()), (8, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_it_and_traffic_does_not() {
        let (mut client, proxy_client) = duplex(64);
        let (_upstream, proxy_upstream) = duplex(64);
        let moved = Moved::default();
        let started = tokio::time::Instant::now();
        let talk = async {
            tokio::time::sleep(IDLE / 2).await;
            client.write_all(b"x").await.expect("written");
        };
        let (end, ()) = tokio::join!(copy(proxy_client, proxy_upstream, IDLE, &moved), talk);
        assert!(matches!(end, End::Idle), "{end:?}");
        assert_eq!(started.elapsed(), IDLE * 2, "the first look found traffic");
    }
}
