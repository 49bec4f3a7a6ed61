//! From a connection to whoever serves it.

mod accept;
mod bind;
mod handshake;
mod prefixed;
mod proxy_protocol;
mod slot;

pub(crate) use accept::accept;
pub(crate) use bind::{bind_tcp, bind_udp};
pub(crate) use slot::{
    Configured, Handling, HttpTarget, ListenerSlot, TcpTarget, Terminated, TlsChain, TlsChains,
};
