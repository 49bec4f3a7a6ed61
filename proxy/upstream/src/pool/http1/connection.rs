//! One connection, and the memory that connections read into.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
};

use bytes::{Bytes, BytesMut};
use tokio_util::io::poll_read_buf;

use crate::{UpstreamStream, pool::host::Closing};

/// So much memory is taken at once.
const CHUNK: usize = 64 * 1024;
/// A read is offered at least this much.
const SMALLEST_READ: usize = 8 * 1024;

/// The memory that all connections of a worker read into, one piece after the other. So a connection that is idle
/// holds none.
#[derive(Default)]
pub(in crate::pool) struct Arena(RefCell<BytesMut>);

impl Arena {
    /// Reads what is there; empty at the end of the stream.
    fn poll_read(&self, stream: &mut UpstreamStream, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let mut memory = self.0.borrow_mut();
        if memory.capacity() < SMALLEST_READ {
            memory.reserve(CHUNK);
        }
        let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut *memory))?;
        Poll::Ready(Ok(memory.split_to(read).freeze()))
    }
}

/// A connection to an HTTP/1.1 server. It closes when it is dropped.
pub(in crate::pool) struct Connection {
    pub(super) stream: UpstreamStream,
    /// Read and not yet used.
    pub(super) buffer: Bytes,
    /// Something went wrong while a body was sent: it must not be used again.
    pub(super) broken: bool,
    arena: Rc<Arena>,
    closing: Closing,
}

/// The stream of a connection that has left HTTP.
pub(in crate::pool) struct Switched {
    pub(in crate::pool) stream: UpstreamStream,
    /// Read and not yet used.
    pub(in crate::pool) early: Bytes,
    /// The connection counts as open for as long as this lives.
    pub(in crate::pool) _closing: Closing,
}

impl Connection {
    pub(in crate::pool) fn new(stream: UpstreamStream, arena: Rc<Arena>, closing: Closing) -> Self {
        Self { stream, buffer: Bytes::new(), broken: false, arena, closing }
    }

    /// Reads more into the buffer. `false`: the peer has closed its side.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let piece = ready!(self.arena.poll_read(&mut self.stream, cx))?;
        let more = !piece.is_empty();
        if self.buffer.is_empty() {
            self.buffer = piece;
        } else if more {
            let mut both = BytesMut::with_capacity(self.buffer.len() + piece.len());
            both.extend_from_slice(&self.buffer);
            both.extend_from_slice(&piece);
            self.buffer = both.freeze();
        }
        Poll::Ready(Ok(more))
    }

    /// Can it be used for another request? So it is if the peer neither closed it nor sent something unasked.
    pub(in crate::pool) fn is_quiet(&mut self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.broken && self.buffer.is_empty() && self.poll_fill(&mut cx).is_pending()
    }

    /// The byte stream for another protocol, and what was read of it already.
    pub(super) fn into_stream(self) -> Switched {
        Switched { stream: self.stream, early: self.buffer, _closing: self.closing }
    }
}
