//! How connections end without an error: one small primitive for SIGTERM, for a listener that vanished, and for a TLS
//! chain that vanished.
//!
//! There are two signals. *Draining* asks nicely: HTTP/1.1 answers with `Connection: close`, HTTP/2 with GOAWAY, and
//! idle connections close. *Cut off* ends what is still open, when the grace period is over. A drain has children: a
//! listener drains when it is removed or when the whole proxy does.

use std::{future::Future, task::Poll, time::Duration};

use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::gate::Gated;

/// The side that decides.
#[derive(Debug, Clone)]
pub struct Drain {
    draining: CancellationToken,
    cut_off: CancellationToken,
    /// What counts the open connections: its own, then those of all above it.
    open: Vec<TaskTracker>,
}

impl Drain {
    /// One that nothing above can set off.
    #[must_use]
    pub fn new() -> Self {
        Self {
            draining: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            open: vec![TaskTracker::new()],
        }
    }

    /// One that is set off by this one too. Its connections count here too.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            draining: self.draining.child_token(),
            cut_off: self.cut_off.child_token(),
            open: std::iter::once(TaskTracker::new()).chain(self.open.iter().cloned()).collect(),
        }
    }

    /// What a connection holds while it is open.
    #[must_use]
    pub fn watch(&self) -> DrainWatch {
        DrainWatch {
            draining: self.draining.clone(),
            cut_off: self.cut_off.clone(),
            _open: self.open.iter().map(TaskTracker::token).collect(),
        }
    }

    /// Asks all connections to end; those that have not after `grace` are cut off. Returns when none is left.
    pub async fn run(&self, grace: Duration) {
        self.draining.cancel();
        let Some(own) = self.open.first() else { return };
        own.close();
        if tokio::time::timeout(grace, own.wait()).await.is_err() {
            self.cut_off.cancel();
            own.wait().await;
        }
    }

    /// Asks all connections to end, and returns at once.
    pub fn start(&self) {
        self.draining.cancel();
    }

    /// How many are open.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.first().map_or(0, TaskTracker::len)
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self::new()
    }
}

/// The side that listens. As long as one exists, its connection counts as open.
#[derive(Debug, Clone)]
pub struct DrainWatch {
    draining: CancellationToken,
    cut_off: CancellationToken,
    _open: Vec<TaskTrackerToken>,
}

impl DrainWatch {
    /// Resolves when the connection should end as soon as that harms nobody.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Should the connection end?
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Runs this until it ends or the grace period is over; `None` in the latter case.
    pub async fn until_cut_off<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = std::pin::pin!(future);
        let mut cut_off = Gated::new(self.cut_off.cancelled());
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => cut_off.poll(cx).map(|()| None),
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_ends_by_itself_is_waited_for() {
        let drain = Drain::new();
        let watch = drain.watch();
        let connection = tokio::spawn(async move {
            watch.draining().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        });
        let started = tokio::time::Instant::now();
        drain.run(Duration::from_secs(10)).await;
        assert_eq!(started.elapsed(), Duration::from_secs(2));
        connection.await.expect("ended by itself");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_is_cut_off() {
        let drain = Drain::new();
        let watch = drain.watch();
        let connection = tokio::spawn(async move { watch.until_cut_off(std::future::pending::<()>()).await });
        drain.run(Duration::from_secs(10)).await;
        assert_eq!(connection.await.expect("no panic"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_grandchilds_connection_is_waited_for_and_cut_off() {
        let listener = Drain::new().child();
        let watch = listener.child().watch();
        assert_eq!(listener.open(), 1);
        let connection = tokio::spawn(async move { watch.until_cut_off(std::future::pending::<()>()).await });
        let started = tokio::time::Instant::now();
        listener.run(Duration::from_secs(10)).await;
        assert_eq!(started.elapsed(), Duration::from_secs(10));
        assert_eq!(connection.await.expect("no panic"), None);
    }

    #[tokio::test]
    async fn a_child_follows_its_parent_but_not_the_other_way() {
        let parent = Drain::new();
        let child = parent.child();
        let other = parent.child();
        child.start();
        assert!(child.watch().is_draining());
        assert!(!parent.watch().is_draining());
        parent.start();
        assert!(other.watch().is_draining());
    }
}
