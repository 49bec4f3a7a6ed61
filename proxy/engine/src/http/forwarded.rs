//! Who the client is, and what the upstream is told about it: `x-forwarded-for`, `-proto`, `-host`, `-client-cert`,
//! `x-request-id`, `x-envoy-external-address`. As Envoy with `use_remote_address: true`, which Istio sets at gateways:
//! what a client says about itself counts only as far as proxies in front of this one are trusted. With `false` the peer
//! is such a proxy, and what it says goes on as it came.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue};

use super::headers::{
    Seen, X_ENVOY_EXTERNAL_ADDRESS, X_FORWARDED_CLIENT_CERT, X_FORWARDED_FOR, X_FORWARDED_HOST,
    X_FORWARDED_PROTO, X_REQUEST_ID,
};

/// How the client speaks with the proxy, or with the trusted proxy in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    pub(super) const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What is the same for all requests of a connection, as header values that are cheap to clone.
#[derive(Debug)]
pub(super) struct Peer {
    address: IpAddr,
    address_value: HeaderValue,
    scheme: Scheme,
    /// What the upstream is told about the client's certificate.
    client_cert: Option<HeaderValue>,
}

/// Whom the proxy believes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trust {
    /// Envoy's `use_remote_address`. If not, the peer is a trusted proxy.
    pub(super) peer_is_client: bool,
    /// Envoy's `xff_num_trusted_hops`: so many proxies in front of this one, or of the peer that is one.
    pub(super) hops: u32,
}

impl Trust {
    /// The place in `x-forwarded-for` of the client's address, from the right; `None`: it is the peer.
    fn place(self) -> Option<usize> {
        let hops = usize::try_from(self.hops).unwrap_or(usize::MAX);
        if self.peer_is_client { hops.checked_sub(1) } else { Some(hops) }
    }
}

/// Who a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    /// The peer, or what trusted proxies say.
    pub(super) address: IpAddr,
    /// That of the connection, or what trusted proxies say.
    pub(super) scheme: Scheme,
}

impl Peer {
    pub(super) fn new(peer: SocketAddr, tls: bool, client_cert: Option<HeaderValue>) -> Self {
        let address = peer.ip().to_canonical();
        Self {
            address,
            address_value: address_value(address),
            scheme: if tls { Scheme::Https } else { Scheme::Http },
            client_cert,
        }
    }

