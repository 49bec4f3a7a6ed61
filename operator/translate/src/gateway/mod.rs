//! Gateways → listeners.

pub(crate) mod chains;
pub(crate) mod kind;
pub(crate) mod listeners;
pub(crate) mod merge;
pub(crate) mod tls;

use postern_api::istio::gateway::Server;
use postern_api::value::Protocol;
use postern_snapshot::HostPattern;
use postern_snapshot::model::TransportProtocol;

use crate::config::GatewayConfig;
use crate::names::host_pattern;

/// A server of a Gateway.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServerRef<'a> {
    pub(crate) gateway: &'a GatewayConfig,
    /// Its place in the Gateway's list.
    pub(crate) position: usize,
    pub(crate) server: &'a Server,
}

impl<'a> ServerRef<'a> {
    /// All servers of a Gateway.
    pub(crate) fn all(gateway: &'a GatewayConfig) -> impl Iterator<Item = Self> {
        gateway.object.spec.servers.iter().enumerate().map(move |(position, server)| Self {
            gateway,
            position,
            server,
        })
    }

    /// Whose ports it has.
    pub(crate) fn transport(&self) -> TransportProtocol {
        match self.server.port.protocol {
            Protocol::Udp => TransportProtocol::Udp,
            _ => TransportProtocol::Tcp,
        }
    }

    /// The hosts without their namespaces, sorted, each once.
    pub(crate) fn hosts(&self) -> Vec<HostPattern> {
        let mut hosts: Vec<_> =
            self.server.hosts.iter().filter_map(|host| host_pattern(&host.host)).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Its name for people: `server "https" of Gateway istio-system/web-gateway`.
    pub(crate) fn describe(&self) -> String {
        match &self.gateway.listener {
            Some(listener) => format!("listener {:?} of {}", listener.name, listener.key),
            None => format!("server {:?} of {}", self.server.port.name, self.gateway.key),
        }
    }

    /// What a chain is called in the snapshot: `Gateway/istio-system/web-gateway/https`.
    pub(crate) fn origin(&self) -> String {
        match &self.gateway.listener {
            Some(listener) => format!("{}/{}", crate::names::origin(&listener.key), listener.name),
            None => format!("{}/{}", crate::names::origin(&self.gateway.key), self.server.port.name),
        }
    }
}
