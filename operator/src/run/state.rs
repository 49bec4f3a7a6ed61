//! Where reconciling and telling about it meet: what each round of the reconciler found, and what runs.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use kube::api::ApiResource;
use postern_api::meta::ObjectKey;
use postern_snapshot::manifest::Hash;
use postern_translate::status::{ApplyProblem, TranslatedView};
use postern_translate::{Finding, IngressName, Outcome};
use serde_json::Value;

/// One round of the reconciler: what was read, what it means, what was written for it. It is sent again, with the same
/// outcome, when only statuses of objects changed.
#[derive(Debug, Default)]
pub(crate) struct Reconciled {
    /// Counts translations. What is served is of a round; see [`postern_translate::status::Proxy::round`].
    pub(crate) round: u64,
    /// What the objects mean; the settings of `IngressGateway`s are in the snapshots. Gateways that are managed elsewhere
    /// are not in it.
    pub(crate) outcome: Arc<Outcome>,
    /// All findings by object: the translation's, and those about `IngressGateway`s, Gateways that are managed elsewhere and children.
    pub(crate) findings: Arc<BTreeMap<ObjectKey, Vec<Finding>>>,
    /// Every object that gets a status, also one of which nothing could be read. One that has changed since the
    /// translation is not there until the next.
    pub(crate) subjects: BTreeMap<ObjectKey, Arc<Subject>>,
    /// The ingresses that there are to be.
    pub(crate) ingresses: BTreeMap<IngressName, IngressState>,
    /// What was written of the Gateways that Postern does not serve itself.
    pub(crate) translated: Arc<BTreeMap<ObjectKey, TranslatedView>>,
}

/// An object that gets a status.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    /// Where to patch it.
    pub(crate) api: ApiResource,
    /// `metadata.uid`.
    pub(crate) uid: String,
    /// `metadata.generation`.
    pub(crate) generation: i64,
    /// `metadata.resourceVersion`.
    pub(crate) resource_version: String,
    /// `status` as it was read; null if there is none.
    pub(crate) status: Value,
    /// When this generation was first seen here. Of objects that were there when the program started: when it read them.
    pub(crate) changed: Instant,
}

/// What was written for an ingress.
#[derive(Clone, Debug, Default)]
pub(crate) struct IngressState {
    /// Of the snapshot that its proxies should serve. None, if there never was one that could be encoded.
    pub(crate) hash: Option<Hash>,
    /// All of that snapshot is in the cluster.
    pub(crate) published: bool,
    /// What could not be written as wanted.
    pub(crate) problems: Vec<ApplyProblem>,
    /// The `IngressGateway` that says how it runs.
    pub(crate) settings: Option<ObjectKey>,
    /// The Gateways that something of it serves.
    pub(crate) gateways: BTreeSet<ObjectKey>,
}

/// What runs, as the cluster says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Observed {
    /// By ingress, also of those that are going away.
    pub(crate) ingresses: BTreeMap<IngressName, Running>,
    /// The addresses that load balancers gave to Services of anybody's, by Service.
    pub(crate) load_balancers: BTreeMap<ObjectKey, Vec<String>>,
}

/// What runs of one ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Running {
    /// By name; those that have ended are left out.
    pub(crate) pods: BTreeMap<String, Pod>,
    /// Of the Service: the load balancer's IPs and host names, or else the cluster IPs.
    pub(crate) addresses: Vec<String>,
    /// The Deployment's `spec.replicas`; 0 when there is no Deployment.
    pub(crate) wanted: i32,
}

/// A pod of an ingress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    /// Where its status port is; none before it runs.
    pub(crate) ip: Option<IpAddr>,
    /// Its condition Ready is True.
    pub(crate) ready: bool,
    /// It is being deleted.
    pub(crate) terminating: bool,
    /// `metadata.uid`.
    pub(crate) uid: String,
    /// The annotation of the last nudge, if there was one.
    pub(crate) nudged: Option<String>,
}
