//! The servers of all Gateways of an ingress, merged by port.
//!
//! Istio's rules, for each port and `bind` address: plaintext HTTP servers share one route table; TLS servers stand
//! side by side, told apart by server name; anything else on a port that is taken is dropped, as is a TLS server that
//! repeats any host of another. The oldest Gateway wins, in one Gateway the first server. Istio only counts what it
//! drops; here the server's Gateway gets a finding that names the winner.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use postern_api::meta::ObjectKey;
use postern_api::value::Bind;
use postern_snapshot::model::TransportProtocol;
use postern_snapshot::{HostPattern, Port};

use super::ServerRef;
use super::kind::{Family, ServerKind};
use crate::at::At;
use crate::finding::{ConditionType, Findings, Problem, Reason, code};
use crate::ingress::Ingress;
use crate::options::Options;

/// The servers of one listener.
#[derive(Debug)]
pub(crate) struct MergedListener<'a> {
    /// `bind`; absent: all addresses.
    pub(crate) address: Option<IpAddr>,
    /// `port.number`.
    pub(crate) service_port: Port,
    /// What the proxy binds.
    pub(crate) bound_port: Port,
    /// At least one; all of one family; one if that is TCP or UDP.
    pub(crate) servers: Vec<(ServerRef<'a>, ServerKind<'a>)>,
    pub(crate) family: Family,
    /// Of TLS: who has which server name.
    names: HashMap<HostPattern, ServerRef<'a>>,
    /// Of TLS: the ports by their names.
    port_names: HashMap<(&'a ObjectKey, &'a str), ServerRef<'a>>,
}

/// The listeners of an ingress, by address and port, TCP before UDP.
pub(crate) fn merge<'a>(
    ingress: &Ingress<'a>,
    options: &Options,
    findings: &mut Findings,
) -> Vec<MergedListener<'a>> {
    let mut merger = Merger { options, listeners: BTreeMap::new() };
    for gateway in &ingress.gateways {
        for server in ServerRef::all(gateway) {
            if let Err(refusal) = merger.add(server) {
                refusal.report(server, findings);
            }
        }
    }
    merger.listeners.into_values().collect()
}

/// Why a server is dropped, and which of its fields is at fault.
struct Refusal {
    path: &'static [&'static str],
    problem: Problem,
}

impl Refusal {
    fn report(self, server: ServerRef<'_>, findings: &mut Findings) {
        server.at(|at| match self.path {
            [] => findings.error(at, self.problem),
            [field] => findings.error(&at.field(field), self.problem),
            [outer, inner, ..] => findings.error(&at.field(outer).field(inner), self.problem),
        });
    }

    /// The port is taken by a server that this one cannot share it with.
    fn conflict(server: ServerRef<'_>, winner: ServerRef<'_>) -> Self {
        let port = &server.server.port;
        let message = format!(
            "port {} is taken by {} with protocol {}; {} cannot share it, so this server is dropped",
            port.number,
            winner.describe(),
            winner.server.port.protocol,
            port.protocol
        );
        let problem = Problem::new(ConditionType::Accepted, Reason::ProtocolConflict, message)
            .code(code::CONFLICTING_GATEWAYS);
        Self { path: &["port"], problem }
    }

    fn hostname(host: &HostPattern, winner: ServerRef<'_>) -> Self {
        let message = format!(
            "host {host} on this port belongs to {}; this server is dropped as a whole",
            winner.describe()
        );
        let problem = Problem::accepted(Reason::HostnameConflict, message).code(code::CONFLICTING_GATEWAYS);
        Self { path: &["hosts"], problem }
    }

    fn port_name(winner: ServerRef<'_>) -> Self {
        let message = format!("{} has the same port name; this server is dropped", winner.describe());
        Self { path: &["port", "name"], problem: Problem::accepted(Reason::Invalid, message) }
    }

    fn port_unavailable(message: String) -> Self {
        Self { path: &["port", "number"], problem: Problem::accepted(Reason::PortUnavailable, message) }
    }
}

struct Merger<'a, 'o> {
    options: &'o Options,
    listeners: BTreeMap<(Option<IpAddr>, Port, TransportProtocol), MergedListener<'a>>,
}

