//! What a reader must be able to do.

use std::collections::BTreeSet;

use crate::model::{
    Cluster, EscapedSlashes, HttpChain, HttpSettings, Listener, ListenerProtocol, Route, RouteAction,
    RouteFilters, Routes, ServerTls, Terminated, TlsAction, TlsChain, VirtualHost,
};

/// Something that a reader must understand to serve a snapshot as it is meant, when that snapshot uses it.
///
/// What format 1 could do from its first day needs no feature. A later addition that an older proxy would ignore
/// to somebody's harm (a rate limit, a refused client) gets one here, and a line in [`Feature::of`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Feature {
    /// Limits on what is under way to a cluster.
    CircuitBreakers,
    /// Client certificates that are checked by pins or names, not by an authority alone.
    ClientCertificatePins,
    /// Preflights that are answered, and responses that pages of other origins may see.
    Cors,
    /// Limits on the rate of requests.
    LocalRateLimit,
    /// Paths that are normalized in another way than by default: a route for a path must not be passed by in another
    /// spelling of it.
    PathNormalization,
    /// Connections that begin with the PROXY protocol's header.
    ProxyProtocol,
    /// Requests that are sent on whole, and limited in size.
    RequestBuffer,
    /// Copies of requests.
    RequestMirrors,
    /// Datagrams.
    Udp,
    /// Header changes of virtual hosts.
    VirtualHostHeaders,
}

impl Feature {
    /// All that this crate's readers understand.
    pub const ALL: [Self; 10] = [
        Self::CircuitBreakers,
        Self::ClientCertificatePins,
        Self::Cors,
        Self::LocalRateLimit,
        Self::PathNormalization,
        Self::ProxyProtocol,
        Self::RequestBuffer,
        Self::RequestMirrors,
        Self::Udp,
        Self::VirtualHostHeaders,
    ];

    /// Its name in `requires`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CircuitBreakers => "circuit-breakers",
            Self::ClientCertificatePins => "client-certificate-pins",
            Self::Cors => "cors",
            Self::LocalRateLimit => "local-rate-limit",
            Self::PathNormalization => "path-normalization",
            Self::ProxyProtocol => "proxy-protocol",
            Self::RequestBuffer => "request-buffer",
            Self::RequestMirrors => "request-mirrors",
            Self::Udp => "udp",
            Self::VirtualHostHeaders => "virtual-host-headers",
        }
    }

    /// What these routes use.
    #[must_use]
    pub fn of(routes: &Routes) -> BTreeSet<Self> {
        let listeners = routes.listeners.iter().flat_map(of_listener);
        let hosts =
            routes.route_tables.values().flat_map(|table| &table.virtual_hosts).flat_map(of_virtual_host);
        let clusters = routes.clusters.values().filter_map(of_cluster);
        listeners.chain(hosts).chain(clusters).collect()
    }
}

fn of_listener(listener: &Listener) -> Vec<Feature> {
    let mut features = match &listener.protocol {
        ListenerProtocol::Http(chain) => of_chain(chain),
        ListenerProtocol::Tcp(_) => vec![],
        ListenerProtocol::Udp(_) => vec![Feature::Udp],
        ListenerProtocol::Tls { chains } => chains.iter().flat_map(of_tls_chain).collect(),
    };
    features.extend(listener.proxy_protocol.map(|_| Feature::ProxyProtocol));
    features
}

fn of_tls_chain(chain: &TlsChain) -> Vec<Feature> {
    let TlsAction::Terminate { tls, then } = &chain.action else { return vec![] };
    let mut features = match then {
        Terminated::Http(chain) => of_chain(chain),
        Terminated::Tcp(_) => vec![],
    };
    features.extend(is_pinned(tls).then_some(Feature::ClientCertificatePins));
    features
}

fn is_pinned(tls: &ServerTls) -> bool {
    tls.client_auth.as_ref().is_some_and(|auth| {
        !(auth.subject_alt_names.is_empty() && auth.spki.is_empty() && auth.hashes.is_empty())
    })
}

fn of_chain(chain: &HttpChain) -> Vec<Feature> {
    let found = [
        (Feature::PathNormalization, has_other_paths(&chain.settings)),
        (Feature::LocalRateLimit, !chain.filters.local_rate_limits.is_empty()),
        (Feature::RequestBuffer, chain.filters.buffer.is_some()),
    ];
    found.into_iter().filter_map(|(feature, is_used)| is_used.then_some(feature)).collect()
}

fn has_other_paths(settings: &HttpSettings) -> bool {
    settings.normalize_path.is_some()
        || settings.merge_slashes
        || settings.escaped_slashes != EscapedSlashes::KeepUnchanged
}

fn of_virtual_host(host: &VirtualHost) -> Vec<Feature> {
    let has_headers = !(host.request_headers.is_empty() && host.response_headers.is_empty());
    let filters = std::iter::once(&host.filters).chain(host.routes.iter().map(|route| &route.filters));
    let headers = has_headers.then_some(Feature::VirtualHostHeaders);
    filters.flat_map(of_filters).chain(headers).chain(host.routes.iter().flat_map(of_route)).collect()
}

fn of_route(route: &Route) -> impl Iterator<Item = Feature> {
    let is_copied = matches!(&route.action, RouteAction::Forward(forward) if !forward.mirrors.is_empty());
    let mirrors = is_copied.then_some(Feature::RequestMirrors);
    mirrors.into_iter().chain(route.cors.as_ref().map(|_| Feature::Cors))
}

fn of_filters(filters: &RouteFilters) -> impl Iterator<Item = Feature> {
    let limit = (!filters.local_rate_limits.is_empty()).then_some(Feature::LocalRateLimit);
    limit.into_iter().chain(filters.buffer.map(|_| Feature::RequestBuffer))
}

fn of_cluster(cluster: &Cluster) -> Option<Feature> {
    (!cluster.circuit_breakers.is_default()).then_some(Feature::CircuitBreakers)
}
