//! Clients.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Version, header::HOST};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs::default_provider,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Authority, Issued};

/// How a client speaks TLS.
#[derive(Clone)]
pub struct ClientTls(pub Arc<ClientConfig>);

impl ClientTls {
    pub fn new(authority: &Authority, alpn: &[&str]) -> Self {
        Self::with(authority, alpn, None)
    }

    pub fn with(authority: &Authority, alpn: &[&str], certificate: Option<&Issued>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(issued) => builder.with_client_auth_cert(vec![issued.der()], issued.key_der()).unwrap(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }
}

/// A TLS connection for this server name; the error is the handshake's.
pub async fn handshake(
    address: SocketAddr,
    tls: &ClientTls,
    server_name: &str,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let server_name = ServerName::try_from(server_name.to_owned()).unwrap();
    TlsConnector::from(Arc::clone(&tls.0)).connect(server_name, stream).await
}

/// A whole response.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub version: Version,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn closes(&self) -> bool {
        self.headers.get("connection").is_some_and(|value| value == "close")
    }
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

/// One connection.
pub struct Client {
    sender: Sender,
    connection: JoinHandle<hyper::Result<()>>,
    /// What the server has shown.
    pub certificate: Option<CertificateDer<'static>>,
}

impl Client {
    pub async fn plain(address: SocketAddr) -> Self {
        Self::try_plain(address).await.unwrap()
    }

    pub async fn try_plain(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::http1(stream).await)
    }

    /// HTTP/2 with prior knowledge.
    pub async fn plain_http2(address: SocketAddr) -> Self {
        Self::http2(TcpStream::connect(address).await.unwrap()).await
    }

    /// What ALPN says.
    pub async fn tls(address: SocketAddr, tls: &ClientTls, server_name: &str) -> Self {
        let stream = handshake(address, tls, server_name).await.unwrap();
        let (_, session) = stream.get_ref();
        let certificate = session.peer_certificates().and_then(|chain| chain.first().cloned());
        let http2 = session.alpn_protocol() == Some(b"h2");
        let client = if http2 { Self::http2(stream).await } else { Self::http1(stream).await };
        Self { certificate, ..client }
    }

    pub async fn http1(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Self { sender: Sender::Http1(sender), connection: tokio::spawn(connection), certificate: None }
    }

    pub async fn http2(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (sender, connection) = handshake.unwrap();
        Self { sender: Sender::Http2(sender), connection: tokio::spawn(connection), certificate: None }
    }

    pub async fn get(&mut self, host: &str, path: &str) -> Answer {
        self.try_get(host, path).await.unwrap()
    }

    pub async fn try_get(&mut self, host: &str, path: &str) -> hyper::Result<Answer> {
        let response = match &mut self.sender {
            Sender::Http1(sender) => {
                sender.ready().await?;
                let request = Request::get(path).header(HOST, host).body(Full::default()).unwrap();
                sender.send_request(request).await?
            }
            Sender::Http2(sender) => {
                sender.ready().await?;
                let uri = format!("http://{host}{path}");
                sender.send_request(Request::get(uri).body(Full::default()).unwrap()).await?
            }
        };
        let (head, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await?.to_bytes().to_vec()).unwrap();
        Ok(Answer { status: head.status, version: head.version, headers: head.headers, text })
    }

    /// Has either side closed it?
    pub fn is_closed(&self) -> bool {
        self.connection.is_finished()
    }

    /// Waits for the server to close it.
    pub async fn closed(self) -> hyper::Result<()> {
        // The sender lives: without it, hyper would close the connection itself.
        let result = self.connection.await.unwrap();
        drop(self.sender);
        result
    }
}

/// One request on a connection of its own.
pub async fn get(address: SocketAddr, host: &str, path: &str) -> Answer {
    Client::plain(address).await.get(host, path).await
}

pub async fn get_text(address: SocketAddr, host: &str, path: &str) -> String {
    get(address, host, path).await.text
}

/// Sends bytes, and reads all that comes until the other end closes.
pub async fn request_text(address: SocketAddr, bytes: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(bytes).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}
