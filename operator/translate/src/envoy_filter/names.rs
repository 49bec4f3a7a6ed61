//! What the listeners and route tables of an ingress are of, as far as a match can ask for it.

use std::collections::BTreeMap;

use postern_snapshot::model::Listener;
use postern_snapshot::{Port, RouteTableName};

use super::scope::{ListenerScope, RouteScope};
use crate::gateway::ServerRef;
use crate::gateway::kind::{Family, ServerKind};
use crate::gateway::listeners::{http_table, https_table};
use crate::gateway::merge::MergedListener;

/// The names of one ingress's things.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// `port.number` of the servers by the names of the listeners.
    listeners: BTreeMap<String, Port>,
    tables: BTreeMap<RouteTableName, Table>,
}

/// A route table.
#[derive(Debug)]
struct Table {
    port: Port,
    /// The name of the port, and the Gateway as `namespace/name`. Tables of plaintext HTTP are shared by Gateways, and
    /// have neither (Istio).
    server: Option<(String, String)>,
}

impl Names {
    pub(super) fn of(merged: &[MergedListener<'_>]) -> Self {
        let mut names = Self::default();
        for listener in merged {
            names.listeners.insert(listener.name(), listener.service_port);
            match listener.family {
                Family::Http => {
                    let table = Table { port: listener.service_port, server: None };
                    names.tables.insert(http_table(listener), table);
                }
                Family::Tls => names.servers(listener),
                Family::Tcp | Family::Udp => {}
            }
        }
        names
    }

    fn servers(&mut self, listener: &MergedListener<'_>) {
        for (server, kind) in &listener.servers {
            if !matches!(kind, ServerKind::TerminateHttp(_)) {
                continue;
            }
            let ServerRef { gateway, server: spec, .. } = server;
            let gateway = format!("{}/{}", gateway.key.namespace, gateway.key.name);
            let table =
                Table { port: listener.service_port, server: Some((spec.port.name.clone(), gateway)) };
            self.tables.insert(https_table(*server, listener), table);
        }
    }

    /// Is this listener meant?
    pub(super) fn is_listener(&self, scope: &ListenerScope, listener: &Listener) -> bool {
        let port = self.listeners.get(&listener.name).copied().unwrap_or(listener.port);
        // Istio's name has the port that it binds, which may not be Postern's.
        let is_name = |name: &String| {
            *name == listener.name
                || name.strip_suffix(&format!("_{port}")).is_some_and(|address| {
                    listener.name.strip_suffix(&format!("_{}", listener.port)) == Some(address)
                })
        };
        scope.port.is_none_or(|wanted| wanted == port.number()) && scope.name.as_ref().is_none_or(is_name)
    }

    /// Is this route table meant?
    pub(super) fn is_table(&self, scope: &RouteScope, name: &RouteTableName) -> bool {
        let Some(Table { port, server }) = self.tables.get(name) else { return false };
        let (port_name, gateway) = match server {
            Some((port_name, gateway)) => (port_name.as_str(), gateway.as_str()),
            None => ("", ""),
        };
        let is = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        scope.port.is_none_or(|wanted| wanted == port.number())
            && is(&scope.name, name.as_str())
            && is(&scope.port_name, port_name)
            && is(&scope.gateway, gateway)
    }

    /// The port in the names of a table's virtual hosts, as Istio has it.
    pub(super) fn port(&self, name: &RouteTableName) -> Option<Port> {
        self.tables.get(name).map(|table| table.port)
    }
}
