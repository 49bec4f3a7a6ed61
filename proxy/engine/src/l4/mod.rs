//! Bytes, to a cluster: TCP listeners, TCP inside of TLS, and TLS that is passed on unread.

mod copy;
mod forward;

pub(crate) use forward::{Forward, serve};
