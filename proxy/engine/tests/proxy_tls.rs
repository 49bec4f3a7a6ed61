//! Handshakes: which certificate is shown to whom, and who is refused how.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::StatusCode;
use postern_snapshot::model::{ClientAuthMode, Snapshot};
use rustls::{
    AlertDescription, ClientConfig, HandshakeKind, RootCertStore,
    crypto::{CryptoProvider, aws_lc_rs, aws_lc_rs::cipher_suite},
    pki_types::ServerName,
    version,
};
use support::*;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

/// Chains by their names, each with a certificate and an answer of its own.
fn chains(authority: &Authority, chains: &[(&str, &[&str])]) -> Snapshot {
    let mut snapshot = tls_snapshot(chains.iter().map(|(name, hosts)| https(name, hosts)).collect());
    for (name, _) in chains {
        let names = ["example.com", "*.example.com", "other.org", "127.0.0.1"];
        snapshot.certificate(name, &authority.issue(&names)).routes(name, &["*"], vec![answer("/", name)]);
    }
    snapshot
}

/// One chain for `example.com`.
fn one_chain(authority: &Authority) -> Snapshot {
    chains(authority, &[("web", &["example.com"])])
}

fn alert_of(result: Result<impl Sized, std::io::Error>) -> Option<AlertDescription> {
    let error = result.err().expect("it is refused");
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[test]
fn the_server_name_chooses_the_chain() {
    run(async {
        let authority = Authority::new("ca");
        let names: [(&str, &[&str]); 3] =
            [("exact", &["example.com", "a.example.com"]), ("wildcard", &["*.example.com"]), ("any", &["*"])];
        let (proxy, _volume) = Proxy::serving(&chains(&authority, &names)).await;
        let tls = ClientTls::new(&authority, &["http/1.1"]);
        for (server_name, chain) in [
            ("example.com", "exact"),
            ("a.example.com", "exact"),
            ("A.Example.COM", "exact"),
            ("b.example.com", "wildcard"),
            ("other.org", "any"),
            ("127.0.0.1", "any"),
        ] {
            let mut client = Client::tls(proxy.at(HTTPS), &tls, server_name).await;
            assert_eq!(client.get(server_name, "/").await.text, chain, "{server_name}");
        }
    });
}

#[test]
fn a_name_that_is_not_served_is_refused_and_so_is_none() {
    run(async {
        let authority = Authority::new("ca");
        let (proxy, _volume) = Proxy::serving(&one_chain(&authority)).await;
        let tls = ClientTls::new(&authority, &[]);
        for (server_name, reason) in [
            ("other.org", "unknown_server_name"),
            ("a.example.com", "unknown_server_name"),
            ("127.0.0.1", "no_server_name"),
        ] {
            let refused = handshake(proxy.at(HTTPS), &tls, server_name).await;
            assert_eq!(alert_of(refused), Some(AlertDescription::UnrecognisedName), "{server_name}");
            let labels = [&*format!("reason=\"{reason}\"")];
            proxy.metric("postern_tls_handshake_failures_total", &labels, 1.0).await;
        }
    });
}

#[test]
fn plain_http_gets_an_explanation_and_garbage_is_closed() {
    run(async {
        let authority = Authority::new("ca");
        let (proxy, _volume) = Proxy::serving(&one_chain(&authority)).await;
        let request = b"GET /app HTTP/1.1\r\nhost: example.com\r\n\r\n";
        let text = request_text(proxy.at(HTTPS), request).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
        assert!(text.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{text}");
        // Perhaps with a reset: not all of it was read.
        let text = request_text(proxy.at(HTTPS), b"\x00\x01 what is this?").await.unwrap_or_default();
        assert_eq!(text, "");
        proxy.metric("postern_tls_handshake_failures_total", &["reason=\"not_tls\""], 2.0).await;
    });
}

/// Sends a few bytes at a time, each in a packet of its own.
struct Trickle(TcpStream);

impl AsyncWrite for Trickle {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, &bytes[..bytes.len().min(7)])
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl AsyncRead for Trickle {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

#[test]
fn a_client_hello_in_many_packets_is_read() {
    run(async {
        let authority = Authority::new("ca");
        let (proxy, _volume) = Proxy::serving(&one_chain(&authority)).await;
        let stream = TcpStream::connect(proxy.at(HTTPS)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let tls = ClientTls::new(&authority, &["http/1.1"]);
        let name = ServerName::try_from("example.com").unwrap();
        let stream = TlsConnector::from(tls.0).connect(name, Trickle(stream)).await.unwrap();
        assert_eq!(Client::http1(stream).await.get("example.com", "/").await.text, "web");
    });
}

#[test]
fn client_certificates_are_required_or_optional_but_never_bad() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot =
            chains(&authority, &[("mutual", &["example.com"]), ("optional", &["a.example.com"])]);
        let clients = Authority::new("clients");
        snapshot.authorities("clients", &clients.pem());
        let mut chains = vec![https("mutual", &["example.com"]), https("optional", &["a.example.com"])];
        tls_of(&mut chains[0]).client_auth = Some(client_auth(ClientAuthMode::Required, "clients"));
        tls_of(&mut chains[1]).client_auth = Some(client_auth(ClientAuthMode::Optional, "clients"));
        snapshot.routes.listeners.clear();
        snapshot.tls_listener(HTTPS, chains);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;

        let none = ClientTls::new(&authority, &["h2"]);
        let good = ClientTls::with(&authority, &["h2"], Some(&clients.issue(&["client"])));
        let bad = ClientTls::with(&authority, &["h2"], Some(&Authority::new("others").issue(&["client"])));
        for (server_name, tls) in [("example.com", &good), ("a.example.com", &good), ("a.example.com", &none)]
        {
            let mut client = Client::tls(proxy.at(HTTPS), tls, server_name).await;
            assert_eq!(client.get(server_name, "/").await.status, StatusCode::OK, "{server_name}");
        }
        for (server_name, tls) in [("example.com", &none), ("example.com", &bad), ("a.example.com", &bad)] {
            // In TLS 1.3 a client learns of it when it reads.
            let mut stream = handshake(proxy.at(HTTPS), tls, server_name).await.unwrap();
            let refused = stream.read_u8().await;
            assert!(alert_of(refused).is_some(), "{server_name}");
        }
        let failures = "postern_tls_handshake_failures_total";
        proxy.metric(failures, &["reason=\"client_certificate_missing\""], 1.0).await;
        proxy.metric(failures, &["reason=\"client_certificate_invalid\""], 2.0).await;
    });
}

#[test]
fn alpn_chooses_the_protocol() {
    run(async {
        let authority = Authority::new("ca");
        let (proxy, _volume) = Proxy::serving(&one_chain(&authority)).await;
        for (offer, version) in [
            (&["h2", "http/1.1"][..], http::Version::HTTP_2),
            (&["http/1.1"], http::Version::HTTP_11),
            (&[], http::Version::HTTP_11),
        ] {
            let tls = ClientTls::new(&authority, offer);
            let answer =
                Client::tls(proxy.at(HTTPS), &tls, "example.com").await.get("example.com", "/").await;
            assert_eq!((answer.version, answer.text.as_str()), (version, "web"), "{offer:?}");
        }
        let nothing_in_common = ClientTls::new(&authority, &["imap"]);
        let refused = handshake(proxy.at(HTTPS), &nothing_in_common, "example.com").await;
        assert_eq!(alert_of(refused), Some(AlertDescription::NoApplicationProtocol));
    });
}

/// A client of TLS 1.2.
fn tls12(authority: &Authority, provider: CryptoProvider) -> ClientTls {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    ClientTls(Arc::new(config))
}

/// Makes a connection and uses it, so that it gets tickets. Was a session resumed?
async fn is_resumed(proxy: &Proxy, tls: &ClientTls) -> bool {
    let stream = handshake(proxy.at(HTTPS), tls, "example.com").await.unwrap();
    let resumed = stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed);
    assert_eq!(Client::http1(stream).await.get("example.com", "/").await.status, StatusCode::OK);
    resumed
}

