//! One address that answers, what is under way there, and whether it is set aside.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::{Permit, clock, transport::Transport};

/// After the first failed connect an endpoint is set aside for this long; it doubles with each further one.
const ASIDE_FIRST: Duration = Duration::from_secs(1);
/// An endpoint is never set aside for longer than this.
const ASIDE_LONGEST: Duration = Duration::from_secs(30);
/// The low bits of the set-aside word are the time, the rest counts the failures.
const TIME_BITS: u32 = 48;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;

/// What tells an endpoint from all others of this process, former ones included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EndpointId(u64);

/// One address that answers over one [`Transport`].
///
/// Clusters that reach the same address in the same way (a service and its subsets) share it, and with it its
/// connections and what is known about it. All workers share it too; its counters are relaxed atomics.
pub struct Endpoint {
    id: EndpointId,
    address: SocketAddr,
    transport: Arc<Transport>,
    active: AtomicU32,
    /// 0: not set aside. Else the failed connects in a row, and when (in [`clock`] milliseconds) it may be tried again.
    aside: AtomicU64,
    /// The last generation of the clusters that has it.
    generation: AtomicU64,
}

impl Endpoint {
    pub(crate) fn new(address: SocketAddr, transport: Arc<Transport>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: EndpointId(NEXT.fetch_add(1, Relaxed)),
            address,
            transport,
            active: AtomicU32::new(0),
            aside: AtomicU64::new(0),
            generation: AtomicU64::new(0),
        }
    }

    /// What tells it from all others.
    #[must_use]
    pub const fn id(&self) -> EndpointId {
        self.id
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What is spoken with it, and whether TLS is beneath.
    #[must_use]
    pub fn transport(&self) -> &Arc<Transport> {
        &self.transport
    }

    /// Requests and tunnels under way there, over all workers.
    #[must_use]
    pub fn active(&self) -> u32 {
        self.active.load(Relaxed)
    }

    /// Is it passed over for a while because connections to it failed?
    #[must_use]
    pub fn is_set_aside(&self) -> bool {
        match self.aside.load(Relaxed) {
            0 => false,
            word => clock::now_ms() < word & TIME_MASK,
        }
    }

    /// Did this generation of the clusters, or a later one, have it? If not, its idle connections are of no use.
    pub(crate) fn is_in(&self, generation: u64) -> bool {
        self.generation.load(Relaxed) >= generation
    }

    /// This generation of the clusters has it.
    pub(crate) fn enter(&self, generation: u64) {
        self.generation.fetch_max(generation, Relaxed);
    }

    /// A connect failed: pass it over for 1 s, and twice as long each further time, up to 30 s.
    pub(crate) fn set_aside(&self) {
        let now = clock::now_ms();
        // Several connects that fail together count once, so an endpoint that is set aside already stays as it is.
        let _ = self.aside.fetch_update(Relaxed, Relaxed, |word| {
            if word != 0 && now < word & TIME_MASK {
                return None;
            }
            let failures = (word >> TIME_BITS) + 1;
            let pause = ASIDE_FIRST.saturating_mul(1 << (failures - 1).min(5)).min(ASIDE_LONGEST);
            let until = (now + u64::try_from(pause.as_millis()).unwrap_or(0)) & TIME_MASK;
            Some((failures.min(0xffff) << TIME_BITS) | until)
        });
    }

    /// A connect succeeded: what was before is forgotten.
    pub(crate) fn reinstate(&self) {
        if self.aside.load(Relaxed) != 0 {
            self.aside.store(0, Relaxed);
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("address", &self.address)
            .field("active", &self.active())
            .field("set_aside", &self.is_set_aside())
            .finish_non_exhaustive()
    }
}

/// Counts one request or tunnel at an endpoint for as long as it lives.
#[derive(Debug)]
pub struct EndpointGuard {
    endpoint: Arc<Endpoint>,
    /// What the cluster's circuit breakers count meanwhile.
    permit: Permit,
}

impl EndpointGuard {
    pub(crate) fn new(endpoint: Arc<Endpoint>) -> Self {
        endpoint.active.fetch_add(1, Relaxed);
        Self { endpoint, permit: Permit::default() }
    }

    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = permit;
    }

    /// One more for the same thing, which has the permit from now on.
    pub(crate) fn hand_on(&mut self) -> Self {
        let mut guard = Self::new(Arc::clone(&self.endpoint));
        guard.hold(std::mem::take(&mut self.permit));
        guard
    }

    /// The endpoint refused a datagram: it is passed over for a while, as after a connection that failed.
    pub fn refused(&self) {
        self.endpoint.set_aside();
    }

    /// The endpoint sent a datagram: it is well.
    pub fn answered(&self) {
        self.endpoint.reinstate();
    }

    /// Where it is.
    #[must_use]
    pub const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for EndpointGuard {
    fn drop(&mut self) {
        self.endpoint.active.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint() -> Endpoint {
        Endpoint::new(SocketAddr::from(([127, 0, 0, 1], 1)), Transport::plaintext_for_tests())
    }

    #[tokio::test(start_paused = true)]
    async fn is_set_aside_longer_each_time_and_forgiven_on_success() {
        let endpoint = endpoint();
        assert!(!endpoint.is_set_aside());
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            endpoint.set_aside();
            endpoint.set_aside();
            tokio::time::advance(Duration::from_millis(seconds * 1000 - 10)).await;
            assert!(endpoint.is_set_aside(), "still within {seconds} s");
            tokio::time::advance(Duration::from_millis(20)).await;
            assert!(!endpoint.is_set_aside(), "{seconds} s are over");
        }
        endpoint.set_aside();
        endpoint.reinstate();
        assert!(!endpoint.is_set_aside());
        endpoint.set_aside();
        tokio::time::advance(Duration::from_millis(1010)).await;
        assert!(!endpoint.is_set_aside(), "counting starts anew");
    }

    #[test]
    fn guards_count() {
        let endpoint = Arc::new(endpoint());
        let first = EndpointGuard::new(Arc::clone(&endpoint));
        let second = EndpointGuard::new(Arc::clone(&endpoint));
        assert_eq!(endpoint.active(), 2);
        drop(first);
        drop(second);
        assert_eq!(endpoint.active(), 0);
    }
}
