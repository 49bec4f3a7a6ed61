//! TLS: look at the ClientHello, choose the chain by its server name, then terminate or pass on.

use std::{io, pin::Pin, rc::Rc, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use postern_telemetry::metrics::HandshakeFailure;
use postern_tls::{
    PLAIN_HTTP_RESPONSE, TlsInfo, alert,
    client_hello::{ClientHello, Peek, peek},
};
use rustls::{AlertDescription, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    prefixed::Prefixed,
    slot::{Handling, ListenerSlot, Terminated, TlsChain},
};
use crate::{
    drain::DrainWatch,
    http::{self, ConnectionInfo},
    l4,
    worker::Worker,
};

/// A client that has not finished its handshake by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// While the listener drains, less: most of those that say nothing never meant to (probes, browsers' spare connections).
const HANDSHAKE_TIMEOUT_IN_DRAIN: Duration = Duration::from_secs(3);

/// A ClientHello fits into this most of the time; the buffer grows if not.
const HELLO_CAPACITY: usize = 2048;

/// How long to read on after a refusal, so that the client gets to see it.
const LINGER: Duration = Duration::from_secs(1);

/// Why there is no session.
struct Refusal {
    failure: HandshakeFailure,
    /// What the client is told, if anything.
    answer: Option<Bytes>,
}

impl Refusal {
    const fn silent(failure: HandshakeFailure) -> Self {
        Self { failure, answer: None }
    }

    fn alert(failure: HandshakeFailure, description: AlertDescription) -> Self {
        Self { failure, answer: Some(Bytes::copy_from_slice(&alert(description))) }
    }
}

/// Serves a connection of a TLS listener. `accepted` is held until it is known who serves it.
pub(super) async fn serve<IO>(
    mut stream: Prefixed<IO>,
    mut info: ConnectionInfo,
    slot: Arc<ListenerSlot>,
    worker: Rc<Worker>,
    accepted: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut patience = Box::pin(patience(accepted));
    let hello = in_time(patience.as_mut(), read_hello(&mut stream)).await;
    let (hello, read) = match hello.unwrap_or(Err(Refusal::silent(HandshakeFailure::Timeout))) {
        Ok(hello) => hello,
        Err(refusal) => return refuse(stream, refusal, &slot).await,
    };
    let chain = match find_chain(&slot, &hello) {
        Ok(chain) => chain,
        Err(refusal) => return refuse(stream, refusal, &slot).await,
    };
    let stream = stream.unread(read);
    match &*chain {
        TlsChain::Terminate { config, then } => {
            let (config, then) = (Arc::clone(config), then.clone());
            drop(chain);
            // From before the handshake: the terms on which it succeeds may be outdated when it has.
            let drain = then.drain().watch();
            let accepting = in_time(patience.as_mut(), handshake(config, stream)).await;
            let stream = match accepting.unwrap_or(Err(HandshakeFailure::Timeout)) {
                Ok(stream) => stream,
                Err(failure) => return slot.metrics.handshake_failed(failure),
            };
            drop((patience, slot));
            info.tls = Some(TlsInfo::of_server(stream.get_ref().1));
            terminated(stream, info, then, worker, drain).await;
        }
        TlsChain::Passthrough(target) => {
            let target = target.clone();
            let drain = target.drain.watch();
            drop((patience, chain, slot));
            l4::serve(stream, info, hello.server_name.as_deref(), &target.forward, worker, drain).await;
        }
        // `find_chain` has refused it.
        TlsChain::Unusable => {}
    }
}

/// Resolves when a client has had time enough for its handshake, less of it while the listener drains.
pub(super) async fn patience(accepted: DrainWatch) {
    let in_drain = async {
        accepted.draining().await;
        tokio::time::sleep(HANDSHAKE_TIMEOUT_IN_DRAIN).await;
    };
    let within_grace = accepted.until_cut_off(in_drain);
    tokio::select! {
        _ = within_grace => {}
        () = tokio::time::sleep(HANDSHAKE_TIMEOUT) => {}
    }
}

/// What the future returns; `None` when patience comes to its end first.
pub(super) async fn in_time<F: Future>(
    patience: Pin<&mut impl Future<Output = ()>>,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = patience => None,
    }
}

