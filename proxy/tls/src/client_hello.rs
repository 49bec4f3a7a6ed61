//! What a client asks for, read from its ClientHello before anything is answered.
//!
//! rustls has an `Acceptor` for this, but it refuses clients older than TLS 1.2, whose bytes may be meant for an upstream
//! behind a passthrough chain. The format is that of RFC 8446 section 4.1.2, which all versions share.

mod body;
mod reader;
mod record;

use crate::plain_http::looks_like_http;

/// The largest ClientHello message. The usual ones have 0.2 to 2 KiB.
pub const MAX_CLIENT_HELLO: usize = 16 << 10;

/// How many bytes of a connection are worth keeping for [`peek`]: once there are as many, it does not say
/// [`Peek::NeedMore`] any more.
pub const MAX_PEEK: usize = 20 << 10;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peek {
    /// The beginning of a ClientHello (or of plain HTTP): call again with more bytes.
    NeedMore,
    /// A whole ClientHello, perhaps with more behind it.
    Hello(ClientHello),
    /// A request in plain HTTP; answer [`PLAIN_HTTP_RESPONSE`](crate::PLAIN_HTTP_RESPONSE).
    PlainHttp,
    /// Something else than TLS; close.
    NotTls,
    /// TLS, but not as it should be; close, with the alert `decode_error`.
    Malformed,
    /// A ClientHello that is larger than anyone needs; close.
    TooLarge,
}

/// What a client asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The server name (SNI, RFC 6066): a valid DNS name in lower case without a trailing dot. `None` also for an IP
    /// address, which is not allowed there, as rustls does.
    pub server_name: Option<String>,
    /// The protocols that it speaks (ALPN, RFC 7301), in its order of preference.
    pub alpn: Vec<Vec<u8>>,
    /// The versions that it speaks (`supported_versions`, RFC 8446): 0x0304 is TLS 1.3. Values that mean nothing (GREASE)
    /// are among them. Without the extension the one version of the older field.
    pub versions: Vec<u16>,
}

/// Looks at the first bytes of a connection. Call it again from the start whenever more have come; nothing is consumed.
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    match bytes.first() {
        None => Peek::NeedMore,
        Some(&record::HANDSHAKE) => match record::client_hello(bytes) {
            Ok(Some(message)) => match body::parse(&message) {
                Some(hello) => Peek::Hello(hello),
                None => Peek::Malformed,
            },
            Ok(None) if bytes.len() >= MAX_PEEK => Peek::TooLarge,
            Ok(None) => Peek::NeedMore,
            Err(record::Error::NotTls) => Peek::NotTls,
            Err(record::Error::Malformed) => Peek::Malformed,
            Err(record::Error::TooLarge) => Peek::TooLarge,
        },
        Some(_) => match looks_like_http(bytes) {
            None => Peek::NeedMore,
            Some(true) => Peek::PlainHttp,
            Some(false) => Peek::NotTls,
        },
    }
}
