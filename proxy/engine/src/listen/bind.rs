//! Listening sockets: one per worker and address, which the kernel spreads connections and clients over (SO_REUSEPORT).

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
};

use socket2::{Domain, Protocol, Socket, Type};

/// Connections that the kernel completes before a worker accepts them. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Binds `count` sockets to one address. All or none.
///
/// `::` listens on IPv4 too; where the machine has no IPv6, on IPv4 alone.
///
/// # Errors
/// When the address is taken, not this machine's, or needs a privilege.
pub(crate) fn bind_tcp(address: IpAddr, port: u16, count: usize) -> io::Result<Vec<TcpListener>> {
    bind(address, port, count, |address| {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        bind_one(&socket, address)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    })
}

/// The same for datagrams.
///
/// # Errors
/// The same.
pub(crate) fn bind_udp(address: IpAddr, port: u16, count: usize) -> io::Result<Vec<UdpSocket>> {
    bind(address, port, count, |address| {
        // Not SO_REUSEADDR: it would let anybody have the port too, and take what comes there.
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        bind_one(&socket, address)?;
        Ok(socket.into())
    })
}

fn bind<S>(
    address: IpAddr,
    port: u16,
    count: usize,
    bind_one: impl Fn(SocketAddr) -> io::Result<S>,
) -> io::Result<Vec<S>> {
    let bind_all = |address| -> io::Result<Vec<_>> {
        (0..count).map(|_| bind_one(SocketAddr::new(address, port))).collect()
    };
    match bind_all(address) {
        Err(error)
            if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED)
                && error.raw_os_error().is_some_and(is_without_ipv6) =>
        {
            bind_all(IpAddr::from([0, 0, 0, 0]))
        }
        result => result,
    }
}

/// EAFNOSUPPORT or EADDRNOTAVAIL: IPv6 is compiled out or switched off.
const fn is_without_ipv6(errno: i32) -> bool {
    errno == 97 || errno == 99
}

fn bind_one(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if let SocketAddr::V6(v6) = address {
        socket.set_only_v6(!v6.ip().is_unspecified())?;
    }
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn several_sockets_share_a_port() {
        let first = bind_tcp(Ipv4Addr::LOCALHOST.into(), 0, 1).expect("a free port").remove(0);
        let port = first.local_addr().expect("bound").port();
        assert_eq!(bind_tcp(Ipv4Addr::LOCALHOST.into(), port, 3).expect("shared").len(), 3);
    }

    #[test]
    fn a_udp_port_is_not_anybodys() {
        let first = bind_udp(Ipv4Addr::LOCALHOST.into(), 0, 1).expect("a free port").remove(0);
        let address = first.local_addr().expect("bound");
        assert_eq!(bind_udp(address.ip(), address.port(), 3).expect("shared").len(), 3);
        let other = Socket::new(Domain::IPV4, Type::DGRAM, None).expect("a socket");
        other.set_reuse_address(true).expect("set");
        assert!(other.bind(&address.into()).is_err());
    }

    #[test]
    fn an_address_of_another_machine_is_an_error() {
        assert!(bind_tcp(IpAddr::from([192, 0, 2, 1]), 0, 1).is_err());
    }
}