    /// Finds out who the client is and replaces what the upstream is told about it.
    pub(super) fn describe(
        &self,
        headers: &mut HeaderMap,
        seen: Seen,
        trust: Trust,
        id: HeaderValue,
    ) -> Client {
        let place = trust.place();
        let address = self.client_address(headers, seen, place);
        let scheme = self.client_scheme(headers, seen, place.is_some());
        if !trust.peer_is_client {
            self.pass_on(headers, seen, scheme, id);
            return Client { address, scheme };
        }
        if seen.any(Seen::ENVOY) {
            remove_envoy_headers(headers);
        }
        self.append_forwarded_for(headers, seen);
        if place.is_none() && seen.any(Seen::FORWARDED_HOST) {
            headers.remove(X_FORWARDED_HOST);
        }
        self.tell_certificate(headers, seen);
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(scheme.as_str()));
        let external =
            if address == self.address { self.address_value.clone() } else { address_value(address) };
        headers.insert(X_ENVOY_EXTERNAL_ADDRESS, external);
        headers.insert(X_REQUEST_ID, id);
        Client { address, scheme }
    }

    /// Nothing is replaced of what the peer says. What steers proxies is for none of its clients to say nevertheless.
    fn pass_on(&self, headers: &mut HeaderMap, seen: Seen, scheme: Scheme, id: HeaderValue) {
        if seen.any(Seen::ENVOY) {
            let external = headers.remove(X_ENVOY_EXTERNAL_ADDRESS);
            remove_envoy_headers(headers);
            headers.extend(external.map(|value| (X_ENVOY_EXTERNAL_ADDRESS, value)));
        }
        self.tell_certificate(headers, seen);
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(scheme.as_str()));
        headers.entry(X_REQUEST_ID).or_insert(id);
    }

    fn tell_certificate(&self, headers: &mut HeaderMap, seen: Seen) {
        match &self.client_cert {
            Some(value) => _ = headers.insert(X_FORWARDED_CLIENT_CERT, value.clone()),
            None if seen.any(Seen::CLIENT_CERT) => _ = headers.remove(X_FORWARDED_CLIENT_CERT),
            None => {}
        }
    }

    /// The address at this place from the right; the peer where there is none.
    fn client_address(&self, headers: &HeaderMap, seen: Seen, place: Option<usize>) -> IpAddr {
        let Some(index) = place.filter(|_| seen.any(Seen::FORWARDED_FOR)) else { return self.address };
        let lines: Vec<&str> =
            headers.get_all(X_FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok()).collect();
        let mut from_right = lines.iter().rev().flat_map(|line| line.rsplit(','));
        from_right.nth(index).and_then(|text| text.trim().parse().ok()).unwrap_or(self.address)
    }

    fn client_scheme(&self, headers: &HeaderMap, seen: Seen, trusted: bool) -> Scheme {
        if !trusted || !seen.any(Seen::FORWARDED_PROTO) {
            return self.scheme;
        }
        match headers.get(X_FORWARDED_PROTO).map(HeaderValue::as_bytes) {
            Some(value) if value.eq_ignore_ascii_case(b"https") => Scheme::Https,
            Some(value) if value.eq_ignore_ascii_case(b"http") => Scheme::Http,
            _ => self.scheme,
        }
    }

    fn append_forwarded_for(&self, headers: &mut HeaderMap, seen: Seen) {
        if !seen.any(Seen::FORWARDED_FOR) {
            headers.insert(X_FORWARDED_FOR, self.address_value.clone());
            return;
        }
        let mut joined = Vec::with_capacity(64);
        for value in headers.get_all(X_FORWARDED_FOR) {
            joined.extend_from_slice(value.as_bytes());
            joined.push(b',');
        }
        joined.extend_from_slice(self.address_value.as_bytes());
        // Joining valid values gives a valid one.
        if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(joined)) {
            headers.insert(X_FORWARDED_FOR, value);
        }
    }
}

/// `x-envoy-*` steers proxies behind this one (sidecars); it is not for clients to say (Envoy, edge requests).
fn remove_envoy_headers(headers: &mut HeaderMap) {
    let names: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-envoy-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

fn address_value(address: IpAddr) -> HeaderValue {
    // An address has no character that a header value may not have.
    HeaderValue::from_maybe_shared(bytes::Bytes::from(address.to_string()))
        .unwrap_or_else(|_| HeaderValue::from_static("0.0.0.0"))
}

/// A fresh `x-request-id`: a random UUID (RFC 9562, version 4). Not for secrets.
pub(super) fn request_id(rng: &mut fastrand::Rng) -> HeaderValue {
    let high = rng.u64(..) & !0xf000 | 0x4000;
    let low = rng.u64(..) & !(0x3 << 62) | (0x2 << 62);
    let (a, b) = (hex((high >> 32) as u32), hex(high as u32));
    let (c, d) = (hex((low >> 32) as u32), hex(low as u32));
    let mut text = [b'-'; 36];
    text[..8].copy_from_slice(&a);
    text[9..13].copy_from_slice(&b[..4]);
    text[14..18].copy_from_slice(&b[4..]);
    text[19..23].copy_from_slice(&c[..4]);
    text[24..28].copy_from_slice(&c[4..]);
    text[28..].copy_from_slice(&d);
    // Hexadecimal digits and dashes are always valid.
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Eight hexadecimal digits, all at once: each half byte is spread to a byte, and moved to `0`–`9` or `a`–`f`.
const fn hex(number: u32) -> [u8; 8] {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let mut spread = number as u64;
    spread = (spread & 0xffff_0000) << 16 | (spread & 0xffff);
    spread = (spread & 0x0000_ff00_0000_ff00) << 8 | (spread & 0x0000_00ff_0000_00ff);
    spread = (spread & 0x00f0_00f0_00f0_00f0) << 4 | (spread & 0x000f_000f_000f_000f);
    let letters = (spread + ONES * 6) >> 4 & ONES;
    (spread + ONES * b'0' as u64 + letters * (b'a' - b'0' - 10) as u64).to_be_bytes()
}

#[cfg(test)]
#[path = "forwarded_tests.rs"]
mod tests;