#[test]
fn sessions_are_resumed_by_every_worker_and_after_a_reload() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot = one_chain(&authority);
        let volume = Volume::kubelet();
        let hash = volume.publish(&snapshot);
        let options = Options { workers: 2, ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;
        let tls = ClientTls::new(&authority, &["http/1.1"]);
        assert!(!is_resumed(&proxy, &tls).await);
        // The kernel gives each worker some of them.
        for connection in 0..12 {
            assert!(is_resumed(&proxy, &tls).await, "{connection}");
        }
        snapshot.certificate("web", &authority.issue(&["example.com"]));
        proxy.applied(volume.publish(&snapshot)).await;
        assert!(is_resumed(&proxy, &tls).await);
        let tls12 = tls12(&authority, aws_lc_rs::default_provider());
        assert!(!is_resumed(&proxy, &tls12).await);
        assert!(is_resumed(&proxy, &tls12).await);
    });
}

#[test]
fn a_new_certificate_is_shown_to_new_connections_and_old_ones_live_on() {
    run(async {
        let authority = Authority::new("ca");
        let (first, second) = (authority.issue(&["example.com"]), authority.issue(&["example.com"]));
        let mut snapshot = one_chain(&authority);
        snapshot.certificate("web", &first);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let old = [&["h2"][..], &["http/1.1"]].map(|alpn| ClientTls::new(&authority, alpn));
        let mut old = [
            Client::tls(proxy.at(HTTPS), &old[0], "example.com").await,
            Client::tls(proxy.at(HTTPS), &old[1], "example.com").await,
        ];
        for client in &mut old {
            assert_eq!(client.certificate, Some(first.der()));
            client.get("example.com", "/").await;
        }

        snapshot.certificate("web", &second);
        proxy.applied(volume.publish(&snapshot)).await;
        let tls = ClientTls::new(&authority, &["h2"]);
        assert_eq!(Client::tls(proxy.at(HTTPS), &tls, "example.com").await.certificate, Some(second.der()));
        for client in &mut old {
            assert!(!client.get("example.com", "/").await.closes());
            assert!(!client.is_closed());
        }
    });
}

