//! Merged servers → the listeners and route tables of a snapshot.

use std::collections::BTreeMap;

use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::model::{
    HttpChain, HttpsRedirect, Listener, ListenerProtocol, RouteTable, TcpForward, UdpForward,
};
use postern_snapshot::{Port, RouteTableName};

use super::ServerRef;
use super::kind::Family;
use super::merge::MergedListener;
use super::tls::TlsBuilder;
use crate::config::VirtualServiceConfig;
use crate::destination::Resolver;
use crate::finding::{Findings, Problem, Reason};
use crate::ingress::Ingress;
use crate::options::{ClientPorts, Options};
use crate::virtual_service::attach::Attachments;
use crate::virtual_service::hosts::VirtualHosts;
use crate::virtual_service::{Viewpoint, http, l4};

/// Builds what one ingress serves. `'a` is the configuration, `'p` the planning of this ingress.
pub(crate) struct ListenerBuilder<'a, 'p> {
    pub(crate) ingress: &'p Ingress<'a>,
    pub(crate) options: &'p Options,
    pub(crate) attachments: &'p Attachments<'a>,
    /// Where `httpsRedirect` leads to.
    pub(crate) https_redirect: HttpsRedirect,
    pub(crate) tls: TlsBuilder<'p>,
    pub(crate) resolver: Resolver<'p>,
    pub(crate) findings: &'p mut Findings,
    pub(crate) route_tables: BTreeMap<RouteTableName, RouteTable>,
    /// The Gateways of which something is served.
    pub(crate) served: BTreeMap<ObjectKey, Generation>,
    /// The VirtualServices of which something is served, by rank.
    pub(crate) served_routes: BTreeMap<usize, &'a VirtualServiceConfig>,
}

impl<'a, 'p> ListenerBuilder<'a, 'p> {
    /// A listener, with its route tables. `None` when there is nothing to listen for.
    pub(crate) fn listener(&mut self, merged: &MergedListener<'a>) -> Option<Listener> {
        let protocol = match merged.family {
            Family::Http => ListenerProtocol::Http(self.http(merged)),
            Family::Tcp => {
                let (server, _) = merged.servers.first()?;
                let forward = self.tcp_forward(*server, merged.service_port)?;
                self.serves_gateway(*server);
                ListenerProtocol::Tcp(forward)
            }
            Family::Tls => ListenerProtocol::Tls { chains: self.chains(merged) },
            Family::Udp => {
                let (server, _) = merged.servers.first()?;
                let TcpForward { origin, targets, .. } = self.tcp_forward(*server, merged.service_port)?;
                self.serves_gateway(*server);
                ListenerProtocol::Udp(UdpForward { origin, targets, idle_timeout: None })
            }
        };
        Some(Listener {
            name: merged.name(),
            address: merged.address,
            port: merged.bound_port,
            service_port: self.client_port(merged),
            origins: merged.origins(),
            proxy_protocol: None,
            protocol,
        })
    }

    /// Something of this server is in the snapshot. Of a server without a usable certificate nothing is.
    pub(super) fn serves_gateway(&mut self, server: ServerRef<'a>) {
        let (key, generation) = server.gateway.source();
        self.served.insert(key.clone(), generation);
    }

    fn client_port(&self, merged: &MergedListener<'_>) -> Port {
        match self.options.client_ports {
            ClientPorts::Service => merged.service_port,
            ClientPorts::Bound => merged.bound_port,
        }
    }

