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
use crate::{Cause, UpstreamStream};

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
    pub(super) fn poll(
        &mut self,
        stream: &mut UpstreamStream,
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

    fn write(&mut self, stream: &mut UpstreamStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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
