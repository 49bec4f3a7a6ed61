//! One request through all phases, in order.

use std::{convert::Infallible, future::Future, rc::Rc};

use bytes::Bytes;
use futures_util::{FutureExt as _, future::Either};
use http::{HeaderMap, Request, Response, StatusCode, header};
use hyper::body::Incoming;

use super::{
    body::ResponseBody,
    compress,
    connection::Connection,
    exchange::Exchange,
    forward::{self, Prepared},
    local_reply::{self, LocalReply},
    log::LogFacts,
    receive, respond,
    route::{self, Routed},
};

/// From the head of a request to the head of its response. What needs no upstream is done before there is a future to
/// wait for.
pub(super) fn handle(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> + use<> {
    match begin(connection, request) {
        Ok(Prepared::Ready(forwarding, request)) => Either::Left(forward::run(forwarding, request).map(Ok)),
        Ok(Prepared::Buffering(buffering)) => Either::Right(Either::Left(buffering.map(Ok))),
        Err(response) => Either::Right(Either::Right(std::future::ready(Ok(response)))),
    }
}

/// # Errors
/// The request was answered here.
#[allow(clippy::result_large_err, reason = "an answer is not rare, and is handed on at once")]
fn begin(
    connection: &Rc<Connection>,
    request: Request<Incoming>,
) -> Result<Prepared, Response<ResponseBody>> {
    let runtime = connection.view.load();
    let (mut request, body) = request.into_parts();
    let mut exchange = Box::new(Exchange::new(Rc::clone(connection), Rc::clone(&runtime), request.version));
    let (mut received, problem) = receive::receive(connection, &runtime.settings, &mut request);
    exchange.grpc = received.grpc;
    if let Some(format) = connection.worker.access_log.format_or(runtime.settings.access_log.as_ref()) {
        exchange.log = Some(Box::new(LogFacts::new(format, &request, &received)));
    }
    if runtime.compression.is_some() {
        exchange.accept_encoding = compress::accept_encoding(&request.headers);
    }
    if let Some(reason) = problem {
        return Err(local_reply::reply(exchange, LocalReply::new(reason).and_close()));
    }
    if let Some(location) = received.redirect.take() {
        let headers = HeaderMap::from_iter([(header::LOCATION, *location)]);
        let status = StatusCode::TEMPORARY_REDIRECT;
        return Err(respond::locally(exchange, status, headers, Bytes::new(), None));
    }
    match route::route(exchange, &request, &received) {
        Routed::Answered(response) => Err(response),
        Routed::Forward(exchange, matched) => forward::prepare(exchange, request, body, received, matched),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, F>(_: fn(A, B) -> F) -> usize {
        size_of::<F>()
    }

    /// Each HTTP/2 stream allocates one, and for each HTTP/1.1 request one is moved.
    #[test]
    fn the_future_of_a_request_stays_small() {
        let size = size_of_future(|connection: Rc<Connection>, request| handle(&connection, request));
        assert!(size <= 2560, "{size} bytes");
    }
}
