//! Patches → what one ingress serves.

use std::collections::BTreeMap;

use postern_snapshot::model::{
    HeaderOps, HttpChain, HttpFilters, Listener, ListenerProtocol, Routes, Terminated, TlsAction, TlsChain,
    TransportProtocol,
};
use postern_snapshot::{HostPattern, RouteTableName};

use super::cluster::ClusterChange;
use super::http_filter::{FilterKind, HttpFilter, Position};
use super::names::Names;
use super::patch::{Change, Patch};
use super::refusal::{Read, Refusal};
use super::route_scope;
use super::scope::{ClusterScope, ListenerScope};
use crate::gateway::merge::MergedListener;

/// What is patched. Each route table belongs to one chain, and stands for it here.
pub(super) struct Target<'t> {
    routes: &'t mut Routes,
    names: Names,
    /// The HTTP filters that were put into each chain, by name.
    filters: BTreeMap<RouteTableName, BTreeMap<String, FilterKind>>,
    /// Header changes of whole route tables: they follow those of the virtual hosts.
    tables: BTreeMap<RouteTableName, (HeaderOps, HeaderOps)>,
}

impl<'t> Target<'t> {
    pub(super) fn new(routes: &'t mut Routes, merged: &[MergedListener<'_>]) -> Self {
        Self { routes, names: Names::of(merged), filters: BTreeMap::new(), tables: BTreeMap::new() }
    }

    /// Applies a patch of listeners and clusters, and the filters in them. Does it match anything?
    pub(super) fn listeners(&mut self, patch: &Patch) -> Read<bool> {
        match &patch.change {
            Change::ConnectionManager(scope, manager) => {
                let mut chains = self.chains(scope);
                if let Some(why) = chains.iter().find_map(|chain| manager.conflict(&chain.settings)) {
                    return Err(Refusal::new(patch.path.field("patch").field("value"), why));
                }
                for chain in &mut chains {
                    manager.merge_into(&mut chain.settings);
                }
                Ok(!chains.is_empty())
            }
            Change::HttpFilter { scope, position, name, filter } => {
                self.http_filter(scope, position, name, filter, patch)
            }
            Change::ProxyProtocol(scope, protocol) => {
                let mut found = false;
                let connections = |it: &&mut Listener| it.protocol.transport() == TransportProtocol::Tcp;
                for listener in self.routes.listeners.iter_mut().filter(connections) {
                    let inspected = matches!(listener.protocol, ListenerProtocol::Tls { .. });
                    if self.names.is_listener(scope, listener)
                        && (scope.listener_filter.is_none() || inspected)
                    {
                        listener.proxy_protocol = Some(*protocol);
                        found = true;
                    }
                }
                Ok(found)
            }
            Change::Cluster(scope, change) => Ok(self.clusters(scope, change)),
            Change::RouteTable(..) | Change::VirtualHost(..) | Change::Route(..) => Ok(false),
        }
    }

    /// Applies a patch of route tables, and what is in them. All filters are in the chains by now.
    pub(super) fn routes(&mut self, patch: &Patch) -> Read<bool> {
        let (Change::RouteTable(scope, change)
        | Change::VirtualHost(scope, change)
        | Change::Route(scope, change)) = &patch.change
        else {
            return Ok(false);
        };
        let Self { routes, names, filters, tables } = self;
        let mut found = false;
        for (name, table) in &mut routes.route_tables {
            let Some(port) = names.port(name).filter(|_| names.is_table(scope, name)) else { continue };
            // Envoy takes no notice of changes of filters that the chain does not have.
            let has = |filter: &super::route::NamedFilter| {
                let chain = filters.get(name);
                chain.and_then(|chain| chain.get(&filter.name)) == Some(&filter.filter.kind())
            };
            if !change.filters.iter().all(has) {
                continue;
            }
            found |= match &patch.change {
                Change::RouteTable(..) => {
                    let (request, response) = tables.entry(name.clone()).or_default();
                    super::header::append(request, &change.request_headers);
                    super::header::append(response, &change.response_headers);
                    true
                }
                Change::VirtualHost(..) => route_scope::virtual_hosts(table, port, scope, change, |host| {
                    change.merge_into(
                        &mut host.request_headers,
                        &mut host.response_headers,
                        &mut host.filters,
                    );
                    true
                }),
                _ => route_scope::routes(table, port, scope, change),
            };
        }
        Ok(found)
    }

    /// After all patches.
    pub(super) fn finish(self) {
        for (name, (request, response)) in self.tables {
            let Some(table) = self.routes.route_tables.get_mut(&name) else { continue };
            for host in &mut table.virtual_hosts {
                super::header::then(&mut host.request_headers, &request);
                super::header::then(&mut host.response_headers, &response);
            }
        }
    }

    fn http_filter(
        &mut self,
        scope: &ListenerScope,
        position: &Position,
        name: &str,
        filter: &HttpFilter,
        patch: &Patch,
    ) -> Read<bool> {
        let Self { routes, names, filters, tables: _ } = self;
        let mut chains = chains_of(&mut routes.listeners, names, scope);
        chains.retain(|chain| {
            let inserted = filters.get(&chain.route_table);
            // Of two patches that put in a filter of the same name Istio takes the first.
            position.is_in(inserted) && inserted.is_none_or(|inserted| !inserted.contains_key(name))
        });
        if let Some(why) = chains.iter().find_map(|chain| filter.conflict(&chain.filters)) {
            return Err(Refusal::new(patch.path.field("patch").field("value"), why));
        }
        for chain in &mut chains {
            insert(filter, position, &mut chain.filters);
            filters.entry(chain.route_table.clone()).or_default().insert(name.to_owned(), filter.kind());
        }
        Ok(!chains.is_empty())
    }

    fn chains(&mut self, scope: &ListenerScope) -> Vec<&mut HttpChain> {
        chains_of(&mut self.routes.listeners, &self.names, scope)
    }

    fn clusters(&mut self, scope: &ClusterScope, change: &ClusterChange) -> bool {
        let mut found = false;
        for (name, cluster) in &mut self.routes.clusters {
            if is_cluster(scope, name.as_str()) {
                change.merge_into(cluster);
                found = true;
            }
        }
        found
    }
}