async fn terminated<IO>(
    stream: TlsStream<Prefixed<IO>>,
    info: ConnectionInfo,
    then: Terminated,
    worker: Rc<Worker>,
    drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    match then {
        Terminated::Http(target) => http::serve(stream, Rc::new(info), target.chain, worker, drain).await,
        Terminated::Tcp(target) => {
            let server_name = info.tls.as_ref().and_then(|tls| tls.server_name.clone());
            l4::serve(stream, info, server_name.as_deref(), &target.forward, worker, drain).await;
        }
    }
}

/// The ClientHello, and all bytes that were read to get it.
async fn read_hello<IO: AsyncRead + Unpin>(stream: &mut IO) -> Result<(ClientHello, Bytes), Refusal> {
    let mut read = BytesMut::with_capacity(HELLO_CAPACITY);
    loop {
        match stream.read_buf(&mut read).await {
            Ok(0) | Err(_) => return Err(Refusal::silent(HandshakeFailure::Closed)),
            Ok(_) => {}
        }
        match peek(&read) {
            Peek::NeedMore => {}
            Peek::Hello(hello) => return Ok((hello, read.freeze())),
            Peek::PlainHttp => {
                let answer = Some(Bytes::from_static(PLAIN_HTTP_RESPONSE.as_bytes()));
                return Err(Refusal { failure: HandshakeFailure::NotTls, answer });
            }
            Peek::NotTls => return Err(Refusal::silent(HandshakeFailure::NotTls)),
            Peek::Malformed | Peek::TooLarge => {
                return Err(Refusal::alert(HandshakeFailure::Other, AlertDescription::DecodeError));
            }
        }
    }
}

fn find_chain(slot: &ListenerSlot, hello: &ClientHello) -> Result<Arc<TlsChain>, Refusal> {
    let handling = slot.handling();
    let Handling::Tls(chains) = &*handling else {
        // The listener became another kind since the connection was accepted.
        return Err(Refusal::silent(HandshakeFailure::Other));
    };
    let unknown = |failure| {
        if chains.only_pass_on {
            Refusal::silent(failure)
        } else {
            Refusal::alert(failure, AlertDescription::UnrecognisedName)
        }
    };
    match chains.by_name.find(hello.server_name.as_deref()) {
        Some(chain) if matches!(**chain, TlsChain::Unusable) => Err(unknown(HandshakeFailure::NoCertificate)),
        Some(chain) => Ok(Arc::clone(chain)),
        None if hello.server_name.is_some() => Err(unknown(HandshakeFailure::UnknownServerName)),
        None => Err(unknown(HandshakeFailure::NoServerName)),
    }
}

async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
    config: Arc<ServerConfig>,
    stream: IO,
) -> Result<TlsStream<IO>, HandshakeFailure> {
    TlsAcceptor::from(config).accept(stream).await.map_err(|error| classify(&error))
}

/// What went wrong, for the metrics. rustls has sent the alert.
fn classify(error: &io::Error) -> HandshakeFailure {
    use rustls::{Error, PeerIncompatible};
    let Some(error) = error.get_ref().and_then(|error| error.downcast_ref::<Error>()) else {
        return HandshakeFailure::Closed;
    };
    match error {
        Error::NoCertificatesPresented => HandshakeFailure::ClientCertificateMissing,
        Error::InvalidCertificate(_) => HandshakeFailure::ClientCertificateInvalid,
        Error::NoApplicationProtocol => HandshakeFailure::ApplicationProtocol,
        Error::AlertReceived(_) => HandshakeFailure::ClientAlert,
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => HandshakeFailure::Version,
        Error::PeerIncompatible(_) => HandshakeFailure::Parameters,
        _ => HandshakeFailure::Other,
    }
}

/// Says no, and lets the client read it: closing with unread bytes would reset the connection under the answer.
async fn refuse<IO>(mut stream: IO, refusal: Refusal, slot: &ListenerSlot)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    slot.metrics.handshake_failed(refusal.failure);
    let Some(answer) = refusal.answer else { return };
    let farewell = async {
        stream.write_all(&answer).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(LINGER, farewell).await;
}

#[cfg(test)]
#[path = "handshake_tests.rs"]
mod tests;
