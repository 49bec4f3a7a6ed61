//! The use of a connection for one request.

use std::rc::Rc;

use http::{Request, Response};
use hyper::body::Body;

use super::{
    Unanswered,
    body::Incoming,
    host::Host,
    http1::{self, Exchange},
    http2,
};
use crate::Cause;

/// A connection for one request. Dropped, an HTTP/1.1 connection closes, and an HTTP/2 stream frees its place.
pub(super) struct Lease<B> {
    host: Rc<Host<B>>,
    connection: Connection<B>,
    reused: bool,
}

/// A connection, or a place on one.
pub(super) enum Connection<B> {
    Http1(Box<http1::Connection>),
    Http2(http2::Stream<B>),
}

impl<B> Lease<B> {
    pub(super) const fn new(host: Rc<Host<B>>, connection: Connection<B>, reused: bool) -> Self {
        Self { host, connection, reused }
    }

    /// Did the connection serve another request before?
    pub(super) const fn reused(&self) -> bool {
        self.reused
    }

    /// Sends the request, and waits for the head of the response.
    pub(super) async fn send(self, request: Request<B>) -> Result<Response<Incoming<B>>, Unanswered<B>>
    where
        B: Body + Unpin + 'static,
        B::Error: Into<Cause>,
    {
        match self.connection {
            Connection::Http1(connection) => {
                let response = Exchange::new(self.host, connection, request, self.reused).await?;
                Ok(response.map(Incoming::Http1))
            }
            Connection::Http2(stream) => {
                let (response, upgrade) = stream.send(request).await?;
                Ok(response.map(|body| Incoming::http2(body, stream, upgrade)))
            }
        }
    }

    /// It is not used after all, and free for others.
    pub(super) fn give_back(self) {
        let host = Rc::clone(&self.host);
        if let Some(connection) = self.into_http1() {
            host.give_back(connection);
        }
    }

    /// An HTTP/1.1 connection that was not used after all.
    pub(super) fn into_http1(self) -> Option<Box<http1::Connection>> {
        match self.connection {
            Connection::Http1(connection) => Some(connection),
            Connection::Http2(_) => None,
        }
    }
}
