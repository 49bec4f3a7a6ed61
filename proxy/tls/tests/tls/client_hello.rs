//! Reading ClientHellos: real ones, in pieces, and damaged ones.

use std::sync::Arc;

use postern_tls::{
    client_hello::{ClientHello, MAX_CLIENT_HELLO, MAX_PEEK, Peek, peek},
    provider,
};
use proptest::prelude::*;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    pki_types::ServerName,
    server::{Accepted, Acceptor},
};

/// What rustls sends first.
fn hello(name: &str, alpn: &[Vec<u8>]) -> Vec<u8> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.to_vec();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

fn expected(name: Option<&str>, alpn: &[Vec<u8>]) -> Peek {
    let server_name = name.map(str::to_owned);
    Peek::Hello(ClientHello { server_name, alpn: alpn.to_vec(), versions: vec![0x0304, 0x0303] })
}

/// The same handshake bytes in records of these sizes, over and over.
fn split(record: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut rest = &record[5..];
    let mut records = Vec::new();
    for size in sizes.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (fragment, after) = rest.split_at((*size).min(rest.len()));
        records.extend([22, 3, 1]);
        records.extend(u16::try_from(fragment.len()).unwrap().to_be_bytes());
        records.extend(fragment);
        rest = after;
    }
    records
}

/// One record around a message.
fn record(message: &[u8]) -> Vec<u8> {
    let mut record = vec![22, 3, 1];
    record.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
    record.extend(message);
    record
}

/// A ClientHello with these extensions; `None`: without the field, as before TLS 1.2.
fn handmade(extensions: Option<&[u8]>) -> Vec<u8> {
    let mut body = vec![3, 1];
    body.extend([7; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    if let Some(extensions) = extensions {
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
    }
    let mut message = vec![1];
    message.extend(&u32::try_from(body.len()).unwrap().to_be_bytes()[1..]);
    message.extend(body);
    record(&message)
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    let mut extension = kind.to_be_bytes().to_vec();
    extension.extend(u16::try_from(content.len()).unwrap().to_be_bytes());
    extension.extend(content);
    extension
}

fn sni(name: &[u8]) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut content = (length + 3).to_be_bytes().to_vec();
    content.push(0);
    content.extend(length.to_be_bytes());
    content.extend(name);
    extension(0, &content)
}

fn named(name: &str) -> Peek {
    peek(&handmade(Some(&sni(name.as_bytes()))))
}

#[test]
fn every_beginning_of_a_hello_needs_more() {
    let alpn = [b"h2".to_vec(), b"http/1.1".to_vec()];
    let bytes = hello("app.example.com", &alpn);
    for end in 0..bytes.len() {
        assert_eq!(peek(&bytes[..end]), Peek::NeedMore, "{end}");
    }
    assert_eq!(peek(&bytes), expected(Some("app.example.com"), &alpn));
    let more = [&bytes[..], &[0xff; 100]].concat();
    assert_eq!(peek(&more), expected(Some("app.example.com"), &alpn));
}

#[test]
fn a_hello_may_come_in_many_records() {
    let bytes = hello("app.example.com", &[]);
    for size in [1, 2, 3, 4, 5, 100, 16384] {
        let records = split(&bytes, &[size]);
        assert_eq!(peek(&records), expected(Some("app.example.com"), &[]), "{size}");
        for end in 0..records.len() - 1 {
            assert_eq!(peek(&records[..end]), Peek::NeedMore, "{size} {end}");
        }
    }
}

#[test]
fn names_are_normalised() {
    let name = |peek| match peek {
        Peek::Hello(hello) => hello.server_name,
        other => panic!("{other:?}"),
    };
    assert_eq!(name(named("APP.Example.COM")).as_deref(), Some("app.example.com"));
    assert_eq!(name(named("app.example.com.")).as_deref(), Some("app.example.com"));
    assert_eq!(name(named("a_b.example.com")).as_deref(), Some("a_b.example.com"));
    assert_eq!(name(named("xn--bcher-kva.example")).as_deref(), Some("xn--bcher-kva.example"));
    for address in ["10.0.0.1", "::1", "2001:DB8::1"] {
        assert_eq!(name(named(address)), None, "{address}");
    }
    assert_eq!(name(peek(&handmade(None))), None);
    assert_eq!(name(peek(&handmade(Some(&[])))), None);
    assert_eq!(name(peek(&hello("10.0.0.1", &[]))), None);
    let other_kind = extension(0, &[0, 4, 1, 0, 1, b'x']);
    assert_eq!(name(peek(&handmade(Some(&other_kind)))), None);
}

#[test]
fn what_is_no_name_is_malformed() {
    let long = format!("{}.com", "a".repeat(64));
    let endless = "a.".repeat(130);
    for bad in
        ["", ".", "..", "a..b", "a b", "a\0b", "*.example.com", "-", "ä.example", "a.com..", &long, &endless]
    {
        assert_eq!(named(bad), Peek::Malformed, "{bad}");
    }
    assert_eq!(peek(&handmade(Some(&sni(&[0xff, 0xfe])))), Peek::Malformed);
}

#[test]
fn extensions_are_read_strictly() {
    let malformed = |extensions: &[u8]| {
        assert_eq!(peek(&handmade(Some(extensions))), Peek::Malformed, "{extensions:?}");
    };
    let example = sni(b"example.com");
    malformed(&[&example[..], &example[..]].concat());
    malformed(&example[..example.len() - 1]);
    malformed(&extension(0, &[0, 0]));
    malformed(&extension(0, &[0, 9, 0, 0, 1, b'a', 0, 0, 1, b'b', 0]));
    malformed(&extension(16, &[0, 0]));
    malformed(&extension(16, &[0, 1, 0]));
    malformed(&extension(16, &[0, 3, 2, b'h', b'2', 0]));
    malformed(&extension(43, &[0]));
    malformed(&extension(43, &[3, 3, 4, 3]));
    let unknown = [extension(0x0a0a, &[]), extension(0xff01, &[0]), example].concat();
    let Peek::Hello(hello) = peek(&handmade(Some(&unknown))) else { panic!() };
    assert_eq!(hello.server_name.as_deref(), Some("example.com"));
    assert_eq!(hello.versions, [0x0301]);
}

#[test]
fn what_is_not_a_hello_is_told_apart() {
    assert_eq!(peek(b""), Peek::NeedMore);
    assert_eq!(peek(b"GET / HTTP/1.1\r\n"), Peek::PlainHttp);
    assert_eq!(peek(b"GE"), Peek::NeedMore);
    assert_eq!(peek(b"PRI * HTTP/2.0\r\n"), Peek::PlainHttp);
    assert_eq!(peek(b"SSH-2.0-OpenSSH"), Peek::NotTls);
    assert_eq!(peek(&[0x80, 0x2e, 1, 0, 2]), Peek::NotTls, "SSL 2");
    assert_eq!(peek(&[22, 2]), Peek::NotTls);
    assert_eq!(peek(&[22, 3]), Peek::NeedMore);
    assert_eq!(peek(&[21, 3, 1, 0, 2, 2, 40]), Peek::NotTls);
    assert_eq!(peek(&[22, 3, 1, 0, 0]), Peek::Malformed, "an empty record");
    assert_eq!(peek(&[22, 3, 1, 0x40, 1]), Peek::Malformed, "a record that is too long");
    assert_eq!(peek(&[22, 3, 1, 0, 4, 2]), Peek::Malformed, "a ServerHello");
    assert_eq!(peek(&[22, 3, 1, 0, 1, 1, 23]), Peek::Malformed, "another record in between");
    let mut trailing = handmade(None);
    trailing[8] += 1;
    trailing[4] += 1;
    trailing.push(0);
    assert_eq!(peek(&trailing), Peek::Malformed, "half a length of extensions");
}

#[test]
fn there_is_a_limit() {
    let length = u32::try_from(MAX_CLIENT_HELLO).unwrap();
    let header = |length: u32| record(&[&[1], &length.to_be_bytes()[1..]].concat());
    assert_eq!(peek(&header(length)), Peek::NeedMore);
    assert_eq!(peek(&header(length + 1)), Peek::TooLarge);
    // A message within the limit, in records that are not worth waiting for.
    let tiny = split(&[&[0; 5][..], &[1], &length.to_be_bytes()[1..], &[0; MAX_PEEK]].concat(), &[1]);
    assert_eq!(peek(&tiny[..MAX_PEEK - 1]), Peek::NeedMore);
    assert_eq!(peek(&tiny[..MAX_PEEK]), Peek::TooLarge);
    // The largest that is allowed: 47 bytes go to the fields before the padding.
    let padded = |padding: usize| {
        let message = handmade(Some(&extension(21, &vec![0; padding])));
        peek(&split(&message, &[1 << 14]))
    };
    assert!(matches!(padded(MAX_CLIENT_HELLO - 47), Peek::Hello(_)));
    assert_eq!(padded(MAX_CLIENT_HELLO - 46), Peek::TooLarge);
}

/// What rustls makes of it: nothing yet, a name, or an error.
fn rustls_says(bytes: &[u8]) -> Result<Option<Accepted>, ()> {
    let mut acceptor = Acceptor::default();
    let mut rest = bytes;
    while !rest.is_empty() {
        acceptor.read_tls(&mut rest).map_err(drop)?;
        if let Some(accepted) = acceptor.accept().map_err(drop)? {
            return Ok(Some(accepted));
        }
    }
    Ok(None)
}

fn dns_name() -> impl Strategy<Value = String> {
    "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?(\\.[a-z]([a-z0-9-]{0,10}[a-z0-9])?){1,4}"
}

fn protocols() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..4)
}

