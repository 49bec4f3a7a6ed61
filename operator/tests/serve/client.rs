//! A client as curl is one: HTTP/1.1 with kept-alive connections, TLS with or without SNI.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::system::examples;

/// Trusts the examples' authority.
pub(crate) struct Client {
    config: ClientConfig,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Response {
    /// The `service` in the answer of a `postern-backend`.
    pub(crate) fn service(&self) -> String {
        let body: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        body["service"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(examples().join("ca.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self { config }
    }

    /// Names no server in the handshake.
    pub(crate) fn without_sni(mut self) -> Self {
        self.config.enable_sni = false;
        self
    }

    /// A connection with TLS, or why there is none.
    pub(crate) async fn tls(self, address: SocketAddr, host: &str) -> Result<Connection, rustls::Error> {
        self.tls_after(b"", address, host).await
    }

    /// The same, with something before the handshake.
    pub(crate) async fn tls_after(
        self,
        first: &[u8],
        address: SocketAddr,
        host: &str,
    ) -> Result<Connection, rustls::Error> {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(first).await.unwrap();
        let name = ServerName::try_from(host.to_owned()).unwrap();
        let stream =
            TlsConnector::from(Arc::new(self.config)).connect(name, stream).await.map_err(tls_error)?;
        let leaf = stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec();
        Ok(Connection { leaf, ..Connection::over(stream).await })
    }

    /// A connection without TLS.
    pub(crate) async fn plain(self, address: SocketAddr) -> io::Result<Connection> {
        Ok(Connection::over(TcpStream::connect(address).await?).await)
    }
}

fn tls_error(error: io::Error) -> rustls::Error {
    let text = error.to_string();
    match error.into_inner().and_then(|inner| inner.downcast::<rustls::Error>().ok()) {
        Some(error) => *error,
        None => panic!("no error of TLS: {text}"),
    }
}

/// A connection that stays open.
pub(crate) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    /// The server's certificate; empty without TLS.
    pub(crate) leaf: Vec<u8>,
}

impl Connection {
    async fn over(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender, leaf: Vec::new() }
    }

    /// Asks. Fails when the connection was closed.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> Response {
        let request = Request::get(path).header("host", host).body(Full::default()).unwrap();
        let (head, body) = self.ask(request).await.into_parts();
        Response {
            status: head.status.as_u16(),
            headers: head.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Asks this. Fails when the connection was closed.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> http::Response<Bytes> {
        self.sender.ready().await.expect("the connection is open");
        let response = self.sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        http::Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }
}

/// Sends these bytes and reads to the end.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
