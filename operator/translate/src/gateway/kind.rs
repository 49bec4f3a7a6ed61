//! What a server of a Gateway does with a connection.

use postern_api::istio::gateway::{ServerTlsSettings, TlsMode};
use postern_api::value::Protocol;
use postern_snapshot::model::TransportProtocol;

use super::ServerRef;
use crate::finding::{Problem, Reason};

/// What a server does with a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServerKind<'a> {
    /// HTTP in plain text.
    Http,
    /// Bytes in plain text.
    Tcp,
    /// Terminates TLS, with HTTP inside.
    TerminateHttp(&'a ServerTlsSettings),
    /// Terminates TLS, with bytes inside.
    TerminateTcp(&'a ServerTlsSettings),
    /// Passes TLS on.
    Passthrough,
    /// Datagrams. Only listeners of the Gateway API have them.
    Udp,
}

impl<'a> ServerKind<'a> {
    /// What this server does. The problem is the field's that is named with it, relative to the server.
    pub(crate) fn of(
        ServerRef { gateway, server, .. }: ServerRef<'a>,
    ) -> Result<Self, (&'static [&'static str], Problem)> {
        let protocol = server.port.protocol;
        if protocol.is_http() {
            return Ok(Self::Http);
        }
        if protocol == Protocol::Udp && gateway.listener.is_some() {
            return Ok(Self::Udp);
        }
        if protocol == Protocol::Udp {
            let message = "UDP is not a protocol that an Istio Gateway can serve";
            return Err((&["port", "protocol"], Problem::accepted(Reason::UnsupportedValue, message)));
        }
        let Some(tls) = &server.tls else {
            if protocol.is_tls() {
                let message = format!("a server of protocol {protocol} needs TLS settings");
                return Err((&["tls"], Problem::accepted(Reason::Invalid, message)));
            }
            return Ok(Self::Tcp);
        };
        match tls.mode() {
            TlsMode::Passthrough => Ok(Self::Passthrough),
            TlsMode::Simple | TlsMode::Mutual | TlsMode::OptionalMutual => {
                Ok(if protocol == Protocol::Https {
                    Self::TerminateHttp(tls)
                } else {
                    Self::TerminateTcp(tls)
                })
            }
            mode @ (TlsMode::AutoPassthrough | TlsMode::IstioMutual) => {
                let name = if mode == TlsMode::IstioMutual { "ISTIO_MUTUAL" } else { "AUTO_PASSTHROUGH" };
                let message = format!("{name} is for a mesh, which Postern is no part of");
                Err((&["tls", "mode"], Problem::accepted(Reason::UnsupportedValue, message)))
            }
        }
    }

    /// What may share a port with it.
    pub(crate) const fn family(self) -> Family {
        match self {
            Self::Http => Family::Http,
            Self::Tcp => Family::Tcp,
            Self::TerminateHttp(_) | Self::TerminateTcp(_) | Self::Passthrough => Family::Tls,
            Self::Udp => Family::Udp,
        }
    }
}

/// What may share a port: any number of HTTP servers, any number of TLS servers with different hosts, one TCP server. UDP
/// has ports of its own, with one server each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Http,
    Tcp,
    Tls,
    Udp,
}

impl Family {
    /// Whose ports it has.
    pub(crate) const fn transport(self) -> TransportProtocol {
        match self {
            Self::Http | Self::Tcp | Self::Tls => TransportProtocol::Tcp,
            Self::Udp => TransportProtocol::Udp,
        }
    }
}
