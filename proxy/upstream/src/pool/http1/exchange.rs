//! From a request to the head of its response.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use http::{Method, Request, Response, request};
use hyper::body::Body;

use super::{
    Broken, Connection, Incoming,
    request::is_idempotent,
    response::{self, Head},
    upload::Upload,
};
use crate::{
    Cause, Failure,
    pool::{Unanswered, host::Host},
};

/// A peer that sends more than so many 1xx responses before the real one is up to no good.
const MAX_INFORMATIONAL: u8 = 16;

/// Sends a request over a connection, and waits for the head of the response. Dropped before, it closes the
/// connection.
pub(in crate::pool) struct Exchange<B: Body> {
    host: Rc<Host<B>>,
    /// Taken at the end.
    connection: Option<Box<Connection>>,
    /// Taken at the end.
    request: Option<(request::Parts, Upload<B>)>,
    state: State,
    /// Did the connection serve a request before?
    reused: bool,
    informational: u8,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    Sending,
    Sent,
    /// The peer takes no more; it may have answered nevertheless.
    CutOff,
}

impl<B> Exchange<B>
where
    B: Body + Unpin + 'static,
    B::Error: Into<Cause>,
{
    pub(in crate::pool) fn new(
        host: Rc<Host<B>>,
        connection: Box<Connection>,
        request: Request<B>,
        reused: bool,
    ) -> Self {
        let (head, body) = request.into_parts();
        let upload = Upload::new(&head, body, host.shared().take_memory());
        Self {
            host,
            connection: Some(connection),
            request: Some((head, upload)),
            state: State::Start,
            reused,
            informational: 0,
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Broken>> {
        let (Some(connection), Some((request, upload))) = (&mut self.connection, &mut self.request) else {
            return Poll::Pending;
        };
        if self.state == State::Start {
            self.state = State::Sending;
            if self.reused {
                // Whatever the peer did meanwhile, it is not the answer.
                if !connection.buffer.is_empty() || connection.poll_fill(cx).is_ready() {
                    return Poll::Ready(Err(Broken::Closed(
                        io::Error::from(io::ErrorKind::ConnectionReset).into(),
                    )));
                }
                // It is waited for data already.
                return match poll_upload(&mut self.state, upload, connection, cx) {
                    Ok(()) => Poll::Pending,
                    Err(broken) => Poll::Ready(Err(broken)),
                };
            }
        }
        poll_upload(&mut self.state, upload, connection, cx)?;
        loop {
            if !connection.buffer.is_empty() {
                let head = response::parse(&mut connection.buffer, &request.method)
                    .map_err(|error| Broken::Protocol(error.into()))?;
                match head {
                    Some(head) if is_interim(&head) => {
                        self.informational += 1;
                        if self.informational > MAX_INFORMATIONAL {
                            return Poll::Ready(Err(Broken::Protocol("too many 1xx responses".into())));
                        }
                        continue;
                    }
                    Some(head) => return Poll::Ready(Ok(head)),
                    None => {}
                }
            }
            match ready!(connection.poll_fill(cx)) {
                Ok(true) => {}
                Ok(false) => {
                    return Poll::Ready(Err(Broken::Closed(
                        io::Error::from(io::ErrorKind::UnexpectedEof).into(),
                    )));
                }
                Err(error) => return Poll::Ready(Err(Broken::Closed(error.into()))),
            }
        }
    }

    fn answered(&mut self, head: Head) -> Option<Response<Incoming<B>>> {
        let connection = self.connection.take()?;
        let (request, mut upload) = self.request.take()?;
        let host = Rc::clone(&self.host);
        let switched = head.switches(&request.method);
        let incoming = if switched {
            Incoming::switched(host, connection)
        } else if self.state == State::Sending {
            Incoming::while_sending(host, connection, head.body, head.keep_alive, upload)
        } else {
            self.host.shared().give_memory(upload.take_memory());
            Incoming::new(host, connection, head.body, head.keep_alive && self.state == State::Sent)
        };
        let mut response = Response::new(incoming);
        *response.status_mut() = head.status;
        *response.version_mut() = head.version;
        *response.headers_mut() = head.headers;
        Some(response)
    }

    fn failed(&mut self, broken: Broken) -> Option<Unanswered<B>> {
        let (request, mut upload) = self.request.take()?;
        let silent = self.connection.take().is_none_or(|connection| connection.buffer.is_empty())
            && self.informational == 0;
        self.host.shared().give_memory(upload.take_memory());
        let unsent = upload.is_unsent();
        let stale = self.reused
            && matches!(broken, Broken::Closed(_))
            && (unsent || (silent && is_idempotent(&request.method)));
        let failure = match broken {
            Broken::Closed(cause) if unsent => Failure::ResetBeforeRequest(cause),
            Broken::Closed(cause) => Failure::ConnectionClosed(cause),
            Broken::Protocol(cause) => Failure::Protocol(cause),
            Broken::RequestBody(cause) => Failure::RequestBody(cause),
        };
        let request = upload.into_body().map(|body| Request::from_parts(request, body));
        Some(Unanswered { failure, request, stale })
    }
}

impl<B> Future for Exchange<B>
where
    B: Body + Unpin + 'static,
    B::Error: Into<Cause>,
{
    type Output = Result<Response<Incoming<B>>, Unanswered<B>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = match ready!(self.poll_head(cx)) {
            Ok(head) => self.answered(head).map(Ok),
            Err(broken) => self.failed(broken).map(Err),
        };
        // Polled after its end, it stays silent.
        outcome.map_or(Poll::Pending, Poll::Ready)
    }
}

// Nothing in it is pinned.
impl<B: Body> Unpin for Exchange<B> {}

fn poll_upload<B>(
    state: &mut State,
    upload: &mut Upload<B>,
    connection: &mut Connection,
    cx: &mut Context<'_>,
) -> Result<(), Broken>
where
    B: Body + Unpin,
    B::Error: Into<Cause>,
{
    if *state != State::Sending {
        return Ok(());
    }
    match upload.poll(&mut connection.stream, cx) {
        Poll::Pending => {}
        Poll::Ready(Ok(())) => *state = State::Sent,
        // An answer like 413 may have come before.
        Poll::Ready(Err(Broken::Closed(_))) if !upload.is_unsent() => *state = State::CutOff,
        Poll::Ready(Err(broken)) => return Err(broken),
    }
    Ok(())
}

/// Another response follows (RFC 9110 section 15.2).
fn is_interim(head: &Head) -> bool {
    head.status.is_informational() && !head.switches(&Method::GET)
}
