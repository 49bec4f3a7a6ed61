#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn peer(tls: bool) -> Peer {
    Peer::new("10.0.0.9:1234".parse().unwrap(), tls, None)
}

fn described(peer: &Peer, fields: &[(&'static str, &'static str)], hops: u32) -> (HeaderMap, Client) {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_static(value));
    }
    let seen = Seen::of(&headers);
    let trust = Trust { peer_is_client: true, hops };
    let client = peer.describe(&mut headers, seen, trust, HeaderValue::from_static("fresh"));
    (headers, client)
}

#[test]
fn a_peer_that_is_a_proxy_is_believed() {
    let behind = |fields: &[(&'static str, &'static str)], hops| {
        let mut headers = HeaderMap::new();
        headers.extend(
            fields
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
        );
        let seen = Seen::of(&headers);
        let trust = Trust { peer_is_client: false, hops };
        let client = peer(false).describe(&mut headers, seen, trust, HeaderValue::from_static("fresh"));
        (headers, client)
    };
    let fields = [
        ("x-forwarded-for", "9.9.9.9, 1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other.example"),
        ("x-request-id", "theirs"),
        ("x-envoy-external-address", "1.1.1.1"),
        ("x-envoy-retry-on", "5xx"),
        ("x-forwarded-client-cert", "Hash=0"),
    ];
    let (headers, client) = behind(&fields, 0);
    assert_eq!(client, Client { address: "1.1.1.1".parse().unwrap(), scheme: Scheme::Https });
    for (name, value) in &fields[..5] {
        assert_eq!(headers[*name], *value);
    }
    assert!(!headers.contains_key("x-envoy-retry-on") && !headers.contains_key("x-forwarded-client-cert"));
    assert_eq!(behind(&fields, 1).1.address, "9.9.9.9".parse::<IpAddr>().unwrap());
    // It says too little.
    assert_eq!(behind(&fields, 2).1.address, "10.0.0.9".parse::<IpAddr>().unwrap());
    let (headers, client) = behind(&[], 0);
    assert_eq!(client, Client { address: "10.0.0.9".parse().unwrap(), scheme: Scheme::Http });
    assert_eq!(
        (&headers["x-forwarded-proto"], &headers["x-request-id"]),
        (&HeaderValue::from_static("http"), &HeaderValue::from_static("fresh"))
    );
    assert_eq!(headers.len(), 2);
}

#[test]
fn a_plain_client_is_its_address() {
    let (headers, client) = described(&peer(true), &[], 0);
    assert_eq!(client, Client { address: "10.0.0.9".parse().unwrap(), scheme: Scheme::Https });
    assert_eq!(headers["x-forwarded-for"], "10.0.0.9");
    assert_eq!(headers["x-forwarded-proto"], "https");
    assert_eq!(headers["x-envoy-external-address"], "10.0.0.9");
    assert_eq!(headers["x-request-id"], "fresh");
}

#[test]
fn without_trusted_hops_nothing_that_a_client_says_counts() {
    let (headers, client) = described(
        &peer(false),
        &[
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-client-cert", "Hash=0"),
            ("x-request-id", "mine"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-external-address", "1.1.1.1"),
        ],
        0,
    );
    assert_eq!(client, Client { address: "10.0.0.9".parse().unwrap(), scheme: Scheme::Http });
    assert_eq!(headers["x-forwarded-for"], "1.1.1.1,2.2.2.2,10.0.0.9");
    assert_eq!(headers.get_all("x-forwarded-for").iter().count(), 1);
    assert_eq!(headers["x-forwarded-proto"], "http");
    assert_eq!(headers["x-request-id"], "fresh");
    assert_eq!(headers["x-envoy-external-address"], "10.0.0.9");
    for gone in ["x-forwarded-host", "x-forwarded-client-cert", "x-envoy-retry-on"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn trusted_hops_are_counted_from_the_right() {
    let fields = [
        ("x-forwarded-for", "9.9.9.9, 1.1.1.1"),
        ("x-forwarded-for", "2.2.2.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "outer.example"),
    ];
    for (hops, address) in [(1, "2.2.2.2"), (2, "1.1.1.1"), (3, "9.9.9.9"), (4, "10.0.0.9")] {
        let (headers, client) = described(&peer(false), &fields, hops);
        assert_eq!(client, Client { address: address.parse().unwrap(), scheme: Scheme::Https }, "{hops}");
        assert_eq!(headers["x-forwarded-for"], "9.9.9.9, 1.1.1.1,2.2.2.2,10.0.0.9");
        assert_eq!(headers["x-forwarded-proto"], "https");
        assert_eq!(headers["x-forwarded-host"], "outer.example");
        assert_eq!(headers["x-envoy-external-address"], address);
    }
}

#[test]
fn a_client_certificate_is_told_over_what_the_client_says() {
    let peer =
        Peer::new("[::ffff:10.0.0.9]:1".parse().unwrap(), true, Some(HeaderValue::from_static("Hash=1")));
    let (headers, client) = described(&peer, &[("x-forwarded-client-cert", "Hash=0")], 0);
    assert_eq!(headers["x-forwarded-client-cert"], "Hash=1");
    assert_eq!(client.address, "10.0.0.9".parse::<IpAddr>().unwrap(), "an IPv4 address is written as one");
}

#[test]
fn request_ids_are_random_uuids() {
    let mut rng = fastrand::Rng::with_seed(1);
    let (one, two) = (request_id(&mut rng), request_id(&mut rng));
    assert_ne!(one, two);
    for id in [one, two] {
        let groups: Vec<String> = id.to_str().unwrap().split('-').map(str::to_owned).collect();
        assert_eq!(groups.iter().map(String::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert!(groups[2].starts_with('4'));
        assert!(matches!(groups[3].as_bytes()[0], b'8' | b'9' | b'a' | b'b'));
        assert!(groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}

#[test]
fn hexadecimal_digits() {
    for number in [0, 1, 0x0123_4567, 0x89ab_cdef, 0xffff_ffff, 0x0f0f_a5a5] {
        assert_eq!(hex(number), format!("{number:08x}").as_bytes());
    }
}
