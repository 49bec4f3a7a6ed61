//! Which of several operators writes: the one that holds the Lease (coordination.k8s.io).
//!
//! The holder renews it every two seconds; a lease that was not renewed for ten is free. Each change is a patch with the
//! version that was read, so of two that see a free lease one gets it. A holder that cannot renew stops to write two
//! seconds before anybody else may start.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use tokio::{sync::watch, time::Instant};

use crate::error_chain::Chain;

/// A lease that was not renewed for this long is free.
const DURATION: Duration = Duration::from_secs(10);
/// How often the holder renews it, and others look.
const INTERVAL: Duration = Duration::from_secs(2);
/// A holder that could not renew for this long holds nothing any more.
const TRUST: Duration = Duration::from_secs(8);

/// The lease, as one operator sees it.
pub(super) struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
}

impl Candidate {
    /// For the lease `name` in `namespace`; `identity` is unique, the pod's name.
    pub(super) fn new(client: Client, namespace: &str, name: &str, identity: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), identity: identity.to_owned() }
    }

    /// Tries to get and to keep the lease, for ever; `leads` says whether this operator holds it.
    pub(super) async fn run(&self, leads: watch::Sender<bool>) {
        let mut renewed = None;
        loop {
            let attempt = Instant::now();
            match tokio::time::timeout(INTERVAL, self.claim()).await {
                Ok(Ok(true)) => renewed = Some(attempt),
                Ok(Ok(false)) => renewed = None,
                Ok(Err(error)) => tracing::warn!(error = %Chain(&error), "cannot get or renew the lease"),
                Err(_) => tracing::warn!("cannot get or renew the lease in time"),
            }
            let holds = renewed.is_some_and(|renewed| renewed.elapsed() < TRUST);
            leads.send_if_modified(|leads| {
                let changed = *leads != holds;
                *leads = holds;
                changed
            });
            tokio::time::sleep_until(attempt + INTERVAL).await;
        }
    }

    /// Gives the lease back, so that nobody has to wait for its end.
    pub(super) async fn release(&self) -> kube::Result<()> {
        let Some(lease) = self.api.get_opt(&self.name).await? else { return Ok(()) };
        let spec = lease.spec.unwrap_or_default();
        if spec.holder_identity.as_deref() == Some(&self.identity) {
            let empty = LeaseSpec { holder_identity: Some(String::new()), ..spec };
            self.patch(lease.metadata.resource_version, empty).await?;
        }
        Ok(())
    }

    /// Says whether this operator holds the lease now.
    async fn claim(&self) -> kube::Result<bool> {
        let now = Timestamp::now();
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return conflict_is_no(self.create(now).await);
        };
        let spec = lease.spec.unwrap_or_default();
        let Some(next) = next(&spec, &self.identity, now) else { return Ok(false) };
        conflict_is_no(self.patch(lease.metadata.resource_version, next).await)
    }

    async fn create(&self, now: Timestamp) -> kube::Result<()> {
        let lease = Lease {
            metadata: kube::api::ObjectMeta { name: Some(self.name.clone()), ..Default::default() },
            spec: next(&LeaseSpec::default(), &self.identity, now),
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

/// The lease after this operator took or renewed it; `None`: it is somebody else's.
fn next(spec: &LeaseSpec, identity: &str, now: Timestamp) -> Option<LeaseSpec> {
    let holder = spec.holder_identity.as_deref().filter(|holder| !holder.is_empty());
    let is_mine = holder == Some(identity);
    let is_free = holder.is_none() || is_over(spec, now);
    if !is_mine && !is_free {
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

fn is_over(spec: &LeaseSpec, now: Timestamp) -> bool {
    let Some(MicroTime(renewed)) = spec.renew_time else { return true };
    let duration = spec.lease_duration_seconds.unwrap_or_default();
    now.as_second() - renewed.as_second() > i64::from(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("in range")
    }

    #[test]
    fn a_free_lease_is_taken_and_ones_own_renewed() {
        let first = next(&LeaseSpec::default(), "a", at(100)).expect("free");
        assert_eq!((first.holder_identity.as_deref(), first.lease_transitions), (Some("a"), Some(1)));
        let renewed = next(&first, "a", at(102)).expect("own");
        assert_eq!(renewed.acquire_time, first.acquire_time);
        assert_eq!((renewed.renew_time, renewed.lease_transitions), (Some(MicroTime(at(102))), Some(1)));
    }

    #[test]
    fn anothers_is_left_alone_until_it_is_over_or_given_back() {
        let held = next(&LeaseSpec::default(), "a", at(100)).expect("free");
        assert_eq!(next(&held, "b", at(110)), None);
        assert_eq!(next(&held, "b", at(111)).expect("over").holder_identity.as_deref(), Some("b"));
        let returned = LeaseSpec { holder_identity: Some(String::new()), ..held };
        assert!(next(&returned, "b", at(101)).is_some());
    }
}
