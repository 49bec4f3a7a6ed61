//! Request bodies that can be sent again: what was read is kept, up to a limit, while it streams on.

use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, request};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::{
    body::{RequestBody, RequestBodyError},
    buffer::Whole,
    progress::Progress,
};

/// More than this of a body is not kept, and then the request is not sent again. Envoy gives up on retries when its
/// buffer (1 MiB by default) is full; less is enough for what is usually retried, and bounds the memory of uploads.
const MOST_KEPT: usize = 64 * 1024;

/// A copy of a request, to be sent again.
pub(super) struct Spare {
    pub(super) head: request::Parts,
    pub(super) body: SpareBody,
}

pub(super) enum SpareBody {
    Empty,
    Source(Source),
    Whole(Whole),
}

impl Spare {
    /// `None` when the body is not there any more.
    pub(super) fn next(&self) -> Option<Request<RequestBody>> {
        let body = match &self.body {
            SpareBody::Empty => RequestBody::empty(),
            SpareBody::Source(source) => RequestBody::replayed(source.next_try()?),
            SpareBody::Whole(whole) => RequestBody::whole(whole),
        };
        Some(Request::from_parts(self.head.clone(), body))
    }
}

/// A body as it comes from the client, which several tries read, one after the other.
#[derive(Clone)]
pub(super) struct Source(Rc<RefCell<State>>);

struct State {
    body: Incoming,
    progress: Rc<Progress>,
    kept: Vec<Bytes>,
    kept_bytes: usize,
    trailers: Option<HeaderMap>,
    /// More was read than is kept, or reading failed.
    lost: bool,
    /// Which try reads. A former one may still be held by a connection.
    reader: u32,
}

impl Source {
    pub(super) fn new(body: Incoming, progress: Rc<Progress>) -> Self {
        Self(Rc::new(RefCell::new(State {
            body,
            progress,
            kept: Vec::new(),
            kept_bytes: 0,
            trailers: None,
            lost: false,
            reader: 0,
        })))
    }

    /// The body from its beginning, for the next try; `None` when that is not there any more. Ends the former one.
    pub(super) fn next_try(&self) -> Option<Replayed> {
        let mut state = self.0.borrow_mut();
        if state.lost {
            return None;
        }
        state.reader += 1;
        Some(Replayed { source: Rc::clone(&self.0), reader: state.reader, next: 0, trailers_sent: false })
    }
}

/// One try's reading of a body.
pub(super) struct Replayed {
    source: Rc<RefCell<State>>,
    reader: u32,
    /// The next of the kept pieces.
    next: usize,
    trailers_sent: bool,
}

impl Replayed {
    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let mut state = self.source.borrow_mut();
        if state.reader != self.reader {
            // An end would pass for the whole body.
            return Poll::Ready(Some(Err(RequestBodyError::Superseded)));
        }
        if let Some(piece) = state.kept.get(self.next) {
            self.next += 1;
            return Poll::Ready(Some(Ok(Frame::data(piece.clone()))));
        }
        if let Some(trailers) = state.trailers.as_ref().filter(|_| !self.trailers_sent) {
            self.trailers_sent = true;
            return Poll::Ready(Some(Ok(Frame::trailers(trailers.clone()))));
        }
        let frame = ready!(Pin::new(&mut state.body).poll_frame(cx));
        let at_end = state.body.is_end_stream();
        state.progress.saw(frame.as_ref(), at_end);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    state.keep(data);
                    self.next = state.kept.len();
                } else if let Some(trailers) = frame.trailers_ref() {
                    self.trailers_sent = true;
                    state.trailers = Some(trailers.clone());
                }
            }
            Some(Err(_)) => state.lost = true,
            None => {}
        }
        Poll::Ready(frame.map(|frame| frame.map_err(RequestBodyError::Client)))
    }

    pub(super) fn is_end_stream(&self) -> bool {
        let state = self.source.borrow();
        let replayed = self.next >= state.kept.len() && (self.trailers_sent || state.trailers.is_none());
        state.reader != self.reader || (replayed && state.body.is_end_stream())
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        let state = self.source.borrow();
        let again: u64 = state.kept.iter().skip(self.next).map(|piece| piece.len() as u64).sum();
        let rest = state.body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + again);
        }
        hint.set_lower(rest.lower() + again);
        hint
    }
}

impl State {
    fn keep(&mut self, data: &Bytes) {
        if self.lost {
            return;
        }
        self.kept_bytes += data.len();
        if self.kept_bytes > MOST_KEPT {
            self.lost = true;
            self.kept = Vec::new();
        } else {
            self.kept.push(data.clone());
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl fmt::Debug for Replayed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replayed").field("next", &self.next).finish_non_exhaustive()
    }
}
