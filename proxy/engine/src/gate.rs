//! A future that is only polled when it asked for it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures_util::task::AtomicWaker;

/// Polls a future only when it has called for it. A connection is polled with each packet; the drain and the timer
/// beside it, which are behind locks that all workers share, would be asked each time for nothing.
pub(crate) struct Gated<F> {
    future: Pin<Box<F>>,
    signal: Arc<Signal>,
    waker: Waker,
}

struct Signal {
    called: AtomicBool,
    task: AtomicWaker,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.called.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl<F: Future> Gated<F> {
    pub(crate) fn new(future: F) -> Self {
        let signal = Arc::new(Signal { called: AtomicBool::new(true), task: AtomicWaker::new() });
        Self { future: Box::pin(future), waker: Waker::from(Arc::clone(&signal)), signal }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.signal.task.register(cx.waker());
        if !self.signal.called.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    /// Changes the future; it is polled at the next opportunity.
    pub(crate) fn change(&mut self, change: impl FnOnce(Pin<&mut F>)) {
        change(self.future.as_mut());
        self.signal.called.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn polls_when_called_for_and_not_else() {
        let (done, wait) = oneshot::channel::<()>();
        let polls = Cell::new(0);
        let mut wait = std::pin::pin!(wait);
        let mut gated = Gated::new(std::future::poll_fn(|cx| {
            polls.set(polls.get() + 1);
            wait.as_mut().poll(cx)
        }));
        for _ in 0..5 {
            std::future::poll_fn(|cx| {
                assert!(gated.poll(cx).is_pending());
                Poll::Ready(())
            })
            .await;
        }
        assert_eq!(polls.get(), 1);
        assert_eq!(done.send(()), Ok(()));
        assert_eq!(std::future::poll_fn(|cx| gated.poll(cx)).await, Ok(()));
        assert_eq!(polls.get(), 2);
    }
}
