//! HTTP/1.1 towards upstreams (RFC 9112).
//!
//! Our own, because this is where a request spends its time. There is no task and no channel for a connection: the
//! request's own future writes and reads, and so does the response's body. Nothing polls an idle connection; whether
//! the peer closed it is looked at before it is used. The request's head is only lent to the encoder, so that it can
//! be sent again.
//!
//! * [`request`]: the head's bytes, and how the body is delimited.
//! * [`upload`]: sending both.
//! * [`response`]: the head's fields, and how the body is delimited.
//! * [`decode`]: the body's pieces.
//! * [`exchange`]: from a request to the head of its response.
//! * [`incoming`]: the body of a response.

mod connection;
mod decode;
mod exchange;
mod incoming;
mod request;
mod response;
mod upload;

pub(super) use connection::{Arena, Connection, Switched};
pub(super) use exchange::Exchange;
pub(super) use incoming::Incoming;

use crate::Cause;

/// Why an exchange broke off.
#[derive(Debug)]
enum Broken {
    /// The connection is gone.
    Closed(Cause),
    /// What the peer sent is not HTTP/1.1.
    Protocol(Cause),
    /// The request's own body failed, or is not as long as its head says.
    RequestBody(Cause),
}
