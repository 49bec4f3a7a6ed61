//! The connection manager's time limits of one request and its response: `stream_idle_timeout` and `request_timeout`.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use postern_telemetry::Reason;
use tokio::time::Instant;

use super::{
    deadline::{Timer, Timers},
    progress::Progress,
    settings::Settings,
};

/// Those that there are.
#[derive(Debug)]
pub(super) struct StreamLimits {
    /// When the whole of the request must have come; `None` once it has, or the response has begun.
    request: Option<Timer>,
    idle: Option<Idle>,
    /// The request's body; `None` if it has none.
    body: Option<Rc<Progress>>,
}

#[derive(Debug)]
struct Idle {
    timeout: Duration,
    timer: Timer,
    /// When something last moved that is not of the request's body.
    moved: Instant,
}

impl StreamLimits {
    /// `None` without limits.
    pub(super) fn new(settings: &Settings, started: Instant, timers: &Timers) -> Option<Box<Self>> {
        let (request, idle) = (settings.request_timeout, settings.stream_idle_timeout);
        if request.is_none() && idle.is_none() {
            return None;
        }
        let idle = |timeout| Idle { timeout, timer: timers.at(started + timeout), moved: started };
        Some(Box::new(Self {
            request: request.map(|timeout| timers.at(started + timeout)),
            idle: settings.stream_idle_timeout.map(idle),
            body: None,
        }))
    }

    /// The request has a body, which is read from now on.
    pub(super) fn reads(&mut self, body: &Rc<Progress>) {
        if self.idle.is_some() {
            body.watch();
        }
        self.body = Some(Rc::clone(body));
    }

    /// The response has begun.
    pub(super) fn responded(&mut self) {
        self.request = None;
        self.moved();
    }

    /// Something of the response moved.
    pub(super) fn moved(&mut self) {
        if let Some(idle) = &mut self.idle {
            idle.moved = Instant::now();
        }
    }

    /// Ready when one of the limits is reached.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reason> {
        if self.body.as_ref().is_none_or(|body| body.ended().is_some()) {
            self.request = None;
        }
        if self.request.as_mut().is_some_and(|timer| timer.poll(cx).is_ready()) {
            return Poll::Ready(Reason::RequestTimeout);
        }
        let Some(idle) = &mut self.idle else { return Poll::Pending };
        while idle.timer.poll(cx).is_ready() {
            let of_request = self.body.as_ref().and_then(|body| body.moved());
            let ends = of_request.map_or(idle.moved, |moved| moved.max(idle.moved)) + idle.timeout;
            if Instant::now() >= ends {
                return Poll::Ready(Reason::StreamIdleTimeout);
            }
            // Moved only when it has run out: that costs nothing as long as there is enough to do.
            idle.timer.reset(ends);
        }
        Poll::Pending
    }
}
