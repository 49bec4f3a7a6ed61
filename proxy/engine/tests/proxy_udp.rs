//! Datagrams that are passed on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use std::{
    collections::{HashMap, HashSet},
    net::SocketAddr,
    time::Duration,
};

use postern_engine::Stop;
use postern_snapshot::ClusterName;
use postern_snapshot::model::{
    CircuitBreakers, ListenerProtocol, LoadBalancing, Snapshot, Target, UdpForward, UpstreamProtocol,
};
use postern_telemetry::access_log::ENVOY_TEXT_FORMAT;
use support::*;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
};

const UDP: u16 = 9053;
/// So long nothing must come.
const SILENCE: Duration = Duration::from_millis(100);

fn udp_snapshot(forward: UdpForward, backends: &[(&str, &[SocketAddr])]) -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.listener(UDP, ListenerProtocol::Udp(forward));
    for (name, addresses) in backends {
        snapshot.cluster(name, addresses);
        let cluster = snapshot.routes.clusters.get_mut(&ClusterName::new(*name)).unwrap();
        cluster.protocol = UpstreamProtocol::Udp;
    }
    snapshot
}

fn forward_of(snapshot: &mut Snapshot) -> &mut UdpForward {
    match &mut snapshot.routes.listeners[0].protocol {
        ListenerProtocol::Udp(forward) => forward,
        other => panic!("{other:?}"),
    }
}

/// A client with an address of its own.
struct UdpClient(UdpSocket);

impl UdpClient {
    async fn new(proxy: &Proxy) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(proxy.at(UDP)).await.unwrap();
        Self(socket)
    }

    async fn answer(&self) -> Vec<u8> {
        let mut buffer = vec![0; 65_536];
        let length = self.0.recv(&mut buffer).await.unwrap();
        buffer.truncate(length);
        buffer
    }

    async fn ask(&self, text: &str) -> String {
        self.0.send(text.as_bytes()).await.unwrap();
        String::from_utf8(self.answer().await).unwrap()
    }

    /// The name of the backend that answers. A datagram may be lost at first.
    async fn backend(&self) -> String {
        loop {
            self.0.send(b"x").await.unwrap();
            if let Ok(answer) = tokio::time::timeout(SILENCE, self.answer()).await {
                let answer = String::from_utf8(answer).unwrap();
                return answer.strip_suffix(":x").unwrap().to_owned();
            }
        }
    }

    async fn is_not_answered(&self) -> bool {
        self.0.send(b"x").await.unwrap();
        tokio::time::timeout(SILENCE, self.answer()).await.is_err()
    }
}

/// Waits until so many sessions are open.
async fn sessions(proxy: &Proxy, count: u32) {
    let wanted = format!("postern_udp_downstream_sess_active{{listener=\"udp_0.0.0.0_{UDP}\"}} {count}\n");
    eventually(|| async { proxy.metrics().await.contains(&wanted).then_some(()) }).await;
}

async fn dropped(proxy: &Proxy, reason: &str, at_least: u32) {
    let label = format!("reason=\"{reason}\"");
    proxy.metric("postern_udp_datagrams_dropped_total", &[&label], at_least.into()).await;
}

#[test]
fn a_client_stays_with_its_endpoint_and_gets_its_own_answers() {
    run(async {
        let (one, two) = (UdpBackend::start("one").await, UdpBackend::start("two").await);
        let mut snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[one.address, two.address])]);
        forward_of(&mut snapshot).idle_timeout = Some(Duration::from_secs(30));
        let volume = Volume::plain();
        let hash = volume.publish(&snapshot);
        let options = Options { workers: 2, ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;

        let mut seen = HashSet::new();
        let mut clients = Vec::new();
        for number in 0..8 {
            let client = UdpClient::new(&proxy).await;
            let first = client.ask("a").await;
            let name = first.strip_suffix(":a").unwrap().to_owned();
            clients.push((number, name.clone(), client));
            seen.insert(name);
        }
        assert_eq!(seen.len(), 2, "round robin over the sessions of all workers");
        for round in 0..10 {
            for (number, name, client) in &clients {
                let text = format!("{number}.{round}");
                assert_eq!(client.ask(&text).await, format!("{name}:{text}"));
            }
        }
        sessions(&proxy, 8).await;
        let metrics = proxy.metrics().await;
        let listener = format!("{{listener=\"udp_0.0.0.0_{UDP}\"}}");
        for line in [
            format!("postern_udp_downstream_sess_total{listener} 8\n"),
            format!("postern_udp_downstream_sess_rx_datagrams_total{listener} 88\n"),
            format!("postern_udp_downstream_sess_rx_bytes_total{listener} 248\n"),
            format!("postern_udp_downstream_sess_tx_datagrams_total{listener} 88\n"),
            format!("postern_udp_downstream_sess_tx_bytes_total{listener} 600\n"),
        ] {
            assert!(metrics.contains(&line), "{line} in {metrics}");
        }
        assert!(!metrics.contains("postern_udp_datagrams_dropped_total"), "{metrics}");
    });
}

