//! Which of several operators writes: the one that holds the Lease (coordination.k8s.io).
//!
//! The holder renews it every second; a lease that was seen unchanged for ten is free. Whether it changed is judged by
//! this machine's clock alone: clocks of different machines are not compared. Each change is a patch with the version
//! that was read, so of two that see a free lease one gets it. A holder that cannot renew stops to write two seconds
//! before anybody else may start.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::error_chain::Chain;

/// A lease that was not renewed for this long is free.
const DURATION: Duration = Duration::from_secs(10);
/// How often the holder renews it, and others look.
const INTERVAL: Duration = Duration::from_secs(1);
/// A holder that could not renew for this long holds nothing any more.
const TRUST: Duration = Duration::from_secs(8);
/// A renewal that takes longer is tried again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether this operator leads; exact at each moment.
#[derive(Clone, Debug)]
pub(super) struct Leadership(watch::Receiver<Option<Instant>>);

impl Leadership {
    /// Does it lead at this moment?
    pub(super) fn holds(&self) -> bool {
        self.0.borrow().is_some_and(|until| Instant::now() < until)
    }
}

/// The lease, as one operator sees it.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    until: watch::Sender<Option<Instant>>,
    leads: watch::Sender<bool>,
}

/// A version of the lease, and when it was first seen here.
#[derive(Debug)]
struct Seen {
    version: Option<String>,
    at: Instant,
}

impl Candidate {
    /// For the lease `name` in `namespace`; `identity` is unique, the pod's name.
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity: identity.to_owned(),
            until: watch::channel(None).0,
            leads: watch::channel(false).0,
        }
    }

    /// For those that ask at each moment.
    pub(super) fn leadership(&self) -> Leadership {
        Leadership(self.until.subscribe())
    }

    /// For those that wait for a change.
    pub(super) fn leads(&self) -> watch::Receiver<bool> {
        self.leads.subscribe()
    }

    /// Tries to get and to keep the lease, for ever.
    pub(super) async fn run(&self) {
        let mut seen = None;
        loop {
            let attempt = Instant::now();
            match tokio::time::timeout(PATIENCE, self.claim(&mut seen)).await {
                Ok(Ok(true)) => drop(self.until.send_replace(Some(attempt + TRUST))),
                Ok(Ok(false)) => drop(self.until.send_replace(None)),
                Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "cannot get or renew the lease"),
                Err(_) => tracing::warn!("cannot get or renew the lease in time"),
            }
            self.tell();
            tokio::time::sleep_until(attempt + INTERVAL).await;
        }
    }

    fn tell(&self) {
        let holds = self.until.borrow().is_some_and(|until| Instant::now() < until);
        let changed = self.leads.send_if_modified(|leads| std::mem::replace(leads, holds) != holds);
        if changed {
            let what = if holds { "this operator leads" } else { "another operator leads" };
            tracing::info!(identity = self.identity, "{what}");
        }
    }

    /// Gives the lease back, so that nobody has to wait for its end. Nothing is written from this call on.
    pub(super) async fn release(&self) -> kube::Result<()> {
        self.until.send_replace(None);
        let Some(lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            let empty = LeaseSpec { holder_identity: Some(String::new()), ..spec };
            self.patch(lease.metadata.resource_version, empty).await?;
        }
        Ok(())
    }

    /// Says whether this operator holds the lease now.
    async fn claim(&self, seen: &mut Option<Seen>) -> kube::Result<bool> {
        let now = Timestamp::now();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return conflict_is_no(self.create(now).await);
        };
        let version = lease.metadata.resource_version;
        let at = match seen {
            Some(seen) if seen.version == version => seen.at,
            _ => {
                let at = Instant::now();
                *seen = Some(Seen { version: version.clone(), at });
                at
            }
        };
        let spec = lease.spec.unwrap_or_default();
        let Some(next) = next(&spec, &self.identity, now, at.elapsed()) else { return Ok(false) };
        conflict_is_no(self.patch(version, next).await)
    }

    async fn create(&self, now: Timestamp) -> kube::Result<()> {
        let lease = Lease {
            metadata: kube::api::ObjectMeta { name: Some(self.name.clone()), ..Default::default() },
            spec: next(&LeaseSpec::default(), &self.identity, now, Duration::ZERO),
        };
        self.api.create(&PostParams::default(), &lease).await.map(drop)
    }

    async fn patch(&self, version: Option<String>, spec: LeaseSpec) -> kube::Result<()> {
        let patch = serde_json::json!({ "metadata": { "resourceVersion": version }, "spec": spec });
        self.api.patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(drop)
    }
}

/// Another operator was faster.
fn conflict_is_no(result: kube::Result<()>) -> kube::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

/// The lease after this operator took or renewed it; `None`: it is somebody else's. `unchanged` is for how long this
/// operator has seen it as it is.
fn next(spec: &LeaseSpec, identity: &str, now: Timestamp, unchanged: Duration) -> Option<LeaseSpec> {
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    let is_mine = holder == Some(identity);
    let duration = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let is_over = unchanged > duration.map_or(DURATION, Duration::from_secs);
    if !is_mine && holder.is_some() && !is_over {
        return None;
    }
    let transitions = spec.lease_transitions.unwrap_or_default();
    Some(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
        acquire_time: if is_mine { spec.acquire_time.clone() } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_mine { transitions } else { transitions.saturating_add(1) }),
        ..LeaseSpec::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_free_lease_is_taken_and_ones_own_renewed() {
        let first = next(&LeaseSpec::default(), "a", at(100), NOW).expect("free");
        assert_eq!((first.holder_identity.as_deref(), first.lease_transitions), (Some("a"), Some(1)));
        let renewed = next(&first, "a", at(102), NOW).expect("own");
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_eq!((renewed.renew_time, renewed.lease_transitions), (Some(MicroTime(at(102))), Some(1)));
    }

    #[test]
    fn anothers_is_left_alone_until_it_is_over_or_given_back() {
        let held = next(&LeaseSpec::default(), "a", at(100), NOW).expect("free");
        assert_eq!(
            next(&held, "b", at(1000), DURATION),
            None,
            "the clock of another machine does not matter"
        );
        let over = DURATION + Duration::from_millis(1);
        assert_eq!(next(&held, "b", at(100), over).expect("over").holder_identity.as_deref(), Some("b"));
        let returned = LeaseSpec { holder_identity: Some(String::new()), ..held };
        assert!(next(&returned, "b", at(101), NOW).is_some());
    }

    #[test]
    fn a_holder_stops_before_anybody_else_may_start() {
        assert!(TRUST < DURATION);
        assert!(PATIENCE * 2 + INTERVAL < TRUST, "a renewal that fails once is no loss");
    }
}
