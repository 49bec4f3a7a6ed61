//! TLS towards upstreams.

use std::{cell::RefCell, collections::BTreeMap, net::SocketAddr, rc::Rc, sync::Arc};

use postern_snapshot::{
    CaName,
    model::{self, CaBundle, Certificates, Keys, PemSource, UpstreamProtocol, UpstreamTls, UpstreamTrust},
};
use postern_tls::CertificateStore;
use postern_upstream::{Cluster, Clusters, ConnectError, Failure, Tried};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    server::{LocalExecutor, OK, raw},
    support::{ask, endpoints, get, local, name, pool, send, settings, text},
};

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn server(&self, names: &[&str], alpn: &[&str]) -> TlsAcceptor {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let builder = ServerConfig::builder_with_provider(postern_tls::provider());
        let mut config = builder
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    fn store(&self) -> CertificateStore {
        let bundle = CaBundle {
            origin: "Secret/default/ca".to_owned(),
            certificates: PemSource::Inline(self.0.pem()),
            crl: None,
        };
        let certificates = Certificates {
            certificates: BTreeMap::new(),
            authorities: BTreeMap::from([(CaName::new("ca"), bundle)]),
        };
        let (store, refused) = CertificateStore::build(&certificates, &Keys::default(), None);
        assert!(refused.is_empty(), "{refused:?}");
        store
    }
}

fn tls(sni: Option<&str>) -> UpstreamTls {
    UpstreamTls {
        sni: sni.map(str::to_owned),
        trust: UpstreamTrust::Ca(CaName::new("ca")),
        subject_alt_names: Vec::new(),
        client_certificate: None,
    }
}

fn clusters(
    protocol: UpstreamProtocol,
    tls: UpstreamTls,
    address: SocketAddr,
    store: &CertificateStore,
    previous: Option<&Clusters>,
) -> (Clusters, usize) {
    let settings = model::Cluster { tls: Some(tls), ..settings(protocol) };
    let all = BTreeMap::from([(name("a"), settings)]);
    let (clusters, refused) = Clusters::compile(&all, &endpoints(&[("a", &[address])]), store, previous);
    (clusters, refused.len())
}

fn cluster(
    protocol: UpstreamProtocol,
    tls: UpstreamTls,
    address: SocketAddr,
    store: &CertificateStore,
) -> Arc<Cluster> {
    clusters(protocol, tls, address, store, None).0.get(&name("a")).unwrap()
}

/// Answers every request.
async fn answer(mut stream: TlsStream<TcpStream>) {
    let mut seen = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        seen.push(byte);
        if seen.ends_with(b"\r\n\r\n") {
            stream.write_all(OK.as_bytes()).await.unwrap();
        }
    }
}

/// Answers every request, and notes the names that clients asked for.
async fn http1_server(acceptor: TlsAcceptor) -> (SocketAddr, Rc<RefCell<Vec<Option<String>>>>) {
    let names = Rc::new(RefCell::new(Vec::new()));
    let noted = Rc::clone(&names);
    let address = raw(move |_, stream| {
        let (acceptor, noted) = (acceptor.clone(), Rc::clone(&noted));
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            noted.borrow_mut().push(stream.get_ref().1.server_name().map(str::to_owned));
            answer(stream).await;
        }
    })
    .await;
    (address, names)
}

