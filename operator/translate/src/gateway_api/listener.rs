//! One listener by itself: what it speaks, which routes it takes, which certificates it shows.

use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::gateway::{FromNamespaces, Gateway};
use postern_api::gateway_api::listener::{self as api, TlsMode};
use postern_api::meta::ObjectKey;
use postern_snapshot::HostPattern;
use postern_snapshot::model::TransportProtocol;

use super::Context;
use super::certificates;
use super::denial::Denial;
use super::gateway_tls::{self, ClientCertificates};
use super::namespaces::Namespaces;
use super::route_kind::RouteKind;
use crate::at::At;
use crate::finding::{ConditionType, Findings, Reason};
use crate::names::host_pattern;

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Http,
    Https,
    Tls(TlsMode),
    Tcp,
    Udp,
}

impl Protocol {
    fn of(listener: &api::Listener) -> Option<Self> {
        Some(match listener.protocol.as_str() {
            "HTTP" => Self::Http,
            "HTTPS" => Self::Https,
            "TLS" => Self::Tls(listener.tls.as_ref().map_or(TlsMode::Terminate, api::ListenerTls::mode)),
            "TCP" => Self::Tcp,
            "UDP" => Self::Udp,
            _ => return None,
        })
    }

    /// The kinds of routes that it takes.
    const fn kinds(self) -> &'static [RouteKind] {
        match self {
            Self::Http | Self::Https => &[RouteKind::Http, RouteKind::Grpc],
            Self::Tls(_) => &[RouteKind::Tls],
            Self::Tcp => &[RouteKind::Tcp],
            Self::Udp => &[RouteKind::Udp],
        }
    }

    /// Whose ports it has.
    pub(super) const fn transport(self) -> TransportProtocol {
        match self {
            Self::Http | Self::Https | Self::Tls(_) | Self::Tcp => TransportProtocol::Tcp,
            Self::Udp => TransportProtocol::Udp,
        }
    }

    /// Are listeners of this protocol told apart by host?
    pub(super) const fn has_hosts(self) -> bool {
        matches!(self, Self::Http | Self::Https | Self::Tls(_))
    }

    /// Do its connections begin with a TLS handshake?
    pub(super) const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls(_))
    }
}

/// A listener.
pub(super) struct Listener<'a> {
    pub(super) spec: &'a api::Listener,
    /// `None`: one that Postern does not serve.
    pub(super) protocol: Option<Protocol>,
    pub(super) host: HostPattern,
    /// Which routes it takes.
    pub(super) kinds: Vec<RouteKind>,
    pub(super) namespaces: Namespaces,
    pub(super) valid: Result<(), Denial>,
    pub(super) conflict: Result<(), Denial>,
    pub(super) resolved_refs: Result<(), Denial>,
    /// The certificates that it may show and that are there, as names of credentials.
    pub(super) credentials: Vec<String>,
    /// How clients' certificates are checked; `None`: clients are not asked for one.
    pub(super) clients: Option<ClientCertificates>,
    /// How many routes are attached.
    pub(super) attached: usize,
}

impl<'a> Listener<'a> {
    /// `owner` is the Gateway or ListenerSet.
    pub(super) fn new(spec: &'a api::Listener, owner: &ObjectKey, context: Context<'a>) -> Self {
        let protocol = Protocol::of(spec);
        let (kinds, unknown) = kinds(spec, protocol);
        let wanted = spec.allowed_routes.as_ref().and_then(|allowed| allowed.namespaces.as_ref());
        let from = wanted.and_then(|wanted| wanted.from).unwrap_or(FromNamespaces::Same);
        let namespaces =
            Namespaces::of(from, wanted.and_then(|it| it.selector.as_ref()), &owner.namespace, context.world);
        let (credentials, certificates) = certificates::of_listener(spec, protocol, owner, context);
        Self {
            spec,
            protocol,
            host: spec
                .hostname
                .as_ref()
                .and_then(|it| host_pattern(it.pattern()))
                .unwrap_or(HostPattern::Any),
            kinds,
            namespaces,
            valid: valid(spec, protocol, context),
            conflict: Ok(()),
            resolved_refs: unknown.and(certificates),
            credentials,
            clients: None,
            attached: 0,
        }
    }

