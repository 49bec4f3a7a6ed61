//! VirtualServices → virtual hosts, rules, and where connections go.

pub(crate) mod attach;
pub(crate) mod cors;
mod duplicates;
pub(crate) mod headers;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod l4;
pub(crate) mod match_;
pub(crate) mod reach;
pub(crate) mod redirect;
pub(crate) mod retry;

use std::collections::BTreeMap;

use postern_api::value::GatewayName;
use postern_snapshot::Port;
use postern_snapshot::model::TransportProtocol;

use crate::config::GatewayConfig;

/// For whom a rule is translated: one server's port of one Gateway, on one ingress.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewpoint<'a> {
    pub(crate) gateway: &'a GatewayConfig,
    /// `port.number` of the server.
    pub(crate) port: Port,
    /// Of the server. Services have ports of both kinds.
    pub(crate) transport: TransportProtocol,
    /// Of the ingress's pods.
    pub(crate) labels: &'a BTreeMap<String, String>,
    /// Of the ingress's pods.
    pub(crate) namespace: &'a str,
}

impl Viewpoint<'_> {
    /// Does a match with this `port` look this way?
    pub(crate) fn is_port(&self, port: Option<postern_api::value::Port>) -> bool {
        port.is_none_or(|port| port.get() == self.port.number())
    }

    /// Does a match of a rule in `namespace` with these `gateways` look this way? None means those of the
    /// VirtualService, of which this is one.
    pub(crate) fn is_gateway(&self, gateways: &[GatewayName], namespace: &str) -> bool {
        let here = (self.gateway.key.namespace.as_str(), self.gateway.key.name.as_str());
        gateways.is_empty() || gateways.iter().any(|name| name.resolve(namespace) == Some(here))
    }
}
