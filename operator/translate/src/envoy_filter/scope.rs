//! Which listeners, routes and clusters a patch is for: its `match`, by the names that Istio gives those of a gateway.
//!
//! Istio's rules: everything that is set must hold; what is not set holds for all. What a match looks at and Postern
//! has no such thing of (the version of Istio's proxy, names of filter chains) makes the patch one that is refused:
//! to take such a match for one that always or never holds would be a guess.

use postern_api::finding::FieldPath;
use postern_api::istio::envoy_filter::{
    ClusterMatch, EnvoyConfigObjectMatch, FilterChainMatch, FilterMatch, ListenerMatch, ObjectMatch,
    ProxyMatch, RouteAction, RouteConfigurationMatch, RouteMatch, SubFilterMatch, VirtualHostMatch,
};

use super::refusal::{Read, Refusal};

/// The names of the HTTP connection manager among the network filters.
pub(super) const CONNECTION_MANAGER: [&str; 2] =
    ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

/// Which listeners, and which chains of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListenerScope {
    /// `portNumber`, of the Gateway's server.
    pub(super) port: Option<u16>,
    /// `0.0.0.0_443`
    pub(super) name: Option<String>,
    /// A host of the server, as it is written there.
    pub(super) sni: Option<String>,
    /// The HTTP filter beside which another is inserted.
    pub(super) sub_filter: Option<String>,
    /// The listener filter beside which another is inserted.
    pub(super) listener_filter: Option<String>,
}

/// Which route tables, virtual hosts and routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteScope {
    pub(super) port: Option<u16>,
    pub(super) port_name: Option<String>,
    /// `namespace/name`
    pub(super) gateway: Option<String>,
    /// `http.80`, `https.443.https.web-gateway.istio-system`
    pub(super) name: Option<String>,
    /// `example.com:443`
    pub(super) host_name: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) route_name: Option<String>,
    pub(super) action: Option<RouteAction>,
}

/// Which clusters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClusterScope {
    pub(super) port: Option<u16>,
    pub(super) service: Option<String>,
    pub(super) subset: Option<String>,
    /// `outbound|80||app.default.svc.cluster.local`. With it nothing else counts (Istio).
    pub(super) name: Option<String>,
}

/// What a patch matches, with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matched<'m> {
    found: Option<&'m EnvoyConfigObjectMatch>,
    path: &'m FieldPath,
}

impl<'m> Matched<'m> {
    /// `path` is that of `match`.
    pub(super) const fn new(found: Option<&'m EnvoyConfigObjectMatch>, path: &'m FieldPath) -> Self {
        Self { found, path }
    }

    /// The match of a listener and what is in it.
    pub(super) fn listener(self) -> Read<ListenerScope> {
        self.proxy()?;
        let path = self.path.field("listener");
        let ListenerMatch { port_number, port_name, filter_chain, listener_filter, name } =
            match self.object() {
                None => return Ok(ListenerScope::default()),
                Some(ObjectMatch::Listener(listener)) => listener,
                Some(_) => return Err(self.other_kind("listener")),
            };
        if port_name.is_some() {
            return Err(Refusal::new(
                path.field("portName"),
                "Istio does not implement it either; use portNumber",
            ));
        }
        let (sni, sub_filter) = match filter_chain {
            Some(chain) => filter_chain_match(chain, &path.field("filterChain"))?,
            None => (None, None),
        };
        Ok(ListenerScope {
            port: port_number.map(|port| port.get()),
            name: name.clone(),
            sni,
            sub_filter,
            listener_filter: listener_filter.clone(),
        })
    }

    /// The match of a route table and what is in it.
    pub(super) fn routes(self) -> Read<RouteScope> {
        self.proxy()?;
        let RouteConfigurationMatch { port_number, port_name, gateway, vhost, name } = match self.object() {
            None => return Ok(RouteScope::default()),
            Some(ObjectMatch::RouteConfiguration(routes)) => routes,
            Some(_) => return Err(self.other_kind("routeConfiguration")),
        };
        let mut scope = RouteScope {
            port: port_number.map(|port| port.get()),
            port_name: port_name.clone(),
            gateway: gateway.clone(),
            name: name.clone(),
            ..RouteScope::default()
        };
        if let Some(VirtualHostMatch { name, domain_name, route }) = vhost {
            scope.host_name.clone_from(name);
            scope.domain.clone_from(domain_name);
            if let Some(RouteMatch { name, action }) = route {
                scope.route_name.clone_from(name);
                scope.action = action.filter(|action| *action != RouteAction::Any);
            }
        }
        Ok(scope)
    }

