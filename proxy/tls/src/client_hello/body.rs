//! The ClientHello message (RFC 8446 section 4.1.2) and three of its extensions.

use std::net::IpAddr;

use rustls_pki_types::DnsName;

use super::{ClientHello, reader::Reader};

const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// `None` when it is malformed.
pub(super) fn parse(body: &[u8]) -> Option<ClientHello> {
    let mut body = Reader::new(body);
    let version = body.u16()?;
    let _random = body.take(32)?;
    let session_id = body.vector8()?;
    let cipher_suites = body.vector16()?;
    let compression_methods = body.vector8()?;
    // Before TLS 1.2 there may be no extensions at all.
    let extensions = if body.is_empty() { &[] } else { body.vector16()? };
    let is_sound = session_id.len() <= 32
        && !cipher_suites.is_empty()
        && cipher_suites.len().is_multiple_of(2)
        && !compression_methods.is_empty()
        && body.is_empty();
    if !is_sound {
        return None;
    }
    let mut hello = parse_extensions(extensions)?;
    if hello.versions.is_empty() {
        hello.versions.push(version);
    }
    Some(hello)
}

fn parse_extensions(extensions: &[u8]) -> Option<ClientHello> {
    let mut hello = ClientHello::default();
    let mut seen = Vec::new();
    let mut extensions = Reader::new(extensions);
    while !extensions.is_empty() {
        let kind = extensions.u16()?;
        let mut content = Reader::new(extensions.vector16()?);
        // The same one twice is forbidden, and readers could differ in which one counts.
        if seen.contains(&kind) {
            return None;
        }
        match kind {
            SERVER_NAME => hello.server_name = server_name(content.vector16()?)?,
            ALPN => hello.alpn = alpn(content.vector16()?)?,
            SUPPORTED_VERSIONS => hello.versions = versions(content.vector8()?)?,
            _ => continue,
        }
        seen.push(kind);
        if !content.is_empty() {
            return None;
        }
    }
    Some(hello)
}

/// RFC 6066 section 3. The outer `None` is malformed, the inner one is no (usable) name.
fn server_name(list: &[u8]) -> Option<Option<String>> {
    const HOST_NAME: u8 = 0;
    let mut list = Reader::new(list);
    if list.u8()? != HOST_NAME {
        // Nobody has defined another kind, and where it ends could not be known.
        return Some(None);
    }
    let name = list.vector16()?;
    if !list.is_empty() {
        return None;
    }
    let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
    if name.parse::<IpAddr>().is_ok() {
        return Some(None);
    }
    let name = name.strip_suffix('.').unwrap_or(&name);
    // The check allows one final dot, which would be the second here.
    let is_valid = DnsName::try_from(name).is_ok() && !name.ends_with('.');
    is_valid.then(|| Some(name.to_owned()))
}

/// RFC 7301 section 3.1.
fn alpn(list: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut protocols = Vec::new();
    let mut list = Reader::new(list);
    while !list.is_empty() {
        let protocol = list.vector8().filter(|protocol| !protocol.is_empty())?;
        protocols.push(protocol.to_vec());
    }
    (!protocols.is_empty()).then_some(protocols)
}

/// RFC 8446 section 4.2.1.
fn versions(list: &[u8]) -> Option<Vec<u16>> {
    let mut versions = Vec::new();
    let mut list = Reader::new(list);
    while !list.is_empty() {
        versions.push(list.u16()?);
    }
    (!versions.is_empty()).then_some(versions)
}