#[test]
fn connections_made_on_other_terms_end() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot = chains(&authority, &[("web", &["example.com"]), ("other", &["other.org"])]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let http1 = ClientTls::new(&authority, &["http/1.1"]);
        let http2 = ClientTls::new(&authority, &["h2"]);
        let mut idle = Client::tls(proxy.at(HTTPS), &http1, "example.com").await;
        let mut multiplexed = Client::tls(proxy.at(HTTPS), &http2, "example.com").await;
        let mut unconcerned = Client::tls(proxy.at(HTTPS), &http2, "other.org").await;
        idle.get("example.com", "/").await;
        multiplexed.get("example.com", "/").await;

        let clients = Authority::new("clients");
        snapshot.authorities("clients", &clients.pem());
        snapshot.routes.listeners.clear();
        let mut web = https("web", &["example.com"]);
        tls_of(&mut web).client_auth = Some(client_auth(ClientAuthMode::Required, "clients"));
        snapshot.tls_listener(HTTPS, vec![web, https("other", &["other.org"])]);
        proxy.applied(volume.publish(&snapshot)).await;

        idle.closed().await.unwrap();
        multiplexed.closed().await.unwrap();
        assert_eq!(unconcerned.get("other.org", "/").await.text, "other");
        let mut refused = handshake(proxy.at(HTTPS), &http2, "example.com").await.unwrap();
        assert!(refused.read_u8().await.is_err());
        let shows = ClientTls::with(&authority, &["h2"], Some(&clients.issue(&["client"])));
        let mut client = Client::tls(proxy.at(HTTPS), &shows, "example.com").await;
        assert_eq!(client.get("example.com", "/").await.text, "web");
    });
}

