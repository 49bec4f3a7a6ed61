//! Timeouts that cost nothing where none is set, and little where one is: timers are used again, since moving one to
//! a later time is much cheaper than making one.

use std::{
    cell::RefCell,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use postern_telemetry::Reason;

use super::{progress::Progress, stream_limits::StreamLimits};

/// So many unused timers are kept.
const MOST_KEPT: usize = 1024;

/// A worker's unused timers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timers(Rc<RefCell<Vec<Pin<Box<Sleep>>>>>);

impl Timers {
    /// A timer that runs out at this time.
    pub(super) fn at(&self, at: Instant) -> Timer {
        let sleep = match self.0.borrow_mut().pop() {
            Some(mut sleep) => {
                sleep.as_mut().reset(at);
                sleep
            }
            None => Box::pin(tokio::time::sleep_until(at)),
        };
        Timer { sleep: Some(sleep), timers: self.clone() }
    }
}

/// A timer in use; goes back to the worker when dropped.
#[derive(Debug)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    timers: Timers,
}

impl Timer {
    pub(super) fn reset(&mut self, at: Instant) {
        if let Some(sleep) = &mut self.sleep {
            sleep.as_mut().reset(at);
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sleep.as_mut().map_or(Poll::Pending, |sleep| sleep.as_mut().poll(cx))
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        let mut timers = self.timers.0.borrow_mut();
        if let Some(sleep) = self.sleep.take().filter(|_| timers.len() < MOST_KEPT) {
            timers.push(sleep);
        }
    }
}

/// A time limit that begins when the client has sent its whole request (Envoy).
#[derive(Debug)]
pub(super) struct Deadline {
    within: Duration,
    /// The request's body; `None` if it has none.
    request: Option<Rc<Progress>>,
    timer: Option<Timer>,
    timers: Timers,
}

impl Deadline {
    pub(super) fn new(within: Duration, request: Option<Rc<Progress>>, timers: &Timers) -> Self {
        let timer = request.is_none().then(|| timers.at(Instant::now() + within));
        Self { within, request, timer, timers: timers.clone() }
    }

    /// Ready when the time is over.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.is_none() {
            let Some(request) = &self.request else { return Poll::Pending };
            if request.poll_ended(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = Some(self.timers.at(Instant::now() + self.within));
        }
        self.timer.as_mut().map_or(Poll::Pending, |timer| timer.poll(cx))
    }
}

/// Which limit was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimedOut {
    /// The route's, for the whole exchange.
    Route,
    /// That of one try.
    Try,
    /// One of the connection manager's.
    Stream(Reason),
}

/// Runs this within the limits that there are.
pub(super) async fn within<F: Future>(
    mut future: Pin<&mut F>,
    route: &mut Option<Deadline>,
    each_try: &mut Option<Deadline>,
    stream: &mut Option<Box<StreamLimits>>,
) -> Result<F::Output, TimedOut> {
    std::future::poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if route.as_mut().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
            return Poll::Ready(Err(TimedOut::Route));
        }
        if each_try.as_mut().is_some_and(|deadline| deadline.poll(cx).is_ready()) {
            return Poll::Ready(Err(TimedOut::Try));
        }
        match stream.as_mut().map(|limits| limits.poll(cx)) {
            Some(Poll::Ready(reason)) => Poll::Ready(Err(TimedOut::Stream(reason))),
            _ => Poll::Pending,
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_limit_counts() {
        let timers = Timers::default();
        let limit = |millis| Some(Deadline::new(Duration::from_millis(millis), None, &timers));
        let never = std::future::pending::<()>;
        assert_eq!(
            within(pin!(never()), &mut limit(20), &mut limit(10), &mut None).await,
            Err(TimedOut::Try)
        );
        assert_eq!(
            within(pin!(never()), &mut limit(20), &mut limit(30), &mut None).await,
            Err(TimedOut::Route)
        );
        assert_eq!(within(pin!(never()), &mut None, &mut limit(30), &mut None).await, Err(TimedOut::Try));
        assert_eq!(within(pin!(async { 1 }), &mut limit(0), &mut None, &mut None).await, Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn timers_are_used_again() {
        let timers = Timers::default();
        for _ in 0..3 {
            let mut limit = Some(Deadline::new(Duration::from_millis(5), None, &timers));
            let start = Instant::now();
            assert_eq!(
                within(pin!(std::future::pending::<()>()), &mut limit, &mut None, &mut None).await,
                Err(TimedOut::Route)
            );
            assert_eq!(start.elapsed(), Duration::from_millis(5));
        }
        assert_eq!(timers.0.borrow().len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_begins_at_the_end_of_the_request() {
        let timers = Timers::default();
        let progress = Rc::new(Progress::default());
        let mut limit = Some(Deadline::new(Duration::from_secs(1), Some(Rc::clone(&progress)), &timers));
        let start = Instant::now();
        let sending = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            progress.saw(None, true);
        };
        let mut none = None;
        let mut never = pin!(std::future::pending::<()>());
        let mut unlimited = None;
        let waiting = within(never.as_mut(), &mut limit, &mut none, &mut unlimited);
        let (_, result) = tokio::join!(sending, waiting);
        assert_eq!(result, Err(TimedOut::Route));
        assert_eq!(start.elapsed(), Duration::from_secs(6));
    }
}
