//! A request's body on its way to a mirror. What the upstream reads is written here too, and waits for the mirror; where
//! too much waits, the mirror is given up.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    fmt,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use postern_telemetry::metrics::MirrorFailure;

use super::{body::RequestBodyError, mirror::MirrorLoad, progress::Progress};

/// More than this does not wait for one mirror (as Envoy's `per_connection_buffer_limit_bytes` has it by default).
const MOST_WAITING: usize = 1024 * 1024;

/// More than this does not wait for all mirrors of a worker.
const MOST_WAITING_TOGETHER: usize = 32 * 1024 * 1024;

/// How the body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// With its last byte.
    Whole,
    /// Too early: the client or the upstream broke off.
    Early,
    /// The mirror was too slow.
    Slow,
}

struct Pipe {
    load: Rc<MirrorLoad>,
    waiting: RefCell<VecDeque<Frame<Bytes>>>,
    waiting_bytes: Cell<usize>,
    end: Cell<Option<End>>,
    /// What the mirror has not read yet, if that is known.
    rest: Cell<Option<u64>>,
    /// The mirror does not read any more.
    closed: Cell<bool>,
    /// Of the mirror's connection, which waits for more.
    waker: Cell<Option<Waker>>,
    /// Of who waits for a [failure](Ended::failed).
    watcher: Cell<Option<Waker>>,
    progress: Rc<Progress>,
}

/// Where the upstream's side writes. It ends the body when it is dropped.
pub(super) struct Writer(Rc<Pipe>);

/// The mirror's body.
pub(super) struct Copied(Rc<Pipe>);

/// Tells how the body ended.
pub(super) struct Ended(Rc<Pipe>);

/// Both ends; `size` of the whole, if it is known.
pub(super) fn pair(load: &Rc<MirrorLoad>, size: Option<u64>) -> (Writer, Copied) {
    let pipe = Rc::new(Pipe {
        load: Rc::clone(load),
        waiting: RefCell::default(),
        waiting_bytes: Cell::new(0),
        end: Cell::new(None),
        rest: Cell::new(size),
        closed: Cell::new(false),
        waker: Cell::new(None),
        watcher: Cell::new(None),
        progress: Rc::default(),
    });
    (Writer(Rc::clone(&pipe)), Copied(pipe))
}

impl Pipe {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn failure(&self) -> Option<MirrorFailure> {
        match self.end.get() {
            Some(End::Early) => Some(MirrorFailure::Incomplete),
            Some(End::Slow) => Some(MirrorFailure::Slow),
            Some(End::Whole) | None => None,
        }
    }

    fn end(&self, how: End) {
        if self.end.get().is_none() {
            self.end.set(Some(how));
            self.progress.end();
            self.wake();
            if let Some(watcher) = self.watcher.take() {
                watcher.wake();
            }
        }
    }

    /// So many bytes more or less wait.
    fn count(&self, change: impl Fn(usize) -> usize) {
        self.waiting_bytes.set(change(self.waiting_bytes.get()));
        self.load.waiting.set(change(self.load.waiting.get()));
    }

    fn discard(&self) {
        let bytes = self.waiting_bytes.get();
        self.count(|waiting| waiting.saturating_sub(bytes));
        self.waiting.borrow_mut().clear();
    }
}

impl Writer {
    /// Bytes that the upstream was given.
    pub(super) fn data(&self, data: &Bytes) {
        let pipe = &*self.0;
        if pipe.closed.get() || pipe.end.get().is_some() || data.is_empty() {
            return;
        }
        pipe.count(|waiting| waiting + data.len());
        if pipe.waiting_bytes.get() > MOST_WAITING || pipe.load.waiting.get() > MOST_WAITING_TOGETHER {
            pipe.discard();
            pipe.end(End::Slow);
            return;
        }
        pipe.waiting.borrow_mut().push_back(Frame::data(data.clone()));
        pipe.wake();
    }

    /// The trailers, which end the body.
    pub(super) fn trailers(&self, trailers: &HeaderMap) {
        let pipe = &*self.0;
        if !pipe.closed.get() && pipe.end.get().is_none() {
            pipe.waiting.borrow_mut().push_back(Frame::trailers(trailers.clone()));
        }
        self.whole();
    }

    /// That was all.
    pub(super) fn whole(&self) {
        self.0.end(End::Whole);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.end(End::Early);
    }
}

impl Copied {
    pub(super) fn ended(&self) -> Ended {
        Ended(Rc::clone(&self.0))
    }