#[test]
fn datagrams_of_all_lengths_pass() {
    run(async {
        let backend = UdpBackend::start("one").await;
        let snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[backend.address])]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let client = UdpClient::new(&proxy).await;
        for length in [0, 1, 1472, 1473, 9000] {
            let text = "y".repeat(length);
            assert_eq!(client.ask(&text).await, format!("one:{text}"));
        }
        // The longest of IPv4.
        assert_eq!(client.ask(&"z".repeat(65_507)).await, "z".repeat(65_507));
        // As many at a time as come.
        for number in 0..200_u8 {
            client.0.send(&[number]).await.unwrap();
        }
        for number in 0..200_u8 {
            assert_eq!(client.answer().await, [b'o', b'n', b'e', b':', number]);
        }
    });
}

#[test]
fn sessions_are_spread_by_weight_and_the_share_of_what_is_not_there_is_dropped() {
    run(async {
        let (one, two) = (UdpBackend::start("one").await, UdpBackend::start("two").await);
        let mut snapshot = udp_snapshot(
            udp_forward(&[("one", 60), ("two", 20), ("none", 20)]),
            &[("one", &[one.address]), ("two", &[two.address])],
        );
        forward_of(&mut snapshot).targets[2].target = Target::Unavailable { status: 500 };
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let mut clients = Vec::new();
        for _ in 0..200 {
            let client = UdpClient::new(&proxy).await;
            client.0.send(b"x").await.unwrap();
            clients.push(client);
        }
        proxy.metric("postern_udp_downstream_sess_rx_datagrams_total", &[], 200.0).await;
        let mut counts: HashMap<String, u32> = HashMap::new();
        for client in &clients {
            let answer = tokio::time::timeout(SILENCE, client.answer()).await;
            let name = answer.map_or_else(|_| "none".into(), |text| String::from_utf8(text).unwrap());
            *counts.entry(name).or_default() += 1;
        }
        // Five standard deviations of 6.9 around 120, and of 5.7 around 40.
        assert!((86..=154).contains(&counts["one:x"]), "{counts:?}");
        assert!((12..=68).contains(&counts["two:x"]), "{counts:?}");
        assert!((12..=68).contains(&counts["none"]), "{counts:?}");
        dropped(&proxy, "no_route", counts["none"]).await;
    });
}

#[test]
fn a_session_ends_when_it_is_silent() {
    run(async {
        let backend = UdpBackend::start("one").await;
        let mut snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[backend.address])]);
        forward_of(&mut snapshot).idle_timeout = Some(Duration::from_millis(400));
        let volume = Volume::plain();
        let hash = volume.publish(&snapshot);
        let options = Options { access_log: Some(ENVOY_TEXT_FORMAT), ..Options::default() };
        let proxy = Proxy::start(volume.path(), options).await;
        proxy.applied(hash).await;
        let client = UdpClient::new(&proxy).await;
        assert_eq!(client.ask("a").await, "one:a");
        sessions(&proxy, 1).await;
        sessions(&proxy, 0).await;
        proxy.metric("postern_udp_idle_timeout_total", &[], 1.0).await;
        assert_eq!(client.ask("b").await, "one:b");
        proxy.metric("postern_udp_downstream_sess_total", &[], 2.0).await;
        let log = proxy.log_lines(1).await.remove(0);
        assert!(log.contains("\" 0 SI ") && log.contains(" 1 5 "), "{log}");
        assert!(log.contains(&format!("\"{}\"", backend.address)), "{log}");
    });
}

#[test]
fn without_a_backend_datagrams_are_dropped_until_there_is_one() {
    run(async {
        let mut snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[])]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let client = UdpClient::new(&proxy).await;
        assert!(client.is_not_answered().await);
        dropped(&proxy, "none_healthy", 1).await;
        let backend = UdpBackend::start("one").await;
        snapshot.endpoints("app", &[backend.address]);
        proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(client.ask("a").await, "one:a");

        snapshot.routes.clusters.clear();
        proxy.applied(volume.publish(&snapshot)).await;
        assert!(client.is_not_answered().await);
        dropped(&proxy, "no_route", 1).await;
        sessions(&proxy, 0).await;
    });
}

#[test]
fn tcp_and_udp_have_ports_of_their_own() {
    run(async {
        let (tcp, udp) = (TcpBackend::start("tcp").await, UdpBackend::start("udp").await);
        let mut snapshot = udp_snapshot(udp_forward(&[("udp", 1)]), &[("udp", &[udp.address])]);
        snapshot.listener(UDP, ListenerProtocol::Tcp(tcp_forward(&[("tcp", 1)])));
        snapshot.cluster("tcp", &[tcp.address]);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        assert_eq!(proxy.ack().await.applied.unwrap().refused, []);
        let client = UdpClient::new(&proxy).await;
        assert_eq!(client.ask("a").await, "udp:a");
        let mut stream = TcpStream::connect(proxy.at(UDP)).await.unwrap();
        let mut name = [0; 4];
        stream.read_exact(&mut name).await.unwrap();
        assert_eq!(&name, b"tcp\n");

        // One goes, the other stays.
        snapshot.routes.listeners.remove(0);
        proxy.applied(volume.publish(&snapshot)).await;
        stream.write_all(b"x").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'x');
        let closed = || async {
            let asked = tokio::time::timeout(SILENCE, async {
                client.0.send(b"x").await?;
                client.0.recv(&mut [0; 8]).await
            });
            asked.await.is_ok_and(|answer| answer.is_err()).then_some(())
        };
        eventually(closed).await;
    });
}

