//! `CLUSTER` MERGE: the time to connect, and limits.

use std::time::Duration;

use postern_snapshot::model::{CircuitBreakers, Cluster};

use super::field::Field;
use super::message::Message;
use super::refusal::Read;

/// What is changed about a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterChange {
    connect_timeout: Option<Duration>,
    circuit_breakers: CircuitBreakers,
}

impl ClusterChange {
    /// Reads the value of a patch.
    pub(super) fn read(mut value: Message<'_>) -> Read<Self> {
        let mut change = Self::default();
        if let Some(field) = value.take("connect_timeout")? {
            let timeout = field.duration()?;
            if timeout.is_zero() {
                return Err(field.refuse("Envoy needs more than 0s"));
            }
            change.connect_timeout = Some(timeout);
        }
        if let Some(breakers) = value.take("circuit_breakers")? {
            let mut breakers = breakers.message()?;
            if let Some(list) = breakers.take("thresholds")? {
                change.circuit_breakers = thresholds(&list)?;
            }
            breakers.finish()?;
        }
        value.finish()?;
        Ok(change)
    }

    /// Merges it in. A threshold that is not set stays as it is.
    pub(super) fn merge_into(&self, cluster: &mut Cluster) {
        if let Some(timeout) = self.connect_timeout {
            cluster.connect_timeout = timeout;
        }
        let CircuitBreakers { max_connections, max_pending_requests, max_requests, max_retries } =
            self.circuit_breakers;
        let breakers = &mut cluster.circuit_breakers;
        breakers.max_connections = max_connections.or(breakers.max_connections);
        breakers.max_pending_requests = max_pending_requests.or(breakers.max_pending_requests);
        breakers.max_requests = max_requests.or(breakers.max_requests);
        breakers.max_retries = max_retries.or(breakers.max_retries);
    }
}

/// Those of the default priority, the only one that requests at an ingress have.
fn thresholds(list: &Field<'_>) -> Read<CircuitBreakers> {
    let thresholds = list.list()?;
    let first = match thresholds.as_slice() {
        [] => return Ok(CircuitBreakers::default()),
        [first] => first,
        [_, second, ..] => return Err(second.refuse("Postern knows thresholds of one priority, DEFAULT")),
    };
    let mut message = first.message()?;
    if let Some(priority) = message.take("priority")? {
        priority.one_of(&[("DEFAULT", 0, ())])?;
    }
    let mut number = |name: &str| message.take(name)?.map(|field| field.u32()).transpose();
    let breakers = CircuitBreakers {
        max_connections: number("max_connections")?,
        max_pending_requests: number("max_pending_requests")?,
        max_requests: number("max_requests")?,
        max_retries: number("max_retries")?,
    };
    message.only_default("track_remaining")?;
    message.finish()?;
    Ok(breakers)
}