    /// Says how the certificates of its clients are checked, if the Gateway wants that on its port.
    pub(super) fn check_clients(&mut self, gateway: &Gateway, owner: &ObjectKey, context: Context<'_>) {
        if self.protocol != Some(Protocol::Https) {
            return;
        }
        let Some(validation) = gateway_tls::validation(gateway, self.spec.port) else { return };
        let (clients, resolved) = gateway_tls::client_certificates(validation, owner, context);
        match clients {
            Ok(clients) => self.clients = Some(clients),
            Err(denial) => self.valid = self.valid.clone().and(Err(denial)),
        }
        self.resolved_refs = self.resolved_refs.clone().and(resolved);
    }

    /// At a Gateway of a translating class: can Istio's API say it?
    pub(super) fn check_translated(&mut self) {
        if self.protocol == Some(Protocol::Udp) {
            let message = "Istio's Gateways have no UDP";
            self.valid = Err(Denial::new(Reason::UnsupportedProtocol, message));
        }
    }

    /// Can it be served at all?
    pub(super) fn is_accepted(&self) -> bool {
        self.valid.is_ok() && self.conflict.is_ok()
    }

    /// Is anything of it served? What terminates TLS needs a certificate.
    pub(super) fn serves(&self) -> bool {
        let terminates = matches!(self.protocol, Some(Protocol::Https | Protocol::Tls(TlsMode::Terminate)));
        self.is_accepted() && !(terminates && self.credentials.is_empty())
    }

    /// Whether anything of it is served, or why not.
    pub(super) fn served(&self) -> Result<(), Denial> {
        self.accepted()?;
        if self.serves() { Ok(()) } else { self.resolved_refs.clone() }
    }

    /// Is its protocol one that Postern serves?
    pub(super) fn is_supported(&self) -> bool {
        self.valid.as_ref().err().is_none_or(|denial| denial.reason != Reason::UnsupportedProtocol)
    }

    /// Whether it is accepted, or why not.
    pub(super) fn accepted(&self) -> Result<(), Denial> {
        self.valid.clone().and_then(|()| self.conflict.clone())
    }

    /// Says what is wrong with it. `at` is its place.
    pub(super) fn report(&self, at: &At<'_>, findings: &mut Findings) {
        if let Err(denial) = &self.valid {
            let field = match denial.reason {
                Reason::PortUnavailable => "port",
                Reason::NoValidCACertificate => "tls",
                _ => "protocol",
            };
            findings.error(&at.field(field), denial.problem(ConditionType::Accepted));
        }
        if let Err(denial) = &self.conflict {
            let field = if denial.reason == Reason::HostnameConflict { "hostname" } else { "port" };
            findings.error(&at.field(field), denial.problem(ConditionType::Accepted));
        }
        if let Err(denial) = &self.resolved_refs {
            let field = if denial.reason == Reason::InvalidRouteKinds { "allowedRoutes" } else { "tls" };
            findings.error(&at.field(field), denial.problem(ConditionType::ResolvedRefs));
        }
    }
}

fn valid(spec: &api::Listener, protocol: Option<Protocol>, context: Context<'_>) -> Result<(), Denial> {
    let Some(protocol) = protocol else {
        let message = format!("{:?} is no protocol here; HTTP, HTTPS, TLS, TCP and UDP are", spec.protocol);
        return Err(Denial::new(Reason::UnsupportedProtocol, message));
    };
    let port = spec.port.get();
    let bound = context.options.ports.bound(port).map(postern_snapshot::Port::number);
    if bound.is_none_or(|bound| context.options.is_reserved(bound, protocol.transport())) {
        let message = format!("port {port} is the proxy's own, or cannot be bound");
        return Err(Denial::new(Reason::PortUnavailable, message));
    }
    Ok(())
}

/// The kinds of routes that a listener takes, and what is wrong with those that it names.
fn kinds(spec: &api::Listener, protocol: Option<Protocol>) -> (Vec<RouteKind>, Result<(), Denial>) {
    let fitting = protocol.map_or(&[][..], Protocol::kinds);
    let named = spec.allowed_routes.as_ref().map_or(&[][..], |allowed| allowed.kinds.as_slice());
    if named.is_empty() {
        return (fitting.to_vec(), Ok(()));
    }
    let of = |named: &api::RouteGroupKind| {
        fitting.iter().copied().find(|kind| named.group() == GROUP && named.kind == kind.name())
    };
    let mut kinds: Vec<_> = named.iter().filter_map(of).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let strange = named.iter().find(|named| of(named).is_none());
    let verdict = strange.map_or(Ok(()), |strange| {
        let message = format!("a listener of protocol {} does not take {}", spec.protocol, strange.kind);
        Err(Denial::new(Reason::InvalidRouteKinds, message))
    });
    (kinds, verdict)
}
