//! Sockets for datagrams.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use hyper::body::Body;
use tokio::net::UdpSocket;

use crate::{Cause, Cluster, EndpointGuard, Overflow, Pool, Resource, Tried};

/// Why there is no socket for datagrams to a cluster.
#[derive(Debug, thiserror::Error)]
pub enum DatagramError {
    /// The cluster has no endpoint.
    #[error("the cluster has no endpoint")]
    NoEndpoints,
    /// A circuit breaker of the cluster is open.
    #[error("a circuit breaker of the cluster is open")]
    Overflow,
    /// The proxy lacks a file descriptor or a port, or has no way to the address.
    #[error("no socket for {endpoint}: {error}")]
    Socket {
        /// Where it was to lead.
        endpoint: SocketAddr,
        /// Why not.
        #[source]
        error: io::Error,
    },
}

impl<B> Pool<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    /// A socket that is connected to an endpoint of the cluster, chosen by its load balancer: what is sent goes there, what
    /// is received comes from there. Nothing is sent by this. Keep the guard as long as the socket; the circuit breaker
    /// counts it as a connection.
    ///
    /// # Errors
    ///
    /// See [`DatagramError`].
    pub fn connect_datagram(
        &self,
        cluster: &Arc<Cluster>,
    ) -> Result<(UdpSocket, EndpointGuard), DatagramError> {
        let permit = cluster.acquire(Resource::Connections).map_err(|Overflow| DatagramError::Overflow)?;
        let endpoint = self.choose(cluster, &Tried::new()).ok_or(DatagramError::NoEndpoints)?;
        let address = endpoint.address();
        let socket =
            connected(address).map_err(|error| DatagramError::Socket { endpoint: address, error })?;
        let mut guard = EndpointGuard::new(endpoint);
        guard.hold(permit);
        Ok((socket, guard))
    }
}

fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any = match address.ip() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = std::net::UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}