#[test]
fn a_client_gets_the_certificate_of_the_kind_that_it_can_check() {
    run(async {
        let authority = Authority::new("ca");
        let (ecdsa, rsa) = (authority.issue(&["example.com"]), authority.issue_rsa(&["example.com"]));
        let mut web = https("web", &["example.com"]);
        *tls_of(&mut web) = server_tls(&["ecdsa", "rsa"]);
        let mut snapshot = tls_snapshot(vec![web]);
        snapshot.certificate("ecdsa", &ecdsa).certificate("rsa", &rsa);
        snapshot.routes("web", &["*"], vec![answer("/", "web")]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;

        for (suite, expected) in [
            (cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, &ecdsa),
            (cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, &rsa),
        ] {
            let provider = CryptoProvider { cipher_suites: vec![suite], ..aws_lc_rs::default_provider() };
            let client = Client::tls(proxy.at(HTTPS), &tls12(&authority, provider), "example.com").await;
            assert_eq!(client.certificate, Some(expected.der()), "{suite:?}");
        }
    });
}

#[test]
fn a_host_of_another_chain_is_misdirected_over_either_protocol() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot = chains(&authority, &[("web", &["example.com"]), ("other", &["other.org"])]);
        snapshot.routes.route_tables.clear();
        snapshot.routes("web", &["example.com"], vec![answer("/", "web")]);
        snapshot.routes("other", &["other.org"], vec![answer("/", "other")]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        for alpn in ["h2", "http/1.1"] {
            let tls = ClientTls::new(&authority, &[alpn]);
            let mut client = Client::tls(proxy.at(HTTPS), &tls, "example.com").await;
            for (host, status) in [
                ("example.com", StatusCode::OK),
                ("other.org", StatusCode::MISDIRECTED_REQUEST),
                ("nobody.org", StatusCode::NOT_FOUND),
                ("example.com", StatusCode::OK),
            ] {
                assert_eq!(client.get(host, "/").await.status, status, "{alpn} {host}");
            }
        }
    });
}

#[test]
fn a_virtual_host_without_routes_leaves_a_host_to_its_own_chain() {
    run(async {
        let authority = Authority::new("ca");
        let mut snapshot =
            chains(&authority, &[("wide", &["*.example.com"]), ("narrow", &["a.example.com"])]);
        snapshot.routes.route_tables.clear();
        snapshot.routes("wide", &["*.example.com"], vec![answer("/", "wide")]);
        snapshot.routes("wide", &["a.example.com"], Vec::new());
        snapshot.routes("wide", &["c.example.com"], Vec::new());
        snapshot.routes("narrow", &["a.example.com"], vec![answer("/only", "narrow")]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let tls = ClientTls::new(&authority, &["h2"]);
        for (server_name, host, path, status) in [
            ("b.example.com", "b.example.com", "/", StatusCode::OK),
            ("b.example.com", "a.example.com", "/only", StatusCode::MISDIRECTED_REQUEST),
            // No chain has it but this one.
            ("b.example.com", "c.example.com", "/", StatusCode::NOT_FOUND),
            ("a.example.com", "a.example.com", "/only", StatusCode::OK),
            ("a.example.com", "a.example.com", "/", StatusCode::NOT_FOUND),
        ] {
            let mut client = Client::tls(proxy.at(HTTPS), &tls, server_name).await;
            assert_eq!(client.get(host, path).await.status, status, "{server_name} {host}{path}");
        }
    });
}

#[test]
fn a_client_that_closes_in_the_middle_is_counted() {
    run(async {
        let authority = Authority::new("ca");
        let (proxy, _volume) = Proxy::serving(&one_chain(&authority)).await;
        let mut stream = TcpStream::connect(proxy.at(HTTPS)).await.unwrap();
        stream.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
        drop(stream);
        proxy.metric("postern_tls_handshake_failures_total", &["reason=\"closed\""], 1.0).await;
    });
}
