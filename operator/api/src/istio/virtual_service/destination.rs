//! Where traffic goes.

use serde::{Deserialize, Serialize};

use super::Headers;
use crate::value::{Port, non_empty};

/// A service, or a subset of its endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The name of the service in the registry: a whole name (`a.ns.svc.cluster.local`), a host of a
    /// ServiceEntry, or a short name, which is one in the VirtualService's namespace.
    ///
    /// Empty only in what the translation from Gateway API makes of a backend that cannot be used; it
    /// answers 500.
    pub host: String,
    /// A subset that a DestinationRule defines.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub subset: Option<String>,
    /// The port of the service; see [`Self::port_number`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortSelector>,
}

impl Destination {
    /// The port of the service. It may be left out only if the service has one port.
    #[must_use]
    pub fn port_number(&self) -> Option<Port> {
        self.port.and_then(|port| port.number)
    }
}

/// A port of a service by its number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortSelector {
    /// The number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Port>,
}

/// A destination of an HTTP route with its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HttpRouteDestination {
    /// Where to.
    pub destination: Destination,
    /// The share of this destination, relative to the sum of all of the route. A sole destination gets
    /// everything; beside others 0 (or nothing) gets nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: u32,
    /// Changes of headers for this destination, after the route's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
}

/// A destination of a TLS or TCP route with its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteDestination {
    /// Where to.
    pub destination: Destination,
    /// The share, as in [`HttpRouteDestination`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub weight: u32,
}

fn is_zero(weight: &u32) -> bool {
    *weight == 0
}
