//! The PROXY protocol, versions 1 and 2 (`proxy-protocol.txt` of HAProxy): what a load balancer in front says about each
//! connection. As Envoy's listener filter.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    str::FromStr,
};

use bytes::{Bytes, BytesMut};
use postern_snapshot::model::ProxyProtocol;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Begins a header of version 2.
const SIGNATURE_V2: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Of version 2, before the addresses.
const FIXED_V2: usize = 16;
/// Begins a header of version 1.
const SIGNATURE_V1: &[u8; 6] = b"PROXY ";
/// The longest header of version 1, its line end included.
const LONGEST_V1: usize = 107;

/// The two ends of a connection, as the load balancer saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) source: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// What a connection begins with.
#[derive(Debug)]
pub(super) struct Beginning {
    /// `None`: the header does not say, or there is none.
    pub(super) addresses: Option<Addresses>,
    /// What was read of what follows.
    pub(super) rest: Bytes,
}

/// Why a connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("the connection closed within the PROXY header")]
    Closed,
    #[error("there is no PROXY header")]
    Missing,
    #[error("the PROXY header is malformed, or for something else than TCP")]
    Invalid,
}

/// Reads the header, and not much more.
pub(super) async fn read<IO: AsyncRead + Unpin>(
    stream: &mut IO,
    expected: ProxyProtocol,
) -> Result<Beginning, Refused> {
    let mut read = BytesMut::with_capacity(512);
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(Refused::Closed),
            Ok(_) => {}
        }
        match parse(&read) {
            Parsed::NeedMore => {}
            Parsed::Header { length, addresses } => {
                let rest = read.split_off(length.min(read.len())).freeze();
                return Ok(Beginning { addresses, rest });
            }
            Parsed::Missing if expected.allow_requests_without_proxy_protocol => {
                return Ok(Beginning { addresses: None, rest: read.freeze() });
            }
            Parsed::Missing => return Err(Refused::Missing),
            Parsed::Invalid => return Err(Refused::Invalid),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Parsed {
    NeedMore,
    Header {
        /// In bytes.
        length: usize,
        addresses: Option<Addresses>,
    },
    /// It begins with something else.
    Missing,
    Invalid,
}

fn parse(bytes: &[u8]) -> Parsed {
    let begins = |signature: &[u8]| {
        let both = bytes.len().min(signature.len());
        bytes.get(..both) == signature.get(..both)
    };
    if begins(SIGNATURE_V2) {
        parse_v2(bytes)
    } else if begins(SIGNATURE_V1) {
        parse_v1(bytes)
    } else {
        Parsed::Missing
    }
}

fn parse_v1(bytes: &[u8]) -> Parsed {
    let window = bytes.get(..LONGEST_V1).unwrap_or(bytes);
    let Some(end) = window.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LONGEST_V1 { Parsed::NeedMore } else { Parsed::Invalid };
    };
    let Some(line) = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok()) else {
        return Parsed::Invalid;
    };
    match line_v1(line) {
        Some(addresses) => Parsed::Header { length: end + 2, addresses },
        None => Parsed::Invalid,
    }
}

/// `None`: it is malformed.
#[allow(clippy::option_option, reason = "whether it is valid, and what it says")]
fn line_v1(line: &str) -> Option<Option<Addresses>> {
    let mut fields = line.split(' ').skip(1);
    let ends = match fields.next()? {
        // Whatever follows is to be ignored.
        "UNKNOWN" => return Some(None),
        "TCP4" => ends_v1::<Ipv4Addr>(&mut fields)?,
        "TCP6" => ends_v1::<Ipv6Addr>(&mut fields)?,
        _ => return None,
    };
    fields.next().is_none().then_some(Some(ends))
}

fn ends_v1<'a, A: FromStr + Into<IpAddr>>(fields: &mut impl Iterator<Item = &'a str>) -> Option<Addresses> {
    let source: A = fields.next()?.parse().ok()?;
    let destination: A = fields.next()?.parse().ok()?;
    let (source_port, destination_port) = (port(fields.next()?)?, port(fields.next()?)?);
    Some(addresses(source, source_port, destination, destination_port))
}

/// Digits only, and no leading zero.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

/// An IPv4 client of a listener for both is an IPv4 client.
fn addresses(
    source: impl Into<IpAddr>,
    source_port: u16,
    destination: impl Into<IpAddr>,
    destination_port: u16,
) -> Addresses {
    Addresses {
        source: SocketAddr::new(source.into().to_canonical(), source_port),
        destination: SocketAddr::new(destination.into().to_canonical(), destination_port),
    }
}

fn parse_v2(bytes: &[u8]) -> Parsed {
    let Some([version_and_command, protocol, high, low]) = bytes.get(SIGNATURE_V2.len()..FIXED_V2) else {
        return Parsed::NeedMore;
    };
    // Said at once: a client that speaks another version need not send so much.
    if version_and_command >> 4 != 2 || version_and_command & 0xf > 1 {
        return Parsed::Invalid;
    }
    let length = FIXED_V2 + usize::from(u16::from_be_bytes([*high, *low]));
    let Some(body) = bytes.get(FIXED_V2..length) else { return Parsed::NeedMore };
    let is_local = version_and_command & 0xf == 0;
    // What follows the addresses are extensions (TLV), which are skipped.
    let addresses = match *protocol {
        // The load balancer itself asks: a health check.
        _ if is_local => None,
        UNSPECIFIED => None,
        TCP4 => match ends_v2::<4>(body) {
            Some(ends) => Some(ends),
            None => return Parsed::Invalid,
        },
        TCP6 => match ends_v2::<16>(body) {
            Some(ends) => Some(ends),
            None => return Parsed::Invalid,
        },
        _ => return Parsed::Invalid,
    };
    Parsed::Header { length, addresses }
}

/// Address family and transport, as version 2 has them.
const UNSPECIFIED: u8 = 0x00;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;

/// Source, destination, and their ports.
fn ends_v2<const N: usize>(body: &[u8]) -> Option<Addresses>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = body.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let destination_port = rest.first_chunk::<2>()?;
    Some(addresses(
        IpAddr::from(*source),
        u16::from_be_bytes(*source_port),
        IpAddr::from(*destination),
        u16::from_be_bytes(*destination_port),
    ))
}

#[cfg(test)]
#[path = "proxy_protocol_tests.rs"]
mod tests;
