//! The answer to a snapshot: what a proxy serves, and what it refused and why. It is the body of `GET /snapshot` on
//! the proxy's status port.

use serde::{Deserialize, Serialize};

use crate::manifest::{Hash, Source};

/// What a proxy has to say about its snapshots.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    /// The proxy's version.
    pub proxy_version: String,
    /// What is served; absent: nothing yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<Applied>,
    /// The newest snapshot, when it was refused as a whole. What is served is then an older one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

/// A snapshot that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Applied {
    /// The manifest's hash.
    pub hash: Hash,
    /// The ingress that it is for, as `namespace/name`.
    pub ingress: String,
    /// The objects that it was made from, with their generations.
    pub sources: Vec<Source>,
    /// What of it is not served.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Refused>,
}

/// A snapshot that was refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejected {
    /// The manifest's hash, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<Hash>,
    /// What is wrong with it.
    pub problem: String,
}

/// A part of a snapshot that could not be served, while the rest is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Refused {
    /// What kind of thing it is.
    pub kind: RefusedKind,
    /// Its name in the snapshot.
    pub name: String,
    /// The object that it comes from, as the snapshot says: `VirtualService/istio-system/web-routing`.
    pub origin: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What kind of thing was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefusedKind {
    /// Its address could not be bound.
    Listener,
    /// A TLS chain has no usable certificate, or rules that cannot be met. Its server names are refused.
    TlsChain,
    /// A certificate, its key or an authority. Where there was a good one of that name, that one is still served.
    Certificate,
    /// A route's conditions or changes cannot be carried out. Requests that may be meant for it get 500.
    Route,
    /// A setting or filter of an HTTP chain or route. The rest is served, without that piece of it that is wrong.
    Setting,
    /// A cluster's TLS settings cannot be met. Requests for it get 503.
    Cluster,
}