    pub(super) fn viewpoint(&self, server: ServerRef<'a>, port: Port) -> Viewpoint<'p>
    where
        'a: 'p,
    {
        let ingress = self.ingress;
        Viewpoint {
            gateway: server.gateway,
            port,
            transport: server.transport(),
            labels: &ingress.labels,
            namespace: &ingress.name.namespace,
        }
    }

    fn http(&mut self, merged: &MergedListener<'a>) -> HttpChain {
        let mut hosts = VirtualHosts::default();
        for (server, _) in &merged.servers {
            self.serves_gateway(*server);
            self.add_routes(*server, merged.service_port, &mut hosts);
            if server.gateway.listener.is_some() {
                hosts.isolate(server.hosts());
            }
            if server.server.tls.as_ref().is_some_and(|tls| tls.https_redirect) {
                hosts.redirect(server.hosts());
            }
        }
        self.route_table(http_table(merged), hosts, merged)
    }

    /// Adds the routes of the VirtualServices at a server.
    pub(super) fn add_routes(&mut self, server: ServerRef<'a>, port: Port, hosts: &mut VirtualHosts<'a>) {
        let here = self.viewpoint(server, port);
        let redirects = server.server.tls.as_ref().is_some_and(|tls| tls.https_redirect);
        let attachments = self.attachments;
        for attached in attachments.of(server) {
            let virtual_service = attached.virtual_service;
            let routes = http::routes(virtual_service, &here, &mut self.resolver, self.findings);
            if !routes.is_empty() {
                self.serves(virtual_service);
                hosts.add(virtual_service, &attached.hosts, routes);
            }
            if redirects && server.server.port.protocol.is_http() {
                hosts.redirect(attached.hosts.iter().cloned());
            }
        }
    }

    pub(super) fn serves(&mut self, virtual_service: &'a VirtualServiceConfig) {
        self.served_routes.insert(virtual_service.rank, virtual_service);
    }

    pub(super) fn route_table(
        &mut self,
        name: RouteTableName,
        hosts: VirtualHosts<'a>,
        merged: &MergedListener<'_>,
    ) -> HttpChain {
        let table = hosts.build(self.client_port(merged), self.https_redirect, self.findings);
        self.route_tables.insert(name.clone(), table);
        HttpChain::new(name)
    }

    /// Where the bytes, or the datagrams, of a server go. `None` when no VirtualService says so, which is a finding.
    pub(super) fn tcp_forward(&mut self, server: ServerRef<'a>, port: Port) -> Option<TcpForward> {
        let here = self.viewpoint(server, port);
        let attachments = self.attachments;
        let found = l4::tcp_forward(attachments.of(server), &here, &mut self.resolver, self.findings);
        let Some((virtual_service, forward)) = found else {
            self.no_routes(server, "tcp");
            return None;
        };
        self.serves(virtual_service);
        Some(forward)
    }

    pub(super) fn no_routes(&mut self, server: ServerRef<'a>, list: &str) {
        if server.gateway.listener.is_some() {
            // Nothing is all that is wanted there: the Gateway API's listeners may wait for routes.
            self.serves_gateway(server);
            let message = "no route is attached to this listener, so nothing is served there";
            server.at(|at| self.findings.info(at, Problem::programmed(Reason::NoRoutes, message)));
            return;
        }
        let message = format!(
            "no VirtualService has a rule in spec.{list} for this server, so nothing is served there"
        );
        server.at(|at| self.findings.warn(at, Problem::programmed(Reason::NoRoutes, message)));
    }
}

/// The name of the route table of plaintext HTTP (Istio): `http.80`.
pub(crate) fn http_table(merged: &MergedListener<'_>) -> RouteTableName {
    RouteTableName::new(format!("http.{}{}", merged.service_port, bind_suffix(merged)))
}

/// The name of the route table of an HTTPS server (Istio): `https.443.https.web-gateway.istio-system`.
pub(crate) fn https_table(server: ServerRef<'_>, merged: &MergedListener<'_>) -> RouteTableName {
    let key = &server.gateway.key;
    RouteTableName::new(format!(
        "https.{}.{}.{}.{}{}",
        merged.service_port,
        server.server.port.name,
        key.name,
        key.namespace,
        bind_suffix(merged)
    ))
}

/// The end of a route table's name when a server has a `bind` (Istio).
fn bind_suffix(merged: &MergedListener<'_>) -> String {
    merged.address.map(|address| format!(".{address}")).unwrap_or_default()
}
