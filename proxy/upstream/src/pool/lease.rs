//! The use of a connection for one request.

use std::rc::Rc;

use http::{Request, Response};
use hyper::{
    body::{Body, Incoming},
    client::conn::TrySendError,
};

use super::{host::Host, http1, http2};

/// One request's use of a connection.
///
/// Dropped before its end, an HTTP/1.1 connection closes, and an HTTP/2 stream frees its place.
pub(super) struct Lease<B> {
    host: Rc<Host<B>>,
    connection: Connection<B>,
    reused: bool,
}

/// A connection, or a place on one.
pub(super) enum Connection<B> {
    Http1(http1::Sender<B>),
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
    pub(super) async fn send(
        &mut self,
        request: Request<B>,
    ) -> Result<Response<Incoming>, TrySendError<Request<B>>>
    where
        B: Body + 'static,
    {
        match &mut self.connection {
            Connection::Http1(sender) => sender.try_send_request(request).await,
            Connection::Http2(stream) => stream.sender().try_send_request(request).await,
        }
    }

    /// The exchange is over, and the connection as good as before.
    pub(super) fn finish(self) {
        if let Connection::Http1(sender) = self.connection {
            self.host.give_back(sender);
        }
    }

    /// An HTTP/1.1 connection that was not used after all.
    pub(super) fn into_http1(self) -> Option<http1::Sender<B>> {
        match self.connection {
            Connection::Http1(sender) => Some(sender),
            Connection::Http2(_) => None,
        }
    }
}
