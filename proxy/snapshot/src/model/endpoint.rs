//! The part `endpoints`: it changes whenever a pod comes or goes, so nothing else is in it.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{ClusterName, Port};

/// The endpoints of each cluster. A cluster that is not here has none: 503, flag UH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Endpoints(pub BTreeMap<ClusterName, Vec<Endpoint>>);

/// One address that answers for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endpoint {
    /// A pod's, usually.
    pub address: IpAddr,
    /// The container's.
    pub port: Port,
    /// Relative to the others'; absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}