#[tokio::test]
async fn the_cluster_names_the_server() {
    local(async {
        let authority = Authority::new();
        let (address, names) = http1_server(authority.server(&["app.internal"], &[])).await;
        let store = authority.store();
        let cluster = cluster(UpstreamProtocol::Http1, tls(Some("app.internal")), address, &store);
        let (pool, seen) = pool();
        for _ in 0..3 {
            assert_eq!(ask(&pool, &cluster, "/").await, "ok");
        }
        assert_eq!(seen.counts().connected, 1);
        assert_eq!(*names.borrow(), [Some("app.internal".to_owned())]);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_waits_for_a_handshake_takes_a_connection_that_becomes_free() {
    local(async {
        let authority = Authority::new();
        let acceptor = authority.server(&["app.internal"], &[]);
        let (second, mut hanging) = tokio::sync::mpsc::unbounded_channel();
        let address = raw(move |number, stream| {
            let (acceptor, second) = (acceptor.clone(), second.clone());
            async move {
                if number > 1 {
                    second.send(()).unwrap();
                    return std::future::pending().await;
                }
                answer(acceptor.accept(stream).await.unwrap()).await;
            }
        })
        .await;
        let cluster =
            cluster(UpstreamProtocol::Http1, tls(Some("app.internal")), address, &authority.store());
        let (pool, seen) = pool();
        let first = send(&pool, &cluster, get("/")).await.unwrap();
        let waiting = ask(&pool, &cluster, "/");
        tokio::pin!(waiting);
        tokio::select! {
            _ = &mut waiting => panic!("its handshake hangs"),
            _ = hanging.recv() => {}
        }
        assert_eq!(text(first).await, "ok");
        assert_eq!(waiting.await, "ok");
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}

#[tokio::test]
async fn without_a_name_the_requests_host_is_asked_for_and_not_shared_with_others() {
    local(async {
        let authority = Authority::new();
        let (address, names) = http1_server(authority.server(&["a.test", "b.test"], &[])).await;
        let cluster = cluster(UpstreamProtocol::Http1, tls(None), address, &authority.store());
        let (pool, seen) = pool();
        for host in ["a.test", "b.test", "a.test", "b.test"] {
            let response = pool.send(&cluster, get("/"), Some(host), &mut Tried::new()).await.unwrap();
            assert_eq!(text(response).await, "ok");
        }
        assert_eq!(seen.counts().connected, 2);
        assert_eq!(*names.borrow(), [Some("a.test".to_owned()), Some("b.test".to_owned())]);
        for host in [None, Some("not a name")] {
            let error = pool.send(&cluster, get("/"), host, &mut Tried::new()).await.unwrap_err();
            assert!(matches!(error.failure(), Failure::Connect(ConnectError::NoServerName)), "{error:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_certificate_by_somebody_else_or_for_another_name_is_refused() {
    local(async {
        let (authority, other) = (Authority::new(), Authority::new());
        let (address, _) = http1_server(authority.server(&["app.internal"], &[])).await;
        for (store, sni) in [(other.store(), "app.internal"), (authority.store(), "else.internal")] {
            let cluster = cluster(UpstreamProtocol::Http1, tls(Some(sni)), address, &store);
            let (pool, seen) = pool();
            let error = send(&pool, &cluster, get("/")).await.unwrap_err();
            assert!(matches!(error.failure(), Failure::Connect(ConnectError::Tls(_))), "{error:?}");
            assert_eq!(seen.counts().failed, 1);
        }
    })
    .await;
}

#[tokio::test]
async fn http2_is_agreed_on_by_alpn() {
    local(async {
        let authority = Authority::new();
        let acceptor = authority.server(&["app.internal"], &["h2"]);
        let address = raw(move |_, stream| {
            let acceptor = acceptor.clone();
            async move {
                let stream = acceptor.accept(stream).await.unwrap();
                assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
                let service = hyper::service::service_fn(|_| async {
                    Ok::<_, std::convert::Infallible>(http::Response::new(crate::support::body("h2")))
                });
                let _ = hyper::server::conn::http2::Builder::new(LocalExecutor)
                    .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                    .await;
            }
        })
        .await;
        let cluster =
            cluster(UpstreamProtocol::Http2, tls(Some("app.internal")), address, &authority.store());
        let (pool, seen) = pool();
        let answers = futures_util::future::join_all((0..10).map(|_| ask(&pool, &cluster, "/"))).await;
        assert!(answers.iter().all(|answer| answer == "h2"));
        assert_eq!(seen.counts().connected, 1);
    })
    .await;
}

#[test]
fn what_the_transport_depends_on_makes_another_one() {
    let (authority, other) = (Authority::new(), Authority::new());
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    let http1 = UpstreamProtocol::Http1;
    let (first, _) = clusters(http1, tls(Some("a.test")), address, &authority.store(), None);
    let get = |clusters: &Clusters| clusters.get(&name("a")).unwrap();
    let (same, _) = clusters(http1, tls(Some("a.test")), address, &authority.store(), Some(&first));
    assert!(Arc::ptr_eq(&get(&first), &get(&same)));
    let (renewed, refused) = clusters(http1, tls(Some("a.test")), address, &other.store(), Some(&first));
    assert_eq!(refused, 0);
    assert!(!Arc::ptr_eq(&get(&first), &get(&renewed)), "the authorities changed");
    assert_ne!(get(&first).endpoints()[0].id(), get(&renewed).endpoints()[0].id());
    let (kept, refused) =
        clusters(http1, tls(Some("a.test")), address, &CertificateStore::default(), Some(&first));
    assert_eq!(refused, 1, "the authorities are missing");
    assert!(Arc::ptr_eq(&get(&first), &get(&kept)), "what was there stays");
    let (none, refused) = clusters(http1, tls(Some("a.test")), address, &CertificateStore::default(), None);
    assert_eq!((none.len(), refused), (0, 1));
}
