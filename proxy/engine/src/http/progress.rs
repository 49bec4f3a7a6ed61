//! How far a request's body was read, and who gets a copy of what is read.

use std::{
    cell::{Cell, OnceCell, RefCell},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Instant;

use super::copied::Writer;

/// How far the client's body was read. Shared by the body, which is at the upstream's side, and the exchange.
#[derive(Debug, Default)]
pub(super) struct Progress {
    bytes: Cell<u64>,
    ended: Cell<Option<Instant>>,
    failed: Cell<bool>,
    /// When it was last read, if anybody wants to know.
    moved: Cell<Option<Instant>>,
    /// Who waits for the end.
    waker: RefCell<Option<Waker>>,
    /// Who gets a copy of what is read.
    copies: OnceCell<Box<[Writer]>>,
}

impl Progress {
    /// From now on, what is read is written to these too.
    pub(super) fn copy_to(&self, copies: Box<[Writer]>) {
        // Of a body there are copies only once.
        let _ = self.copies.set(copies);
    }

    /// Takes note of what was read.
    pub(super) fn saw(&self, frame: Option<&Result<Frame<Bytes>, hyper::Error>>, at_end: bool) {
        if self.moved.get().is_some() {
            self.watch();
        }
        if let Some(copies) = self.copies.get() {
            copies.iter().for_each(|copy| copy_frame(copy, frame, at_end));
        }
        match frame {
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    self.bytes.set(self.bytes.get() + data.len() as u64);
                }
                if at_end || frame.is_trailers() {
                    self.end();
                }
            }
            Some(Err(_)) => self.failed.set(true),
            None => self.end(),
        }
    }

    /// That was all of it.
    pub(super) fn end(&self) {
        if self.ended.get().is_none() {
            self.ended.set(Some(Instant::now()));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    /// From now on, takes note of when it is read.
    pub(super) fn watch(&self) {
        self.moved.set(Some(Instant::now()));
    }

    /// When it was last read; `None` if nobody [watches](Self::watch).
    pub(super) fn moved(&self) -> Option<Instant> {
        self.moved.get()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// Did the client break off?
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    /// Ready when the whole body was read.
    pub(super) fn poll_ended(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.ended.get().is_some() {
            return Poll::Ready(());
        }
        *self.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

fn copy_frame(copy: &Writer, frame: Option<&Result<Frame<Bytes>, hyper::Error>>, at_end: bool) {
    match frame {
        Some(Ok(frame)) => {
            if let Some(data) = frame.data_ref() {
                copy.data(data);
            } else if let Some(trailers) = frame.trailers_ref() {
                copy.trailers(trailers);
            }
            if at_end {
                copy.whole();
            }
        }
        // The end of the exchange tells it.
        Some(Err(_)) => {}
        None => copy.whole(),
    }
}