    pub(super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let pipe = &*self.0;
        let next = pipe.waiting.borrow_mut().pop_front();
        if let Some(frame) = next {
            if let Some(data) = frame.data_ref() {
                pipe.count(|waiting| waiting.saturating_sub(data.len()));
                pipe.rest.set(pipe.rest.get().map(|rest| rest.saturating_sub(data.len() as u64)));
            }
            return Poll::Ready(Some(Ok(frame)));
        }
        match pipe.end.get() {
            Some(End::Whole) => Poll::Ready(None),
            Some(End::Early | End::Slow) => Poll::Ready(Some(Err(RequestBodyError::NotCopied))),
            None => {
                pipe.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.0.end.get() == Some(End::Whole) && self.0.waiting.borrow().is_empty()
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.0.rest.get().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        self.0.closed.set(true);
        self.0.discard();
    }
}

impl Ended {
    /// Ends when the body does, whatever the mirror has read of it.
    pub(super) fn progress(&self) -> Rc<Progress> {
        Rc::clone(&self.0.progress)
    }

    /// Waits until it is known that the mirror cannot have the whole body, and why; for ever where it can.
    pub(super) async fn failed(self) -> MirrorFailure {
        std::future::poll_fn(|cx| {
            self.0.watcher.set(Some(cx.waker().clone()));
            self.0.failure().map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("waiting", &self.0.waiting_bytes.get()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Copied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Copied").field("waiting", &self.0.waiting_bytes.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use super::*;

    fn read(body: &mut Copied) -> Poll<Option<Result<Bytes, MirrorFailure>>> {
        let frame = body.poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| {
            frame.map(|frame| {
                frame
                    .map(|frame| frame.into_data().unwrap_or_default())
                    .map_err(|_| body.0.failure().unwrap())
            })
        })
    }

    #[test]
    fn what_is_written_is_read_in_order_to_the_end() {
        let load = Rc::default();
        let (writer, mut body) = pair(&load, Some(6));
        assert_eq!(body.size_hint().exact(), Some(6));
        assert!(read(&mut body).is_pending());
        writer.data(&Bytes::from_static(b"abc"));
        writer.data(&Bytes::from_static(b"def"));
        assert_eq!(load.waiting.get(), 6);
        assert_eq!(read(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert_eq!((body.size_hint().exact(), load.waiting.get()), (Some(3), 3));
        writer.whole();
        assert!(!body.is_end_stream());
        assert_eq!(read(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"def")))));
        assert!(body.is_end_stream());
        drop(writer);
        assert_eq!(read(&mut body), Poll::Ready(None));
        assert_eq!(body.0.failure(), None);
    }

    #[test]
    fn a_slow_mirror_is_given_up_and_its_bytes_with_it() {
        let load = Rc::default();
        let (writer, mut body) = pair(&load, None);
        let piece = Bytes::from(vec![0; MOST_WAITING / 2]);
        writer.data(&piece);
        writer.data(&piece);
        assert_eq!(load.waiting.get(), MOST_WAITING);
        writer.data(&piece);
        assert_eq!(load.waiting.get(), 0);
        assert_eq!(read(&mut body), Poll::Ready(Some(Err(MirrorFailure::Slow))));
        writer.data(&piece);
        assert_eq!(load.waiting.get(), 0);
    }

    #[test]
    fn all_mirrors_together_are_limited() {
        let load = Rc::default();
        let piece = Bytes::from(vec![0; MOST_WAITING]);
        let pairs: Vec<_> = (0..MOST_WAITING_TOGETHER / MOST_WAITING).map(|_| pair(&load, None)).collect();
        pairs.iter().for_each(|(writer, _)| writer.data(&piece));
        let (writer, body) = pair(&load, None);
        writer.data(&Bytes::from_static(b"x"));
        assert_eq!(body.0.failure(), Some(MirrorFailure::Slow));
        drop(pairs);
        assert_eq!(load.waiting.get(), 0);
    }

    #[test]
    fn who_breaks_off_leaves_no_whole_body() {
        let (writer, mut body) = pair(&Rc::default(), None);
        writer.data(&Bytes::from_static(b"abc"));
        drop(writer);
        assert_eq!(read(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"abc")))));
        assert_eq!(read(&mut body), Poll::Ready(Some(Err(MirrorFailure::Incomplete))));
        let (writer, body) = pair(&Rc::default(), None);
        drop(body);
        writer.data(&Bytes::from_static(b"abc"));
        assert_eq!(writer.0.waiting_bytes.get(), 0);
    }
}