proptest! {
    #[test]
    fn real_hellos_are_read(
        name in dns_name(), alpn in protocols(), sizes in prop::collection::vec(1_usize..600, 1..5)
    ) {
        let bytes = hello(&name, &alpn);
        prop_assert_eq!(peek(&bytes), expected(Some(&name), &alpn));
        let records = split(&bytes, &sizes);
        prop_assert_eq!(peek(&records), expected(Some(&name), &alpn));
        prop_assert_eq!(peek(&records[..records.len() - 1]), Peek::NeedMore);
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = peek(&bytes);
        let _ = peek(&[&[22, 3, 1][..], &bytes].concat());
        let _ = peek(&record(&[&[1, 0][..], &bytes].concat()));
        let _ = peek(&handmade(Some(&bytes)));
    }

    /// What rustls accepts, we accept, with the same names.
    #[test]
    fn damaged_hellos_are_read_as_rustls_reads_them(
        at in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)
    ) {
        let mut bytes = hello("app.example.com", &[b"h2".to_vec()]);
        for (index, byte) in at {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        let ours = peek(&bytes);
        if let Ok(Some(accepted)) = rustls_says(&bytes) {
            let theirs = accepted.client_hello();
            let Peek::Hello(ours) = ours else {
                return Err(TestCaseError::fail(format!("{ours:?} but rustls accepts it")));
            };
            let name = theirs.server_name().map(|name| name.trim_end_matches('.').to_owned());
            prop_assert_eq!(ours.server_name, name);
            let alpn: Vec<Vec<u8>> = theirs.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(ours.alpn, alpn);
        }
    }
}
