//! The TLS servers of a port → chains, told apart by server name.

use std::collections::BTreeSet;

use postern_api::istio::gateway::ServerTlsSettings;
use postern_snapshot::HostPattern;
use postern_snapshot::model::{Terminated, TlsAction, TlsChain};

use super::ServerRef;
use super::kind::ServerKind;
use super::listeners::{ListenerBuilder, https_table};
use super::merge::MergedListener;
use crate::finding::{Problem, Reason};
use crate::virtual_service::hosts::VirtualHosts;
use crate::virtual_service::l4;

impl<'a> ListenerBuilder<'a, '_> {
    /// The chains of a port. A server that cannot be served has none, so that handshakes for its hosts are refused;
    /// the others are untouched.
    pub(super) fn chains(&mut self, merged: &MergedListener<'a>) -> Vec<TlsChain> {
        // The names of servers that terminate TLS go before those of rules that pass it on.
        let mut taken = BTreeSet::new();
        for (server, kind) in &merged.servers {
            if !matches!(kind, ServerKind::Passthrough) {
                taken.extend(server.hosts());
            }
        }
        let mut chains = Vec::new();
        for (server, kind) in &merged.servers {
            let before = chains.len();
            match kind {
                ServerKind::TerminateHttp(tls) => chains.extend(self.terminate_http(*server, tls, merged)),
                ServerKind::TerminateTcp(tls) => {
                    chains.extend(self.terminate_tcp(*server, tls, merged, &taken));
                }
                ServerKind::Passthrough => self.pass_on(*server, merged, &mut taken, &mut chains),
                // Never on a port of TLS servers.
                ServerKind::Http | ServerKind::Tcp | ServerKind::Udp => {}
            }
            if chains.len() > before {
                self.serves_gateway(*server);
            }
        }
        chains
    }

    /// An HTTPS server. It has a route table of its own: a request for another server's host is not found there (Istio),
    /// and the proxy answers it with 421.
    fn terminate_http(
        &mut self,
        server: ServerRef<'a>,
        tls: &ServerTlsSettings,
        merged: &MergedListener<'a>,
    ) -> Option<TlsChain> {
        if tls.https_redirect {
            let message =
                "requests to an HTTPS server are HTTPS already; set it on a server of protocol HTTP";
            let problem = Problem::programmed(Reason::Ineffective, message);
            server.at(|at| self.findings.warn(&at.field("tls").field("httpsRedirect"), problem));
        }
        let tls = self.tls.server_tls(server, tls, &["h2", "http/1.1"], self.findings)?;
        let mut hosts = VirtualHosts::default();
        self.add_routes(server, merged.service_port, &mut hosts);
        hosts.isolate(narrower_hosts(server, merged));
        let http = self.route_table(https_table(server, merged), hosts, merged);
        chain(
            server.origin(),
            server.hosts(),
            TlsAction::Terminate { tls: Box::new(tls), then: Terminated::Http(http) },
        )
    }

    /// A server that forwards what was in TLS: by server name where a VirtualService has rules for TLS (Istio: "or for
    /// servers of protocol TLS after termination"), or else all of it. `taken` are the names of all such servers.
    fn terminate_tcp(
        &mut self,
        server: ServerRef<'a>,
        tls: &ServerTlsSettings,
        merged: &MergedListener<'a>,
        taken: &BTreeSet<HostPattern>,
    ) -> Vec<TlsChain> {
        let Some(tls) = self.tls.server_tls(server, tls, &[], self.findings) else { return Vec::new() };
        let here = self.viewpoint(server, merged.service_port);
        let attachments = self.attachments;
        let own = server.hosts();
        let mut taken = taken.iter().filter(|name| !own.contains(name)).cloned().collect();
        let found =
            l4::passthrough(attachments.of(server), &here, &mut taken, &mut self.resolver, self.findings);
        let terminate = |tls, forward| TlsAction::Terminate { tls, then: Terminated::Tcp(forward) };
        let tls = Box::new(tls);
        if found.is_empty() {
            let Some(forward) = self.tcp_forward(server, merged.service_port) else { return Vec::new() };
            return chain(server.origin(), own, terminate(tls, forward)).into_iter().collect();
        }
        let mut chains = Vec::new();
        for rule in found {
            self.serves(rule.virtual_service);
            let names = rule.server_names.into_iter().collect();
            chains.extend(chain(server.origin(), names, terminate(tls.clone(), rule.forward)));
        }
        chains
    }

    /// A server that passes TLS on: a chain for each rule.
    fn pass_on(
        &mut self,
        server: ServerRef<'a>,
        merged: &MergedListener<'a>,
        taken: &mut BTreeSet<HostPattern>,
        chains: &mut Vec<TlsChain>,
    ) {
        let here = self.viewpoint(server, merged.service_port);
        let attachments = self.attachments;
        let attached = attachments.of(server);
        let found = l4::passthrough(attached, &here, taken, &mut self.resolver, self.findings);
        if found.is_empty() {
            self.no_routes(server, "tls");
        }
        for rule in found {
            self.serves(rule.virtual_service);
            let names = rule.server_names.into_iter().collect();
            let origin = rule.forward.origin.clone();
            chains.extend(chain(origin, names, TlsAction::Passthrough(rule.forward)));
        }
    }
}

/// A chain, if there is a name for it.
fn chain(origin: String, server_names: Vec<HostPattern>, action: TlsAction) -> Option<TlsChain> {
    (!server_names.is_empty()).then_some(TlsChain { origin, server_names, action })
}

/// The hosts of the other servers of a port that a listener of the Gateway API also covers: they belong to those alone
/// (listener isolation). None for Istio's servers, where a wider one serves what its VirtualServices say.
fn narrower_hosts(server: ServerRef<'_>, merged: &MergedListener<'_>) -> BTreeSet<HostPattern> {
    if server.gateway.listener.is_none() {
        return BTreeSet::new();
    }
    let own = server.hosts();
    let others = merged.servers.iter().flat_map(|(other, _)| other.hosts());
    others.filter(|host| !own.contains(host) && own.iter().any(|wide| wide.covers(host))).collect()
}
