//! Closing what is idle for too long, or leads to an endpoint that is gone.

use std::rc::{Rc, Weak};

use hyper::body::Body;

use super::{Inner, Pool};
use crate::{Cause, Clusters};

impl<B> Pool<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    /// Closes idle connections to endpoints that these clusters do not have. Requests under way end in peace, and
    /// their connections are not kept.
    ///
    /// Each worker calls it after the clusters or their endpoints changed.
    pub fn retain(&self, clusters: &Clusters) {
        self.0.shared.generation.set(clusters.generation());
        self.0.sweep();
    }

    /// The timer starts with the first connection, because only then it is certain that a runtime is there.
    pub(super) fn start_sweeping(&self) {
        if !self.0.sweeping.replace(true) {
            tokio::task::spawn_local(sweep_until_dropped(Rc::downgrade(&self.0)));
        }
    }
}

async fn sweep_until_dropped<B: 'static>(pool: Weak<Inner<B>>) {
    let Some(interval) = pool.upgrade().map(|pool| pool.shared.config.sweep_interval) else { return };
    loop {
        tokio::time::sleep(interval).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.shared.sweeps.set(pool.shared.sweeps.get().wrapping_add(1));
        pool.sweep();
    }
}

impl<B: 'static> Inner<B> {
    fn sweep(&self) {
        let config = &self.shared.config;
        let interval = config.sweep_interval.as_millis().max(1);
        let most_sweeps = u32::try_from(config.idle_timeout.as_millis() / interval).unwrap_or(u32::MAX / 2);
        // What is dropped here may call back, so the map is not borrowed while it goes.
        let mut gone = Vec::new();
        let mut hosts = self.hosts.borrow_mut();
        gone.extend(hosts.fixed.extract_if(|_, host| host.sweep(most_sweeps)).map(|(_, host)| host));
        gone.extend(hosts.by_name.extract_if(|_, host| host.sweep(most_sweeps)).map(|(_, host)| host));
    }
}