#[test]
fn another_route_is_for_new_sessions_and_an_endpoint_that_is_gone_ends_its_own() {
    run(async {
        let (one, two) = (UdpBackend::start("one").await, UdpBackend::start("two").await);
        let backends = [("one", &[one.address][..]), ("two", &[two.address])];
        let mut snapshot = udp_snapshot(udp_forward(&[("one", 1)]), &backends);
        let (proxy, volume) = Proxy::serving(&snapshot).await;
        let old = UdpClient::new(&proxy).await;
        assert_eq!(old.backend().await, "one");

        forward_of(&mut snapshot).targets[0] = target("two", 1);
        proxy.applied(volume.publish(&snapshot)).await;
        assert_eq!(UdpClient::new(&proxy).await.backend().await, "two");
        assert_eq!(old.ask("a").await, "one:a", "it keeps its endpoint");

        snapshot.endpoints("one", &[]);
        proxy.applied(volume.publish(&snapshot)).await;
        sessions(&proxy, 1).await;
        assert_eq!(old.backend().await, "two");
    });
}

#[test]
fn a_listener_that_comes_back_serves_again() {
    run(async {
        let backend = UdpBackend::start("one").await;
        let served = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[backend.address])]);
        let mut empty = served.clone();
        empty.routes.listeners.clear();
        let (proxy, volume) = Proxy::serving(&served).await;
        for _ in 0..5 {
            let client = UdpClient::new(&proxy).await;
            assert_eq!(client.backend().await, "one");
            proxy.applied(volume.publish(&empty)).await;
            proxy.applied(volume.publish(&served)).await;
        }
        assert_eq!(UdpClient::new(&proxy).await.backend().await, "one");
    });
}

#[test]
fn an_endpoint_that_refuses_loses_its_session_to_another() {
    run(async {
        let (one, two) = (UdpBackend::start("one").await, UdpBackend::start("two").await);
        let snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[one.address, two.address])]);
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let client = loop {
            let client = UdpClient::new(&proxy).await;
            if client.backend().await == "one" {
                break client;
            }
        };
        one.stop().await;
        assert!(client.is_not_answered().await);
        dropped(&proxy, "refused", 1).await;
        assert_eq!(client.ask("a").await, "two:a");
        // It is passed over for a while.
        for _ in 0..10 {
            assert_eq!(UdpClient::new(&proxy).await.ask("b").await, "two:b");
        }
    });
}

#[test]
fn the_circuit_breaker_limits_sessions() {
    run(async {
        let backend = UdpBackend::start("one").await;
        let mut snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[backend.address])]);
        let cluster = snapshot.routes.clusters.get_mut(&ClusterName::new("app")).unwrap();
        cluster.circuit_breakers = CircuitBreakers { max_connections: Some(2), ..CircuitBreakers::default() };
        cluster.load_balancing = LoadBalancing::LeastRequest;
        let (proxy, _volume) = Proxy::serving(&snapshot).await;
        let mut clients = Vec::new();
        for _ in 0..2 {
            let client = UdpClient::new(&proxy).await;
            assert_eq!(client.ask("a").await, "one:a");
            clients.push(client);
        }
        let third = UdpClient::new(&proxy).await;
        assert!(third.is_not_answered().await);
        dropped(&proxy, "upstream_overflow", 1).await;
        assert_eq!(clients[0].ask("b").await, "one:b");
    });
}

#[test]
fn while_it_drains_sessions_go_on_and_none_begins() {
    run(async {
        let backend = UdpBackend::start("one").await;
        let snapshot = udp_snapshot(udp_forward(&[("app", 1)]), &[("app", &[backend.address])]);
        let (mut proxy, _volume) = Proxy::serving(&snapshot).await;
        let (talks, silent) = (UdpClient::new(&proxy).await, UdpClient::new(&proxy).await);
        assert_eq!(talks.ask("a").await, "one:a");
        assert_eq!(silent.ask("a").await, "one:a");
        proxy.stop(Stop::Now);
        // Its session ends first, and no other begins.
        eventually(|| async {
            assert_eq!(talks.ask("b").await, "one:b");
            (proxy.metrics().await.contains("_sess_active{listener=\"udp_0.0.0.0_9053\"} 1\n")).then_some(())
        })
        .await;
        assert!(silent.is_not_answered().await);
        dropped(&proxy, "draining", 1).await;
        proxy.ended().await;
    });
}
