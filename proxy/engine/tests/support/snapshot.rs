//! Pieces of snapshots.

use std::{net::SocketAddr, time::Duration};

use postern_snapshot::{
    CaName, CertificateName, ClusterName, KeyId, Port, RouteTableName, manifest::Source, model::*,
};

use super::Issued;

pub const HTTP: u16 = 8080;
pub const HTTPS: u16 = 8443;

pub fn source(kind: &str, name: &str, generation: i64) -> Source {
    Source { kind: kind.into(), namespace: "istio-system".into(), name: name.into(), generation }
}

pub fn http_chain(table: &str) -> HttpChain {
    HttpChain::new(RouteTableName::new(table))
}

pub fn tcp_forward(clusters: &[(&str, u32)]) -> TcpForward {
    TcpForward {
        origin: "VirtualService/istio-system/tcp".into(),
        targets: clusters.iter().map(|(cluster, weight)| target(cluster, *weight)).collect(),
        idle_timeout: None,
    }
}

pub fn udp_forward(clusters: &[(&str, u32)]) -> UdpForward {
    UdpForward {
        origin: "UDPRoute/default/udp".into(),
        targets: clusters.iter().map(|(cluster, weight)| target(cluster, *weight)).collect(),
        idle_timeout: None,
    }
}

pub fn target(cluster: &str, weight: u32) -> WeightedTarget {
    WeightedTarget {
        target: Target::Cluster(ClusterName::new(cluster)),
        weight,
        host_rewrite: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}

pub fn route(prefix: &str, action: RouteAction) -> Route {
    let path = Some(PathMatch::Prefix(prefix.into()));
    Route {
        name: String::new(),
        origin: "VirtualService/istio-system/web-routing".into(),
        matches: vec![RouteMatch { path, ..RouteMatch::default() }],
        action,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: RouteFilters::default(),
        cors: None,
    }
}

pub fn to_cluster(prefix: &str, cluster: &str) -> Route {
    route(prefix, RouteAction::Forward(Forward { targets: vec![target(cluster, 1)], ..Forward::default() }))
}

pub fn answer(prefix: &str, text: &str) -> Route {
    let body = Some(ResponseBody::Text(text.into()));
    route(prefix, RouteAction::DirectResponse(DirectResponse { status: 200, body }))
}

pub fn server_tls(certificates: &[&str]) -> ServerTls {
    ServerTls {
        certificates: certificates.iter().map(|name| CertificateName::new(*name)).collect(),
        client_auth: None,
        min_version: None,
        max_version: None,
        cipher_suites: vec![],
        alpn: vec!["h2".into(), "http/1.1".into()],
    }
}

pub fn client_auth(mode: ClientAuthMode, ca: &str) -> ClientAuth {
    let ca = Some(CaName::new(ca));
    ClientAuth { mode, ca, subject_alt_names: vec![], spki: vec![], hashes: vec![] }
}

pub fn chain(origin: &str, names: &[&str], action: TlsAction) -> TlsChain {
    let server_names = names.iter().map(|name| name.parse().unwrap()).collect();
    TlsChain { origin: origin.into(), server_names, action }
}

/// A chain that terminates TLS with one certificate and serves a route table; all of one name.
pub fn https(name: &str, hosts: &[&str]) -> TlsChain {
    let then = Terminated::Http(http_chain(name));
    let tls = Box::new(server_tls(&[name]));
    chain(&format!("Gateway/istio-system/{name}"), hosts, TlsAction::Terminate { tls, then })
}

pub fn tls_of(chain: &mut TlsChain) -> &mut ServerTls {
    match &mut chain.action {
        TlsAction::Terminate { tls, .. } => tls,
        TlsAction::Passthrough(_) => panic!("it passes on"),
    }
}

/// Changes to a snapshot, one after the other.
pub trait Build: Sized {
    fn edit(&mut self) -> &mut Snapshot;

    fn listener(&mut self, port: u16, protocol: ListenerProtocol) -> &mut Self {
        let port = Port::new(port).unwrap();
        let prefix = if protocol.transport() == TransportProtocol::Udp { "udp_" } else { "" };
        let listener = Listener {
            name: format!("{prefix}0.0.0.0_{port}"),
            address: None,
            port,
            service_port: port,
            origins: vec![format!("Gateway/istio-system/web-gateway/{port}")],
            proxy_protocol: None,
            protocol,
        };
        self.edit().routes.listeners.push(listener);
        self
    }

    fn http_listener(&mut self, port: u16, table: &str) -> &mut Self {
        self.listener(port, ListenerProtocol::Http(http_chain(table)))
    }

    fn tls_listener(&mut self, port: u16, chains: Vec<TlsChain>) -> &mut Self {
        self.listener(port, ListenerProtocol::Tls { chains })
    }

    /// Replaces the routes of these domains of a table.
    fn routes(&mut self, table: &str, domains: &[&str], routes: Vec<Route>) -> &mut Self {
        let domains: Vec<_> = domains.iter().map(|domain| domain.parse().unwrap()).collect();
        let name = format!("{}:80", domains.first().unwrap());
        let table = self.edit().routes.route_tables.entry(RouteTableName::new(table)).or_default();
        table.virtual_hosts.retain(|host| host.domains != domains);
        table.virtual_hosts.push(VirtualHost {
            name,
            domains,
            https_redirect: None,
            request_headers: HeaderOps::default(),
            response_headers: HeaderOps::default(),
            filters: RouteFilters::default(),
            routes,
        });
        self
    }

    fn cluster(&mut self, name: &str, endpoints: &[SocketAddr]) -> &mut Self {
        let service = ServiceIdentity {
            host: format!("{name}.default.svc.cluster.local"),
            name: name.into(),
            namespace: "default".into(),
        };
        let cluster = Cluster {
            origin: format!("DestinationRule/default/{name}"),
            service,
            protocol: UpstreamProtocol::Http1,
            load_balancing: LoadBalancing::RoundRobin,
            connect_timeout: Duration::from_secs(2),
            tls: None,
            circuit_breakers: CircuitBreakers::default(),
            outlier_detection: None,
        };
        self.edit().routes.clusters.insert(ClusterName::new(name), cluster);
        self.endpoints(name, endpoints)
    }

    fn endpoints(&mut self, name: &str, endpoints: &[SocketAddr]) -> &mut Self {
        let endpoint = |address: &SocketAddr| Endpoint {
            address: address.ip(),
            port: Port::new(address.port()).unwrap(),
            weight: None,
        };
        let endpoints = endpoints.iter().map(endpoint).collect();
        self.edit().endpoints.0.insert(ClusterName::new(name), endpoints);
        self
    }

    fn certificate(&mut self, name: &str, issued: &Issued) -> &mut Self {
        let key = KeyId::new(format!("key of {name}"));
        self.edit().keys.0.insert(key.clone(), issued.key.clone());
        let source = CertificateSource::Inline { chain: issued.chain.clone(), key, ocsp_staple: None };
        self.certificate_source(name, source)
    }

    fn certificate_source(&mut self, name: &str, source: CertificateSource) -> &mut Self {
        let certificate = Certificate { origin: format!("Secret/istio-system/{name}"), source };
        self.edit().certificates.certificates.insert(CertificateName::new(name), certificate);
        self
    }

    fn authorities(&mut self, name: &str, pem: &str) -> &mut Self {
        let bundle = CaBundle {
            origin: format!("Secret/istio-system/{name}"),
            certificates: PemSource::Inline(pem.into()),
            crl: None,
        };
        self.edit().certificates.authorities.insert(CaName::new(name), bundle);
        self
    }
}

impl Build for Snapshot {
    fn edit(&mut self) -> &mut Snapshot {
        self
    }
}

pub fn snapshot() -> Snapshot {
    Snapshot {
        ingress: "istio-system/istio-ingressgateway".into(),
        sources: vec![source("Gateway", "web-gateway", 1)],
        ..Snapshot::default()
    }
}

/// One HTTP listener on port [`HTTP`] with these routes for every host.
pub fn http_snapshot(routes: Vec<Route>) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.http_listener(HTTP, "http").routes("http", &["*"], routes);
    snapshot
}

/// One TLS listener on port [`HTTPS`] with these chains.
pub fn tls_snapshot(chains: Vec<TlsChain>) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.tls_listener(HTTPS, chains);
    snapshot
}
