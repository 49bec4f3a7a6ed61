//! Sockets for datagrams.

use std::net::SocketAddr;

use postern_snapshot::model::{CircuitBreakers, UpstreamProtocol};
use postern_upstream::DatagramError;
use tokio::net::UdpSocket;

use crate::support::{cluster, compile, endpoints, local, name, pool, settings};

async fn server() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

#[tokio::test]
async fn a_socket_leads_to_one_endpoint_counts_there_and_is_limited() {
    local(async {
        let (server, address) = server().await;
        let circuit_breakers = CircuitBreakers { max_connections: Some(1), ..CircuitBreakers::default() };
        let settings =
            postern_snapshot::model::Cluster { circuit_breakers, ..settings(UpstreamProtocol::Udp) };
        let (cluster, (pool, _)) = (cluster(settings, &[address]), pool());
        let (socket, guard) = pool.connect_datagram(&cluster).unwrap();
        assert_eq!((guard.endpoint().address(), guard.endpoint().active()), (address, 1));
        socket.send(b"abc").await.unwrap();
        let mut buffer = [0; 8];
        let (length, client) = server.recv_from(&mut buffer).await.unwrap();
        assert_eq!((&buffer[..length], client), (&b"abc"[..], socket.local_addr().unwrap()));
        assert!(matches!(pool.connect_datagram(&cluster), Err(DatagramError::Overflow)));
        drop(guard);
        let (_socket, guard) = pool.connect_datagram(&cluster).unwrap();
        assert_eq!(guard.endpoint().active(), 1);
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_that_refused_is_passed_over_until_it_answers_and_for_tcp_it_is_another() {
    local(async {
        let (one, two) = (server().await.1, server().await.1);
        let both = [("udp", settings(UpstreamProtocol::Udp)), ("tcp", settings(UpstreamProtocol::Http1))];
        let clusters = compile(&both, &endpoints(&[("udp", &[one, two]), ("tcp", &[one])]), None);
        let (pool, cluster) = (pool().0, clusters.get(&name("udp")).unwrap());
        let guards: Vec<_> = (0..4).map(|_| pool.connect_datagram(&cluster).unwrap().1).collect();
        let refused = guards.iter().find(|guard| guard.endpoint().address() == one).unwrap();
        refused.refused();
        let next = || pool.connect_datagram(&cluster).unwrap().1.endpoint().address();
        assert!((0..4).all(|_| next() == two));
        let tcp = clusters.get(&name("tcp")).unwrap().endpoints();
        assert!(!tcp[0].is_set_aside());
        refused.answered();
        assert!((0..4).any(|_| next() == one));
    })
    .await;
}

#[tokio::test]
async fn without_endpoints_there_is_none_and_those_that_are_gone_are_known() {
    local(async {
        let address = server().await.1;
        let udp = [("udp", settings(UpstreamProtocol::Udp))];
        let clusters = compile(&udp, &endpoints(&[("udp", &[address])]), None);
        let (pool, cluster) = (pool().0, clusters.get(&name("udp")).unwrap());
        let (_socket, guard) = pool.connect_datagram(&cluster).unwrap();
        assert!(clusters.have(guard.endpoint()));
        clusters.update_endpoints(&endpoints(&[]));
        assert!(!clusters.have(guard.endpoint()));
        assert!(matches!(pool.connect_datagram(&cluster), Err(DatagramError::NoEndpoints)));
    })
    .await;
}