    /// The match of a cluster.
    pub(super) fn cluster(self) -> Read<ClusterScope> {
        self.proxy()?;
        let ClusterMatch { port_number, service, subset, name } = match self.object() {
            None => return Ok(ClusterScope::default()),
            Some(ObjectMatch::Cluster(cluster)) => cluster,
            Some(_) => return Err(self.other_kind("cluster")),
        };
        Ok(ClusterScope {
            port: port_number.map(|port| port.get()),
            service: service.clone(),
            subset: subset.clone(),
            name: name.clone(),
        })
    }

    fn object(self) -> Option<&'m ObjectMatch> {
        self.found.and_then(|found| found.object.as_ref())
    }

    fn proxy(self) -> Read<()> {
        let Some(ProxyMatch { proxy_version, metadata }) = self.found.and_then(|found| found.proxy.as_ref())
        else {
            return Ok(());
        };
        let path = self.path.field("proxy");
        if proxy_version.is_some() {
            let why = "Postern's proxy is no version of Istio's; leave it out for an ingress of Postern";
            return Err(Refusal::new(path.field("proxyVersion"), why));
        }
        if metadata.is_empty() {
            return Ok(());
        }
        Err(Refusal::new(path.field("metadata"), "Postern's proxies have no metadata; leave it out"))
    }

    fn other_kind(self, wanted: &str) -> Refusal {
        Refusal::new(self.path.clone(), format!("a match for this must be one of {wanted}"))
    }
}

/// The server name, and the HTTP filter.
fn filter_chain_match(chain: &FilterChainMatch, path: &FieldPath) -> Read<(Option<String>, Option<String>)> {
    let FilterChainMatch { name, sni, transport_protocol, application_protocols, filter, destination_port } =
        chain;
    let fields = [
        ("name", name.is_some()),
        ("transportProtocol", transport_protocol.is_some()),
        ("applicationProtocols", application_protocols.is_some()),
        ("destinationPort", destination_port.is_some()),
    ];
    if let Some((field, _)) = fields.iter().find(|(_, is_set)| *is_set) {
        let why = "Postern's filter chains are told apart by listener and sni only";
        return Err(Refusal::new(path.field(field), why));
    }
    let Some(FilterMatch { name, sub_filter }) = filter else { return Ok((sni.clone(), None)) };
    let path = path.field("filter");
    match name.as_deref() {
        Some(name) if !CONNECTION_MANAGER.contains(&name) => {
            let why = format!("of the network filters Postern knows {} only", CONNECTION_MANAGER[0]);
            return Err(Refusal::new(path.field("name"), why));
        }
        _ => {}
    }
    let sub_filter = sub_filter.as_ref().and_then(|SubFilterMatch { name }| name.clone());
    Ok((sni.clone(), sub_filter))
}

impl ListenerScope {
    /// Refuses what says something of filter chains and filters, for a patch of the whole listener.
    pub(super) fn whole_listener(self, path: &FieldPath) -> Read<Self> {
        if self.sni.is_some() || self.sub_filter.is_some() {
            let path = path.field("listener").field("filterChain");
            return Err(Refusal::new(
                path,
                "a patch of a whole listener cannot be for one of its filter chains",
            ));
        }
        Ok(self)
    }

    /// Refuses a neighbour among the listener filters, for a patch of something else.
    pub(super) fn no_listener_filter(self, path: &FieldPath) -> Read<Self> {
        if self.listener_filter.is_some() {
            let path = path.field("listener").field("listenerFilter");
            return Err(Refusal::new(path, "it is for patches of LISTENER_FILTER only"));
        }
        Ok(self)
    }
}
