//! What the translation needs to know that is in no object.

use std::collections::{BTreeMap, BTreeSet};

use postern_snapshot::Port;
use postern_snapshot::model::TransportProtocol;

/// Settings of a whole installation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the ingresses of Istio Gateways run, and the Secrets that `credentialName` names (Istio's root
    /// namespace). Default `istio-system`.
    pub root_namespace: String,
    /// The DNS domain of the cluster's Services. Default `cluster.local`.
    pub cluster_domain: String,
    /// Which port a proxy binds for a port of a Gateway. Default [`PortMapping::Identity`].
    pub ports: PortMapping,
    /// Which ports clients know. Default [`ClientPorts::Service`].
    pub client_ports: ClientPorts,
    /// TCP ports that the proxy itself needs and no server gets. Default 15000 (admin), 15020 (metrics) and 15021
    /// (status).
    pub reserved_ports: BTreeSet<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root_namespace: "istio-system".to_owned(),
            cluster_domain: "cluster.local".to_owned(),
            ports: PortMapping::Identity,
            client_ports: ClientPorts::Service,
            reserved_ports: [15000, 15020, 15021].into(),
        }
    }
}

impl Options {
    /// Does the proxy itself need this port?
    pub(crate) fn is_reserved(&self, port: u16, transport: TransportProtocol) -> bool {
        transport == TransportProtocol::Tcp && self.reserved_ports.contains(&port)
    }

    /// For proxies on this machine, without a cluster: ports below 1024 are moved up by 8000 (80 → 8080, 443 →
    /// 8443), and clients know those.
    #[must_use]
    pub fn local() -> Self {
        Self {
            ports: PortMapping::Offset { below: 1024, by: 8000 },
            client_ports: ClientPorts::Bound,
            ..Self::default()
        }
    }
}

/// Which port a proxy binds for a port of a Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortMapping {
    /// The same: in a cluster, where pods may bind every port.
    Identity,
    /// Ports below a limit are moved up.
    Offset {
        /// The first port that stays.
        below: u16,
        /// How far.
        by: u16,
    },
    /// These; others stay.
    Explicit(BTreeMap<u16, u16>),
}

impl PortMapping {
    /// The port to bind for a port of a Gateway. `None` when there is no such port.
    #[must_use]
    pub fn bound(&self, port: u16) -> Option<Port> {
        let bound = match self {
            Self::Offset { below, by } if port < *below => port.checked_add(*by)?,
            Self::Identity | Self::Offset { .. } => port,
            Self::Explicit(ports) => ports.get(&port).copied().unwrap_or(port),
        };
        Port::new(bound)
    }
}

/// Which ports clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientPorts {
    /// Those of the ingress's Service, which are the Gateway's. `httpsRedirect` names no port, as in Istio.
    Service,
    /// Those that the proxy binds: there is no Service in front of it. `httpsRedirect` names that of HTTPS.
    Bound,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_ports() {
        let bound = |mapping: &PortMapping, port| mapping.bound(port).map(Port::number);
        assert_eq!(bound(&PortMapping::Identity, 80), Some(80));
        assert_eq!(bound(&PortMapping::Identity, 0), None);
        let offset = PortMapping::Offset { below: 1024, by: 8000 };
        assert_eq!(bound(&offset, 443), Some(8443));
        assert_eq!(bound(&offset, 9443), Some(9443));
        let wide = PortMapping::Offset { below: 65535, by: 8000 };
        assert_eq!(bound(&wide, 65000), None);
        let explicit = PortMapping::Explicit([(80, 10080)].into());
        assert_eq!(bound(&explicit, 80), Some(10080));
        assert_eq!(bound(&explicit, 443), Some(443));
    }
}
