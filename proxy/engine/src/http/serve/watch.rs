//! When a connection ends: after too long without a request, when a request's head takes too long, or because of a
//! drain, which at last cuts it off.
//!
//! hyper's own timeout for heads would also end idle connections, and would make a timer for each request. Here each
//! connection has one timer, which is moved only when it has run out or must run out earlier.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::{Instant, Sleep};

use super::io::Arrivals;
use crate::{drain::DrainWatch, gate::Gated, http::connection::Connection};

/// While a drain is on, an idle HTTP/1.1 connection stays open for so long: a request that is under way to it gets its
/// answer, with `connection: close`, where closing at once would lose it.
const IDLE_IN_DRAIN: Duration = Duration::from_secs(1);

/// Watches one connection.
pub(super) struct Watch {
    connection: Rc<Connection>,
    arrivals: Arrivals,
    multiplexed: bool,
    drain: DrainWatch,
    /// What the drain does next: it begins, and then cuts off.
    drain_step: Option<Gated<DrainStep>>,
    drain_began: Option<Instant>,
    /// How many requests had ended at the last look.
    answered: u64,
    /// When the first bytes of a head came that is not complete.
    head_began: Option<Instant>,
    timer: Option<Gated<Sleep>>,
    /// When the timer runs out.
    armed: Option<Instant>,
}

type DrainStep = Pin<Box<dyn Future<Output = ()>>>;

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// End it as soon as no request is under way.
    Shutdown,
    /// End it now.
    Abort,
}

impl Watch {
    pub(super) fn new(
        connection: Rc<Connection>,
        arrivals: Arrivals,
        multiplexed: bool,
        drain: DrainWatch,
    ) -> Self {
        if drain.is_draining() {
            // A request that is here already is answered before the first look.
            connection.close_after_response();
        }
        let watch = drain.clone();
        let draining: DrainStep = Box::pin(async move { watch.draining().await });
        Self {
            connection,
            arrivals,
            multiplexed,
            drain,
            drain_step: Some(Gated::new(draining)),
            drain_began: None,
            answered: 0,
            head_began: None,
            timer: None,
            armed: None,
        }
    }

    /// To be called after each poll of the connection that left it open.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        if let Some(verdict) = self.poll_drain(cx) {
            return Poll::Ready(verdict);
        }
        // Also one that was answered within a single poll: what came for it is no beginning of the next.
        let answered = self.connection.answered();
        if self.connection.is_busy() || answered != self.answered {
            self.answered = answered;
            self.head_began = None;
            self.arrivals.forget();
        }
        if self.connection.is_busy() {
            return Poll::Pending;
        }
        loop {
            let Some((ends, verdict)) = self.limit() else { return Poll::Pending };
            match self.poll_timer(cx, ends) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if Instant::now() >= ends => return Poll::Ready(verdict),
                // The timer was for an earlier state.
                Poll::Ready(()) => {}
            }
        }
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Option<Verdict> {
        if self.drain_step.as_mut()?.poll(cx).is_pending() {
            return None;
        }
        if self.drain_began.is_some() {
            self.drain_step = None;
            return Some(Verdict::Abort);
        }
        self.drain_began = Some(Instant::now());
        let watch = self.drain.clone();
        let mut cut_off: Gated<DrainStep> = Gated::new(Box::pin(async move {
            watch.until_cut_off(std::future::pending::<()>()).await;
        }));
        let cut_off_already = cut_off.poll(cx).is_ready();
        self.drain_step = Some(cut_off).filter(|_| !cut_off_already);
        if cut_off_already {
            return Some(Verdict::Abort);
        }
        self.connection.close_after_response();
        (self.multiplexed || self.connection.is_busy()).then_some(Verdict::Shutdown)
    }

    /// When the state that the connection is in must end, and how.
    fn limit(&mut self) -> Option<(Instant, Verdict)> {
        let runtime = self.connection.view.load();
        let settings = &runtime.settings;
        if !self.multiplexed && self.arrivals.any() {
            let began = *self.head_began.get_or_insert_with(Instant::now);
            return settings.request_headers_timeout.map(|timeout| (began + timeout, Verdict::Abort));
        }
        let idle_since = self.connection.idle_since();
        if let Some(began) = self.drain_began {
            return Some((began.max(idle_since) + IDLE_IN_DRAIN, Verdict::Shutdown));
        }
        settings.idle_timeout.map(|timeout| (idle_since + timeout, Verdict::Shutdown))
    }

    /// Ready when the timer ran out, which may be before `ends`, but is never after it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, ends: Instant) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Gated::new(tokio::time::sleep_until(ends)));
        if self.armed.is_none_or(|armed| ends < armed) {
            timer.change(|sleep| sleep.reset(ends));
            self.armed = Some(ends);
        }
        let ran_out = timer.poll(cx);
        if ran_out.is_ready() {
            self.armed = None;
        }
        ran_out
    }
}
