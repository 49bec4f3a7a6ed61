//! What is spoken on a port.

use std::fmt;
use std::str::FromStr;

/// The protocol of a port of a Gateway or a ServiceEntry. Istio reads the names in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// HTTP/1.1 in plain text (HTTP/2 with prior knowledge too).
    Http,
    /// HTTP over TLS; with a PASSTHROUGH server the bytes are forwarded as they are.
    Https,
    /// gRPC over HTTP/2.
    Grpc,
    /// gRPC-Web over HTTP.
    GrpcWeb,
    /// HTTP/2 in plain text.
    Http2,
    /// MongoDB, forwarded as TCP.
    Mongo,
    /// Redis, forwarded as TCP.
    Redis,
    /// MySQL, forwarded as TCP.
    MySql,
    /// A stream of bytes.
    Tcp,
    /// A stream of bytes in TLS.
    Tls,
    /// Datagrams. Known to Istio's parser, served by none of its proxies.
    Udp,
}

/// A text that names no protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a protocol; it must be one of HTTP, HTTPS, HTTP2, GRPC, GRPC-WEB, TCP, TLS, MONGO, REDIS, MYSQL, UDP"
)]
pub struct ProtocolError(String);

impl Protocol {
    /// The name in Istio's documentation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::Https => "HTTPS",
            Self::Grpc => "GRPC",
            Self::GrpcWeb => "GRPC-WEB",
            Self::Http2 => "HTTP2",
            Self::Mongo => "MONGO",
            Self::Redis => "REDIS",
            Self::MySql => "MYSQL",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
            Self::Udp => "UDP",
        }
    }

    /// HTTP in plain text, routed by HTTP rules (`IsHTTP` in Istio): HTTP, HTTP2, GRPC and GRPC-WEB.
    #[must_use]
    pub const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    /// Begins with a TLS handshake (`IsTLS` in Istio): HTTPS and TLS.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Protocol {
    type Err = ProtocolError;

    fn from_str(text: &str) -> Result<Self, ProtocolError> {
        const ALL: [Protocol; 11] = [
            Protocol::Http,
            Protocol::Https,
            Protocol::Grpc,
            Protocol::GrpcWeb,
            Protocol::Http2,
            Protocol::Mongo,
            Protocol::Redis,
            Protocol::MySql,
            Protocol::Tcp,
            Protocol::Tls,
            Protocol::Udp,
        ];
        ALL.into_iter()
            .find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| ProtocolError(text.to_owned()))
    }
}

super::string_serde!(Protocol);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_any_case() {
        assert_eq!("https".parse(), Ok(Protocol::Https));
        assert_eq!("gRPC-Web".parse(), Ok(Protocol::GrpcWeb));
        assert_eq!("SCTP".parse::<Protocol>(), Err(ProtocolError("SCTP".to_owned())));
    }
}
