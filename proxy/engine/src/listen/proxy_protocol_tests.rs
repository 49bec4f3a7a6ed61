#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn header(bytes: &[u8]) -> (usize, Option<Addresses>) {
    match parse(bytes) {
        Parsed::Header { length, addresses } => (length, addresses),
        other => panic!("{other:?}"),
    }
}

fn ends(source: &str, destination: &str) -> Option<Addresses> {
    Some(Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() })
}

fn v2(command: u8, protocol: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE_V2[..], &[0x20 | command, protocol], &length, body].concat()
}

const BODY4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x1f, 0x90, 0, 80];

#[test]
fn version_1() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 198.51.100.2 8080 80\r\n", ends("192.0.2.1:8080", "198.51.100.2:80")),
        ("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n", ends("[2001:db8::1]:1", "[2001:db8::2]:65535")),
        ("PROXY TCP6 ::ffff:192.0.2.1 ::1 0 1\r\n", ends("192.0.2.1:0", "[::1]:1")),
        ("PROXY UNKNOWN\r\n", None),
        ("PROXY UNKNOWN whatever this is\r\n", None),
    ] {
        let bytes = [line.as_bytes(), b"GET / "].concat();
        assert_eq!(header(&bytes), (line.len(), expected), "{line}");
        for end in 0..line.len() {
            assert_eq!(parse(&bytes[..end]), Parsed::NeedMore, "{line}: {end}");
        }
    }
}

#[test]
fn version_1_that_is_malformed() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 8080 80\r\n",
        "PROXY tcp4 192.0.2.1 198.51.100.2 8080 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 8080\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 8080 80 1\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 8080 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 8080 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +8080 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 08080 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 -1 80\r\n",
        "PROXY TCP4 192.0.2.256 198.51.100.2 8080 80\r\n",
        "PROXY TCP4 2001:db8::1 198.51.100.2 8080 80\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 8080 80\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 8080 80\n\r\n",
        "PROXY \u{fffd}\r\n",
    ] {
        assert_eq!(parse(line.as_bytes()), Parsed::Invalid, "{line:?}");
    }
    // A line that has no end.
    let endless = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
    assert_eq!(parse(&endless[..LONGEST_V1 - 1]), Parsed::NeedMore);
    assert_eq!(parse(&endless), Parsed::Invalid);
}

#[test]
fn version_2() {
    let body6: Vec<u8> = [[1; 16], [2; 16]].concat().into_iter().chain([0, 1, 0, 2]).collect();
    let extended = [&BODY4[..], &[4, 0, 1, 7]].concat();
    let six = ends("[101:101:101:101:101:101:101:101]:1", "[202:202:202:202:202:202:202:202]:2");
    for (bytes, expected) in [
        (v2(1, TCP4, &BODY4), ends("192.0.2.1:8080", "198.51.100.2:80")),
        (v2(1, TCP4, &extended), ends("192.0.2.1:8080", "198.51.100.2:80")),
        (v2(1, TCP6, &body6), six),
        (v2(0, TCP4, &BODY4), None),
        (v2(0, UNSPECIFIED, &[]), None),
        (v2(1, UNSPECIFIED, &[9; 300]), None),
    ] {
        let more = [&bytes[..], b"\x16\x03\x01"].concat();
        assert_eq!(header(&more), (bytes.len(), expected), "{bytes:?}");
        for end in 0..bytes.len() {
            assert_eq!(parse(&more[..end]), Parsed::NeedMore, "{bytes:?}: {end}");
        }
    }
}

#[test]
fn version_2_that_is_malformed() {
    for bytes in [
        v2(2, TCP4, &BODY4),
        v2(1, TCP4, &BODY4[..11]),
        v2(1, TCP6, &BODY4),
        v2(1, 0x12, &BODY4),
        v2(1, 0x31, &[0; 216]),
    ] {
        assert_eq!(parse(&bytes), Parsed::Invalid, "{bytes:?}");
    }
    let mut version_1 = v2(1, TCP4, &BODY4);
    version_1[12] = 0x11;
    assert_eq!(parse(&version_1), Parsed::Invalid);
}

#[test]
fn what_is_no_header_is_known_at_once() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"PRI * ",
        b"PROPFIND",
        b"\x16\x03\x01",
        b"\r\nGET",
        b"\r\n\r\n\0\r\nQUIZ",
    ] {
        assert_eq!(parse(bytes), Parsed::Missing, "{bytes:?}");
    }
    for bytes in [&b""[..], b"P", b"PRO", b"\r\n"] {
        assert_eq!(parse(bytes), Parsed::NeedMore, "{bytes:?}");
    }
}

#[test]
fn any_bytes_are_read_without_a_panic_and_more_never_change_an_answer() {
    let mut rng = fastrand::Rng::with_seed(3);
    for round in 0..20_000 {
        let mut bytes = match round % 3 {
            0 => b"PROXY TCP4 192.0.2.1 198.51.100.2 8080 80\r\nrest".to_vec(),
            1 => v2(1, TCP4, &BODY4),
            _ => v2(1, TCP6, &[7; 40]),
        };
        for _ in 0..rng.usize(..4) {
            let place = rng.usize(..bytes.len());
            bytes[place] = rng.u8(..);
        }
        let all = parse(&bytes);
        for end in 0..bytes.len() {
            let part = parse(&bytes[..end]);
            assert!(part == Parsed::NeedMore || part == all, "{bytes:?}: {end}: {part:?}, then {all:?}");
        }
    }
}

#[tokio::test]
async fn what_follows_is_left() {
    let bytes = [&b"PROXY UNKNOWN\r\n"[..], b"GET /"].concat();
    let beginning = read(&mut &bytes[..], ProxyProtocol::default()).await.unwrap();
    assert_eq!((beginning.addresses, &beginning.rest[..]), (None, &b"GET /"[..]));
    let plain = read(&mut &b"GET /"[..], ProxyProtocol::default()).await;
    assert_eq!(plain.unwrap_err(), Refused::Missing);
    let allowed = ProxyProtocol { allow_requests_without_proxy_protocol: true };
    assert_eq!(&read(&mut &b"GET /"[..], allowed).await.unwrap().rest[..], b"GET /");
    assert_eq!(read(&mut &b"PROXY"[..], allowed).await.unwrap_err(), Refused::Closed);
}
