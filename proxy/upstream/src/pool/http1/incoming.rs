//! The body of a response.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::task::JoinHandle;

use super::{
    Broken, Connection, Switched,
    decode::{Decoded, Decoder},
    upload::Upload,
};
use crate::{BodyError, Cause, pool::host::Host};

/// The body of a response. At its end the connection returns to the pool, if it can be used again.
pub(in crate::pool) struct Incoming<B> {
    host: Rc<Host<B>>,
    source: Source,
    decoder: Decoder,
    /// What the head says about another request.
    keep_alive: bool,
}

enum Source {
    /// This body alone uses it.
    Own(Box<Connection>),
    /// The request is still being sent.
    Shared(Rc<RefCell<Box<Connection>>>, #[allow(dead_code, reason = "stops when it is dropped")] Sending),
    /// It belongs to another protocol.
    Switched(Box<Connection>),
    /// At the end.
    Gone,
}

/// The task that sends the rest of a request. The server has answered: when that is over, so is this.
struct Sending(JoinHandle<()>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<B> Incoming<B> {
    pub(super) fn new(
        host: Rc<Host<B>>,
        connection: Box<Connection>,
        decoder: Decoder,
        keep_alive: bool,
    ) -> Self {
        let mut body = Self { host, source: Source::Own(connection), decoder, keep_alive };
        body.finish_if_over();
        body
    }

    pub(super) const fn switched(host: Rc<Host<B>>, connection: Box<Connection>) -> Self {
        Self { host, source: Source::Switched(connection), decoder: Decoder::length(0), keep_alive: false }
    }

    /// The server answers before it has the whole request.
    pub(super) fn while_sending(
        host: Rc<Host<B>>,
        connection: Box<Connection>,
        decoder: Decoder,
        keep_alive: bool,
        upload: Upload<B>,
    ) -> Self
    where
        B: Body + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        let connection = Rc::new(RefCell::new(connection));
        let sending = Sending(tokio::task::spawn_local(send(Rc::clone(&connection), upload)));
        let mut body = Self { host, source: Source::Shared(connection, sending), decoder, keep_alive };
        body.finish_if_over();
        body
    }

    /// The byte stream of another protocol, and what was read of it already.
    pub(in crate::pool) fn take_stream(&mut self) -> Option<Switched> {
        match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Switched(connection) => Some(connection.into_stream()),
            other => {
                self.source = other;
                None
            }
        }
    }

    fn finish_if_over(&mut self) {
        if self.decoder.is_over() {
            self.finish();
        }
    }

    /// The connection goes back to the pool, if that is possible.
    fn finish(&mut self) {
        let connection = match std::mem::replace(&mut self.source, Source::Gone) {
            Source::Own(connection) => connection,
            Source::Shared(shared, _) => match Rc::try_unwrap(shared) {
                Ok(connection) => connection.into_inner(),
                // Still sending.
                Err(_) => return,
            },
            Source::Switched(connection) => {
                self.source = Source::Switched(connection);
                return;
            }
            Source::Gone => return,
        };
        // More than the body: the peer has lost count.
        if self.keep_alive && !connection.broken && connection.buffer.is_empty() {
            self.host.give_back(connection);
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Decoded, Broken>> {
        match &mut self.source {
            Source::Own(connection) => poll_decode(&mut self.decoder, connection, cx),
            Source::Shared(shared, _) => poll_decode(&mut self.decoder, &mut shared.borrow_mut(), cx),
            Source::Switched(_) | Source::Gone => Poll::Ready(Ok(Decoded::End)),
        }
    }
}

fn poll_decode(
    decoder: &mut Decoder,
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Poll<Result<Decoded, Broken>> {
    loop {
        match decoder.decode(&mut connection.buffer) {
            Ok(Decoded::More) => {}
            Ok(decoded) => return Poll::Ready(Ok(decoded)),
            Err(error) => return Poll::Ready(Err(Broken::Protocol(error.into()))),
        }
        match ready!(connection.poll_fill(cx)) {
            Ok(true) => {}
            Ok(false) if decoder.may_close() => return Poll::Ready(Ok(Decoded::End)),
            Ok(false) => {
                let early = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Poll::Ready(Err(Broken::Closed(early.into())));
            }
            Err(error) => return Poll::Ready(Err(Broken::Closed(error.into()))),
        }
    }
}

async fn send<B>(connection: Rc<RefCell<Box<Connection>>>, mut upload: Upload<B>)
where
    B: Body + Unpin + 'static,
    B::Error: Into<Cause>,
{
    let sent = std::future::poll_fn(|cx| upload.poll(&mut connection.borrow_mut().stream, cx)).await;
    if sent.is_err() {
        connection.borrow_mut().broken = true;
    }
}

impl<B> Unpin for Incoming<B> {}

impl<B> Body for Incoming<B> {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = match ready!(self.poll_step(cx)) {
            Ok(Decoded::Data(data)) => Frame::data(data),
            Ok(Decoded::Trailers(trailers)) => Frame::trailers(trailers),
            Ok(Decoded::End | Decoded::More) => {
                self.finish();
                return Poll::Ready(None);
            }
            Err(Broken::Closed(cause) | Broken::Protocol(cause) | Broken::RequestBody(cause)) => {
                self.source = Source::Gone;
                self.decoder = Decoder::length(0);
                return Poll::Ready(Some(Err(BodyError(cause))));
            }
        };
        self.finish_if_over();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_over()
    }

    fn size_hint(&self) -> SizeHint {
        match self.decoder {
            Decoder::Length(left) => SizeHint::with_exact(left),
            Decoder::Chunked(_) | Decoder::UntilClose => SizeHint::default(),
        }
    }
}
