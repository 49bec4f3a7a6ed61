//! Why a request was not answered.

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use http::Request;

use crate::Endpoint;

/// What lies beneath a failure, for logs.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why a connection was not made. Cloned to all requests that waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    /// Not within the cluster's connect timeout.
    #[error("no connection within {0:?}")]
    Timeout(Duration),
    /// The address refused it, or cannot be reached.
    #[error("cannot connect: {0}")]
    Io(Arc<io::Error>),
    /// The TLS handshake failed; the reason is often the certificate.
    #[error("TLS handshake failed: {0}")]
    Tls(Arc<io::Error>),
    /// TLS needs a name to ask for, and neither the cluster nor the request has one that will do.
    #[error("no name for the TLS handshake: the cluster has no SNI, and the request no valid host")]
    NoServerName,
    /// There is a connection, but the peer does not speak the cluster's protocol.
    #[error("the HTTP handshake failed: {0}")]
    Handshake(Arc<dyn StdError + Send + Sync>),
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

/// What went wrong. Envoy's response flags and retry conditions are named where they apply.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The cluster has no endpoint (UH).
    #[error("the cluster has no endpoint")]
    NoEndpoints,
    /// A circuit breaker of the cluster is open (UO; never retried). Nothing was sent.
    #[error("a circuit breaker of the cluster is open")]
    Overflow,
    /// No connection could be made (UF; retried on `connect-failure`). Nothing was sent.
    #[error("{0}")]
    Connect(#[source] ConnectError),
    /// The connection closed before anything of the request was sent (UC; `reset-before-request`).
    #[error("the connection closed before the request was sent")]
    ResetBeforeRequest(#[source] Cause),
    /// The peer said that it did not process the request: REFUSED_STREAM, or GOAWAY before it (UR; `refused-stream`).
    #[error("the peer refused the stream")]
    RefusedStream(#[source] Cause),
    /// The connection closed after the request, or part of it, was sent, before a response (UC; `reset`).
    #[error("the connection closed before the response")]
    ConnectionClosed(#[source] Cause),
    /// The peer reset the stream before a response (UR; `reset`).
    #[error("the peer reset the stream")]
    StreamReset(#[source] Cause),
    /// What came back is not HTTP (UPE).
    #[error("the response is not valid HTTP")]
    Protocol(#[source] Cause),
    /// The request's own body failed, so it is the client's doing (DC).
    #[error("the request's body failed")]
    RequestBody(#[source] Cause),
}

/// A request that was not answered.
pub struct SendError<B>(Box<Inner<B>>);

struct Inner<B> {
    failure: Failure,
    endpoint: Option<Arc<Endpoint>>,
    reused: bool,
    request: Option<Request<B>>,
}

impl<B> SendError<B> {
    pub(crate) fn new(
        failure: Failure,
        endpoint: Option<Arc<Endpoint>>,
        request: Option<Request<B>>,
    ) -> Self {
        Self(Box::new(Inner { failure, endpoint, reused: false, request }))
    }

    pub(crate) fn after_reuse(mut self, reused: bool) -> Self {
        self.0.reused = reused;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn failure(&self) -> &Failure {
        &self.0.failure
    }

    /// Where it went wrong last; `None` when there was no endpoint.
    #[must_use]
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.0.endpoint.as_ref()
    }

    /// Had the connection served a request before? Then a close is likely a keep-alive that ended just now.
    #[must_use]
    pub fn reused(&self) -> bool {
        self.0.reused
    }

    /// The request, if it is whole: nothing of its body was taken, so it can be sent again as it is. Whether it should
    /// be is another matter: with [`Failure::NoEndpoints`], [`Failure::Overflow`], [`Failure::Connect`] and [`Failure::ResetBeforeRequest`]
    /// nothing was sent, with the others the peer may have processed it.
    #[must_use]
    pub fn take_request(&mut self) -> Option<Request<B>> {
        self.0.request.take()
    }
}

impl<B> fmt::Debug for SendError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendError")
            .field("failure", &self.0.failure)
            .field("endpoint", &self.0.endpoint)
            .field("reused", &self.0.reused)
            .field("whole", &self.0.request.is_some())
            .finish()
    }
}

impl<B> fmt::Display for SendError<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.endpoint {
            Some(endpoint) => write!(f, "{}: {}", endpoint.address(), self.0.failure),
            None => self.0.failure.fmt(f),
        }
    }
}

impl<B> StdError for SendError<B> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.failure.source()
    }
}

impl Failure {
    /// Of a request that was given to hyper and not given back.
    pub(crate) fn of_sent(error: hyper::Error) -> Self {
        let Some(h2) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else {
            return if error.is_parse() {
                Self::Protocol(error.into())
            } else if error.is_user() {
                Self::RequestBody(error.into())
            } else {
                Self::ConnectionClosed(error.into())
            };
        };
        match h2.reason() {
            Some(h2::Reason::REFUSED_STREAM) => Self::RefusedStream(error.into()),
            // h2 ends those streams with a GOAWAY that are beyond its last stream identifier.
            Some(h2::Reason::NO_ERROR) if h2.is_go_away() && h2.is_remote() => {
                Self::RefusedStream(error.into())
            }
            _ if h2.is_library() => Self::Protocol(error.into()),
            _ if h2.is_reset() && h2.is_remote() => Self::StreamReset(error.into()),
            // hyper resets a stream whose request body failed.
            _ if h2.is_reset() => Self::RequestBody(error.into()),
            _ => Self::ConnectionClosed(error.into()),
        }
    }
}

/// A response's body that ended early.
#[derive(Debug, thiserror::Error)]
#[error("the response's body ended early")]
pub struct BodyError(#[source] pub(crate) Cause);
