//! Datagrams, from files to a backend.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::system::System;

/// A UDP and a TCP listener on one port, and a Service with both.
fn objects(backend: SocketAddr) -> String {
    format!(
        r#"
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {{ name: dns, namespace: default }}
spec:
  parentRef: {{ name: web }}
  listeners:
  - {{ name: udp, port: 53, protocol: UDP }}
  - {{ name: tcp, port: 53, protocol: TCP }}
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {{ name: dns, namespace: default }}
spec:
  parentRefs: [{{ group: gateway.networking.k8s.io, kind: ListenerSet, name: dns }}]
  rules: [{{ backendRefs: [{{ name: dns, port: 53 }}] }}]
---
apiVersion: v1
kind: Service
metadata: {{ name: dns, namespace: default }}
spec:
  ports: [{{ name: udp, port: 53, protocol: UDP }}, {{ name: tcp, port: 53 }}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{ name: dns-local, namespace: default, labels: {{ kubernetes.io/service-name: dns }} }}
addressType: IPv4
ports: [{{ name: udp, port: {}, protocol: UDP }}, {{ name: tcp, port: 1, protocol: TCP }}]
endpoints: [{{ addresses: ["{}"] }}]
"#,
        backend.port(),
        backend.ip(),
    )
}

#[tokio::test]
async fn a_datagram_reaches_the_backend_and_the_answer_comes_back() {
    let backend = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = backend.local_addr().unwrap();
    let system = System::start_with("gateway-api", |folder| {
        folder.edit("gateway.yaml", "spec:\n", "spec:\n  allowedListeners: { namespaces: { from: Same } }\n");
        folder.write("dns.yaml", &objects(address));
    })
    .await;
    let applied = system.ack(0).await.applied.unwrap();
    assert_eq!(applied.refused, vec![]);
    // Ports below 1024 are moved up by 8000.
    let hint = format!("nc -u {} 8053", system.address);
    assert!(system.said().contains(&hint), "{}", system.said());

    let client = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(SocketAddr::new(system.address, 8053)).await.unwrap();
    let talk = async {
        let mut buffer = [0; 16];
        client.send(b"question").await.unwrap();
        let (length, proxy) = backend.recv_from(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"question");
        backend.send_to(b"answer", proxy).await.unwrap();
        let length = client.recv(&mut buffer).await.unwrap();
        assert_eq!(&buffer[..length], b"answer");
    };
    tokio::time::timeout(Duration::from_secs(10), talk).await.expect("an answer");
}
