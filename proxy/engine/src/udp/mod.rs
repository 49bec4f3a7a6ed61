//! Datagrams, to a cluster, as Envoy's `udp_proxy` has it.
//!
//! All datagrams of one client address at one listener are a *session*. It has an endpoint, chosen with its first
//! datagram, and a socket of its own that is connected to that endpoint: what comes from there goes to the client. It ends
//! when nothing passed for a while, when the endpoint refuses datagrams or is gone, or with its listener.
//!
//! Each worker has a socket of the listener (SO_REUSEPORT), and the kernel gives all datagrams of one client to the same
//! one: sessions are never shared. A datagram that cannot be passed on is dropped and counted, never kept.

mod serve;
mod session;
mod sessions;
mod slot;

pub(crate) use serve::serve;
pub(crate) use sessions::OfWorker;
pub(crate) use slot::UdpSlot;