impl<'a> Merger<'a, '_> {
    fn add(&mut self, server: ServerRef<'a>) -> Result<(), Refusal> {
        let kind = ServerKind::of(server).map_err(|(path, problem)| Refusal { path, problem })?;
        let address = address(server)?;
        let (service_port, bound_port) = self.ports(server)?;
        // Listeners are found by what is bound: under a mapping two ports of Gateways may become one.
        let place = (address, bound_port, kind.family().transport());
        match self.listeners.get_mut(&place) {
            Some(listener) if listener.service_port != service_port => {
                let message = format!(
                    "port {service_port} would be bound as {bound_port}, which is taken by port {}",
                    listener.service_port
                );
                Err(Refusal::port_unavailable(message))
            }
            Some(listener) => listener.join(server, kind),
            None => {
                let mut listener = MergedListener {
                    address,
                    service_port,
                    bound_port,
                    servers: Vec::new(),
                    family: kind.family(),
                    names: HashMap::new(),
                    port_names: HashMap::new(),
                };
                listener.join(server, kind)?;
                self.listeners.insert(place, listener);
                Ok(())
            }
        }
    }

    fn ports(&self, server: ServerRef<'_>) -> Result<(Port, Port), Refusal> {
        let number = server.server.port.number;
        let unavailable = || Refusal::port_unavailable(format!("port {number} cannot be bound"));
        let service_port = Port::new(number).ok_or_else(unavailable)?;
        let bound_port = self.options.ports.bound(number).ok_or_else(unavailable)?;
        if self.options.is_reserved(bound_port.number(), server.transport()) {
            let message = format!("port {bound_port} is the proxy's own");
            return Err(Refusal::port_unavailable(message));
        }
        Ok((service_port, bound_port))
    }
}

impl<'a> MergedListener<'a> {
    /// What the listener is called (Istio, Envoy): `0.0.0.0_443`; of UDP `udp_0.0.0.0_53`.
    pub(crate) fn name(&self) -> String {
        let address = self.address.map_or_else(|| "0.0.0.0".to_owned(), |address| address.to_string());
        let prefix = if self.family == Family::Udp { "udp_" } else { "" };
        format!("{prefix}{address}_{}", self.bound_port)
    }

    /// The servers by their names in the snapshot, sorted.
    pub(crate) fn origins(&self) -> Vec<String> {
        let mut origins: Vec<_> = self.servers.iter().map(|(server, _)| server.origin()).collect();
        origins.sort();
        origins.dedup();
        origins
    }

    /// Takes a server in, if it can share the port with those that are there.
    fn join(&mut self, server: ServerRef<'a>, kind: ServerKind<'a>) -> Result<(), Refusal> {
        if let Some((winner, _)) = self.servers.first()
            && (self.family != kind.family() || matches!(self.family, Family::Tcp | Family::Udp))
        {
            return Err(Refusal::conflict(server, *winner));
        }
        if self.family == Family::Tls {
            self.claim_names(server)?;
        }
        self.servers.push((server, kind));
        Ok(())
    }

    fn claim_names(&mut self, server: ServerRef<'a>) -> Result<(), Refusal> {
        // The name of the route table is made of Gateway, port and port name; validation forbids this too.
        let port_name = (&server.gateway.key, server.server.port.name.as_str());
        if let Some(winner) = self.port_names.get(&port_name) {
            return Err(Refusal::port_name(*winner));
        }
        let hosts = server.hosts();
        if let Some((host, winner)) = hosts.iter().find_map(|host| Some((host, self.names.get(host)?))) {
            return Err(Refusal::hostname(host, *winner));
        }
        self.port_names.insert(port_name, server);
        self.names.extend(hosts.into_iter().map(|host| (host, server)));
        Ok(())
    }
}

/// Where a server listens. `0.0.0.0` and `::` are all addresses, as is nothing.
fn address(server: ServerRef<'_>) -> Result<Option<IpAddr>, Refusal> {
    match &server.server.bind {
        None => Ok(None),
        Some(Bind::Ip(address)) if address.is_unspecified() => Ok(None),
        Some(Bind::Ip(address)) => Ok(Some(*address)),
        Some(Bind::Unix(_)) => {
            let message = "Postern does not listen on Unix sockets";
            Err(Refusal { path: &["bind"], problem: Problem::accepted(Reason::UnsupportedValue, message) })
        }
    }
}

impl ServerRef<'_> {
    /// Calls `then` with the place of the server in its Gateway.
    pub(crate) fn at<R>(&self, then: impl FnOnce(&At<'_>) -> R) -> R {
        if let Some(listener) = &self.gateway.listener {
            let object = At::object(&listener.key);
            let spec = object.field("spec");
            let listeners = spec.field("listeners");
            return then(&listeners.index(listener.position).closed());
        }
        let object = At::object(&self.gateway.key);
        let spec = object.field("spec");
        let servers = spec.field("servers");
        then(&servers.index(self.position))
    }
}
