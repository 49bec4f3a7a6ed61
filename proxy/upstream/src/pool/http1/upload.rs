//! Sending a request.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Buf;
use http::{HeaderMap, request};
use hyper::body::Body;
use tokio::io::AsyncWrite;

use super::{
    Broken,
    request::{Framing, encode, field, is_forbidden_in_trailers},
};
use crate::Cause;

/// Pieces of a body up to this size are copied behind the head, so that both are one packet.
const COPIED: usize = 4 * 1024;
/// When so much is to be written, no more of the body is asked for.
const ENOUGH: usize = 16 * 1024;

/// A request on its way.
pub(super) struct Upload<B: Body> {
    /// `None` when all of it was taken.
    body: Option<B>,
    framing: Framing,
    /// Encoded and not yet written, from `written` on.
    out: Vec<u8>,
    written: usize,
    /// Comes after `out`, without a copy.
    data: Option<B::Data>,
    /// Was a byte of it written?
    begun: bool,
    /// Was a piece of the body taken? Then it cannot be sent again.
    tapped: bool,
    unflushed: bool,
}

/// The request's body does not keep what its head promised.
#[derive(Debug, thiserror::Error)]
#[error("the request's body is not as long as its content-length")]
struct WrongLength;

impl<B> Upload<B>
where
    B: Body + Unpin,
    B::Error: Into<Cause>,
{
    /// Encodes the head into `out`, which is empty.
    pub(super) fn new(head: &request::Parts, body: B, mut out: Vec<u8>) -> Self {
        let framing = Framing::of(&head.headers, &body);
        encode(head, framing, &mut out);
        Self {
            body: Some(body),
            framing,
            out,
            written: 0,
            data: None,
            begun: false,
            tapped: false,
            unflushed: false,
        }
    }

    /// Ready when all of it was given to the system.
    pub(super) fn poll<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let over = self.gather(cx)?;
            let something = self.written < self.out.len() || self.data.is_some();
            if something {
                ready!(self.write(stream, cx)).map_err(|error| Broken::Closed(error.into()))?;
                continue;
            }
            if self.unflushed {
                ready!(Pin::new(&mut *stream).poll_flush(cx))
                    .map_err(|error| Broken::Closed(error.into()))?;
                self.unflushed = false;
            }
            return if over { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
    }

    /// Was nothing written yet?
    pub(super) const fn is_unsent(&self) -> bool {
        !self.begun
    }

    /// The body, if it is whole.
    pub(super) fn into_body(self) -> Option<B> {
        if self.tapped { None } else { self.body }
    }

    /// The memory for the next one.
    pub(super) fn take_memory(&mut self) -> Vec<u8> {
        let mut memory = std::mem::take(&mut self.out);
        memory.clear();
        memory
    }

    /// Takes what is ready of the body, until it is worth a write. Returns whether that was all.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<bool, Broken> {
        while self.data.is_none() && self.out.len() - self.written < ENOUGH {
            if self.framing == Framing::Nothing {
                return Ok(true);
            }
            let Some(body) = &mut self.body else { return Ok(true) };
            let frame = match Pin::new(body).poll_frame(cx) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Some(Ok(frame))) => frame,
                Poll::Ready(Some(Err(error))) => return Err(Broken::RequestBody(error.into())),
                Poll::Ready(None) => {
                    self.end(None)?;
                    continue;
                }
            };
            self.tapped = true;
            match frame.into_data() {
                Ok(data) => self.add(data)?,
                Err(frame) => {
                    if let Ok(trailers) = frame.into_trailers() {
                        self.end(Some(&trailers))?;
                    }
                }
            }
        }
        Ok(false)
    }

    fn add(&mut self, mut data: B::Data) -> Result<(), Broken> {
        let length = data.remaining();
        if length == 0 {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Nothing => return Ok(()),
            Framing::Length(left) => {
                *left = left.checked_sub(length as u64).ok_or(Broken::RequestBody(WrongLength.into()))?;
            }
            Framing::Chunked => {
                use std::io::Write as _;
                // Writing to a Vec does not fail.
                let _ = write!(self.out, "{length:x}\r\n");
            }
        }
        let chunked = self.framing == Framing::Chunked;
        if length <= COPIED {
            while data.has_remaining() {
                let piece = data.chunk();
                self.out.extend_from_slice(piece);
                let length = piece.len();
                data.advance(length);
            }
            if chunked {
                self.out.extend_from_slice(b"\r\n");
            }
        } else {
            self.data = Some(data);
        }
        if self.framing == Framing::Length(0) {
            self.body = None;
        }
        Ok(())
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Broken> {
        self.body = None;
        match self.framing {
            Framing::Length(1..) => return Err(Broken::RequestBody(WrongLength.into())),
            Framing::Nothing | Framing::Length(0) => {}
            Framing::Chunked => {
                self.out.extend_from_slice(b"0\r\n");
                let allowed =
                    trailers.into_iter().flatten().filter(|(name, _)| !is_forbidden_in_trailers(name));
                allowed.for_each(|(name, value)| field(name, value.as_bytes(), &mut self.out));
                self.out.extend_from_slice(b"\r\n");
            }
        }
        Ok(())
    }

    fn write<S: AsyncWrite + Unpin>(&mut self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let encoded = self.out.get(self.written..).unwrap_or_default();
        let written = match &self.data {
            None => ready!(Pin::new(stream).poll_write(cx, encoded))?,
            Some(data) => {
                let slices = [io::IoSlice::new(encoded), io::IoSlice::new(data.chunk())];
                ready!(Pin::new(stream).poll_write_vectored(cx, &slices))?
            }
        };
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.begun = true;
        self.unflushed = true;
        let of_encoded = written.min(encoded.len());
        self.written += of_encoded;
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        }
        if let Some(data) = &mut self.data {
            data.advance(written - of_encoded);
            if !data.has_remaining() {
                self.data = None;
                if self.framing == Framing::Chunked {
                    self.out.extend_from_slice(b"\r\n");
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use bytes::Bytes;
    use futures_util::{FutureExt, stream};
    use http::Request;
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    use super::*;

    /// Takes so many bytes a write, in turn; 0: not now.
    struct Narrow {
        takes: Vec<usize>,
        turn: usize,
        got: Vec<u8>,
        flushed: usize,
    }

    impl Narrow {
        fn new(takes: &[usize]) -> Self {
            Self { takes: takes.to_vec(), turn: 0, got: Vec::new(), flushed: 0 }
        }
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            let take = self.takes.get(self.turn % self.takes.len().max(1)).copied().unwrap_or(usize::MAX);
            self.turn += 1;
            if take == 0 {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let take = take.min(buf.len());
            self.got.extend_from_slice(&buf[..take]);
            Poll::Ready(Ok(take))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushed = self.got.len();
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    type Pieces = Vec<Result<Frame<Bytes>, Cause>>;

    fn body(pieces: Pieces) -> impl Body<Data = Bytes, Error = Cause> + Unpin {
        StreamBody::new(stream::iter(pieces))
    }

    fn head(length: Option<usize>) -> request::Parts {
        let request = Request::post("/");
        let request = match length {
            Some(length) => request.header("content-length", length),
            None => request,
        };
        request.body(()).unwrap().into_parts().0
    }

    async fn sent<B>(head: request::Parts, body: B, mut to: Narrow) -> (Result<(), Broken>, Narrow)
    where
        B: Body + Unpin,
        B::Error: Into<Cause>,
    {
        let mut upload = Upload::new(&head, body, Vec::new());
        let outcome = std::future::poll_fn(|cx| upload.poll(&mut to, cx)).await;
        (outcome, to)
    }

    fn content(of: &Narrow) -> &[u8] {
        let end = of.got.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        &of.got[end + 4..]
    }

    /// A naive decoder of chunks without extensions.
    fn dechunked(mut bytes: &[u8]) -> (Vec<u8>, String) {
        let mut content = Vec::new();
        loop {
            let line = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
            let size = usize::from_str_radix(std::str::from_utf8(&bytes[..line]).unwrap(), 16).unwrap();
            bytes = &bytes[line + 2..];
            if size == 0 {
                return (content, String::from_utf8(bytes.to_vec()).unwrap());
            }
            content.extend_from_slice(&bytes[..size]);
            assert_eq!(&bytes[size..size + 2], b"\r\n");
            bytes = &bytes[size + 2..];
        }
    }

    proptest! {
        #[test]
        fn all_of_the_body_arrives_in_order(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..10_000), 0..8),
            takes in prop::collection::vec(0_usize..6_000, 1..6),
            told: bool,
        ) {
            let takes = if takes.iter().all(|take| *take == 0) { vec![7] } else { takes };
            let all = pieces.concat();
            let frames = pieces.into_iter().map(|piece| Ok(Frame::data(Bytes::from(piece)))).collect();
            let head = head(told.then_some(all.len()));
            let (outcome, to) = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap()
                .block_on(sent(head, body(frames), Narrow::new(&takes)));
            prop_assert_eq!(outcome.map_err(|broken| format!("{broken:?}")), Ok(()));
            prop_assert_eq!(to.flushed, to.got.len());
            if told {
                prop_assert_eq!(content(&to), all);
            } else {
                prop_assert_eq!(dechunked(content(&to)), (all, "\r\n".to_owned()));
            }
        }
    }

    #[test]
    fn a_small_request_is_one_write() {
        let full = Full::<Bytes>::from("small").map_err(|never| match never {});
        let (outcome, to) = sent::<_>(head(None), full.map_err(|error: Cause| error), Narrow::new(&[]))
            .now_or_never()
            .unwrap();
        outcome.unwrap();
        assert_eq!(to.turn, 1);
        assert_eq!(content(&to), b"small");
    }

    #[test]
    fn trailers_follow_the_last_chunk_without_those_that_must_not() {
        let mut trailers = HeaderMap::new();
        trailers.insert("sum", "7".parse().unwrap());
        trailers.insert("content-length", "9".parse().unwrap());
        let pieces = vec![Ok(Frame::data(Bytes::from("ab"))), Ok(Frame::trailers(trailers))];
        let (outcome, to) = sent(head(None), body(pieces), Narrow::new(&[])).now_or_never().unwrap();
        outcome.unwrap();
        assert_eq!(dechunked(content(&to)), (b"ab".to_vec(), "sum: 7\r\n\r\n".to_owned()));
    }

    #[test]
    fn a_body_of_another_length_than_promised_is_an_error() {
        for (promised, is) in [(4, "abc"), (2, "abc")] {
            let pieces = vec![Ok(Frame::data(Bytes::from(is)))];
            let (outcome, _) =
                sent(head(Some(promised)), body(pieces), Narrow::new(&[])).now_or_never().unwrap();
            assert!(matches!(outcome, Err(Broken::RequestBody(_))), "{promised}: {outcome:?}");
        }
    }

    #[test]
    fn a_body_can_be_had_back_until_a_piece_was_taken() {
        let waker = std::task::Waker::noop();
        let mut cx = Context::from_waker(waker);
        let mut nowhere = Narrow::new(&[0]);
        let untouched = StreamBody::new(stream::pending::<Result<Frame<Bytes>, Cause>>());
        let mut upload = Upload::new(&head(None), untouched, Vec::new());
        assert!(upload.poll(&mut nowhere, &mut cx).is_pending());
        assert!(upload.is_unsent());
        assert!(upload.into_body().is_some());
        let pieces = vec![Ok(Frame::data(Bytes::from("ab")))];
        let mut upload = Upload::new(&head(None), body(pieces), Vec::new());
        assert!(upload.poll(&mut nowhere, &mut cx).is_pending());
        assert!(upload.into_body().is_none());
    }
}
