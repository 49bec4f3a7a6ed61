//! The kinds of routes.

use std::fmt;

use k8s_openapi::Resource as _;
use postern_api::gateway_api::grpc_route::GrpcRoute;
use postern_api::gateway_api::http_route::HttpRoute;
use postern_api::gateway_api::l4_route::{TcpRoute, TlsRoute, UdpRoute};

/// A kind of route of the Gateway API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteKind {
    /// HTTPRoute.
    Http,
    /// GRPCRoute.
    Grpc,
    /// TLSRoute.
    Tls,
    /// TCPRoute.
    Tcp,
    /// UDPRoute.
    Udp,
}

impl RouteKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Http, Self::Grpc, Self::Tls, Self::Tcp, Self::Udp];

    /// Its name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http => HttpRoute::KIND,
            Self::Grpc => GrpcRoute::KIND,
            Self::Tls => TlsRoute::KIND,
            Self::Tcp => TcpRoute::KIND,
            Self::Udp => UdpRoute::KIND,
        }
    }
}

impl fmt::Display for RouteKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