/// The HTTP chains that are meant.
fn chains_of<'l>(
    listeners: &'l mut [Listener],
    names: &Names,
    scope: &ListenerScope,
) -> Vec<&'l mut HttpChain> {
    let meant = listeners.iter_mut().filter(|listener| names.is_listener(scope, listener));
    meant.flat_map(|listener| chains(listener, scope.sni.as_deref())).collect()
}

/// The HTTP chains of a listener; with a server name, those for it.
fn chains<'l>(listener: &'l mut Listener, sni: Option<&str>) -> Vec<&'l mut HttpChain> {
    let is_named = |names: &[HostPattern]| {
        sni.is_none_or(|sni| names.iter().any(|name| name.to_string().eq_ignore_ascii_case(sni)))
    };
    match &mut listener.protocol {
        // A chain of plaintext is for no server name.
        ListenerProtocol::Http(chain) => {
            if sni.is_none() {
                vec![chain]
            } else {
                Vec::new()
            }
        }
        ListenerProtocol::Tcp(_) | ListenerProtocol::Udp(_) => Vec::new(),
        ListenerProtocol::Tls { chains } => chains
            .iter_mut()
            .filter(|chain| is_named(&chain.server_names))
            .filter_map(|TlsChain { action, .. }| match action {
                TlsAction::Terminate { then: Terminated::Http(chain), .. } => Some(chain),
                TlsAction::Terminate { then: Terminated::Tcp(_), .. } | TlsAction::Passthrough(_) => None,
            })
            .collect(),
    }
}

/// Puts a filter in. It [fits](HttpFilter::conflict).
fn insert(filter: &HttpFilter, position: &Position, filters: &mut HttpFilters) {
    match filter {
        HttpFilter::LocalRateLimit(limit) => {
            let limits = &mut filters.local_rate_limits;
            let beside = |name: &String| limits.iter().position(|other| other.name == *name);
            let index = match position {
                Position::First => 0,
                Position::Last => limits.len(),
                Position::Beside { name, after } => {
                    beside(name).map_or(limits.len(), |index| index + usize::from(*after))
                }
            };
            limits.insert(index, limit.clone());
        }
        HttpFilter::Compressor(compressor) => filters.compressors.push(compressor.clone()),
        HttpFilter::Buffer(buffer) => filters.buffer = Some(*buffer),
    }
}

/// Is this cluster meant (`outbound|80|subset|host`)?
fn is_cluster(scope: &ClusterScope, name: &str) -> bool {
    if let Some(wanted) = &scope.name {
        return wanted == name;
    }
    let mut parts = name.splitn(4, '|').skip(1);
    let (Some(port), Some(subset), Some(host)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    scope.port.is_none_or(|wanted| port == wanted.to_string())
        && scope.subset.as_ref().is_none_or(|wanted| wanted == subset)
        && scope.service.as_ref().is_none_or(|wanted| wanted == host)
}
