//! Slow clients, with a clock of our own.

use postern_telemetry::metrics::{Identity, Metrics, Options};
use postern_tls::ServerNames;
use postern_upstream::{NoObserver, Pool, PoolConfig};
use tokio::{io::DuplexStream, task::LocalSet, time::Instant};

use super::*;
use crate::{drain::Drain, listen::TlsChains, worker::AccessLog};

/// The beginning of a ClientHello whose rest never comes.
const BEGINNING: [u8; 6] = [22, 3, 1, 2, 0, 1];

struct Scene {
    drain: Drain,
    metrics: Metrics,
    slot: Arc<ListenerSlot>,
}

impl Scene {
    fn new() -> Self {
        let identity = Identity { workload: "w".into(), namespace: "n".into(), version: "0".into() };
        let metrics = Metrics::new(identity, Options::default());
        let drain = Drain::new();
        let handling = Handling::Tls(TlsChains { by_name: ServerNames::new(), only_pass_on: false });
        let slot = Arc::new(ListenerSlot::new("l", drain.child(), metrics.listener("l"), handling.into()));
        Self { drain, metrics, slot }
    }

    /// Serves a client that has sent the beginning of a ClientHello; returns its end of the connection.
    async fn client(&self) -> DuplexStream {
        let (mut client, server) = tokio::io::duplex(1024);
        client.write_all(&BEGINNING).await.expect("written");
        let pool = Pool::new(PoolConfig::default(), NoObserver);
        let worker = Worker::new(pool, &self.metrics, AccessLog::off());
        let address = ([127, 0, 0, 1], 1).into();
        let info = ConnectionInfo {
            id: 1,
            listener: "l".into(),
            peer: address,
            direct_peer: address,
            local: address,
            tls: None,
        };
        let accepted = self.slot.drain.watch();
        tokio::task::spawn_local(serve(
            Prefixed::new(Bytes::new(), server),
            info,
            Arc::clone(&self.slot),
            worker,
            accepted,
        ));
        client
    }

    fn failures(&self, reason: &str) -> bool {
        let label = format!("reason=\"{reason}\"}} 1");
        self.metrics
            .render()
            .lines()
            .any(|line| line.starts_with("postern_tls_handshake") && line.ends_with(&label))
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_hello_is_cut_off() {
    let scene = Scene::new();
    let started = Instant::now();
    let slow = async {
        let mut client = scene.client().await;
        tokio::time::sleep(HANDSHAKE_TIMEOUT / 2).await;
        client.write_all(&[0]).await.expect("bytes that come buy no time");
        assert_eq!(client.read(&mut [0; 8]).await.expect("closed"), 0);
    };
    LocalSet::new().run_until(slow).await;
    assert_eq!(started.elapsed(), HANDSHAKE_TIMEOUT);
    assert!(scene.failures("timeout"), "{}", scene.metrics.render());
}

#[tokio::test(start_paused = true)]
async fn in_a_drain_a_handshake_has_less_time_and_is_waited_for() {
    let scene = Scene::new();
    let started = Instant::now();
    let drained = async {
        let mut client = scene.client().await;
        scene.drain.run(HANDSHAKE_TIMEOUT).await;
        assert_eq!(client.read(&mut [0; 8]).await.expect("closed"), 0);
    };
    LocalSet::new().run_until(drained).await;
    assert_eq!(started.elapsed(), HANDSHAKE_TIMEOUT_IN_DRAIN);
}

#[tokio::test(start_paused = true)]
async fn and_never_more_than_the_grace_period() {
    let scene = Scene::new();
    let started = Instant::now();
    let grace = HANDSHAKE_TIMEOUT_IN_DRAIN / 3;
    let drained = async {
        let _client = scene.client().await;
        scene.drain.run(grace).await;
    };
    LocalSet::new().run_until(drained).await;
    assert_eq!(started.elapsed(), grace);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_read_before_the_connection_closes() {
    let scene = Scene::new();
    let refused = async {
        let mut client = scene.client().await;
        // The rest makes it malformed.
        client.write_all(&[0; 600]).await.expect("written");
        let mut answer = [0; 7];
        client.read_exact(&mut answer).await.expect("an alert");
        assert_eq!(answer, alert(AlertDescription::DecodeError));
        assert_eq!(client.read(&mut [0; 8]).await.expect("closed"), 0);
    };
    LocalSet::new().run_until(refused).await;
    assert!(scene.failures("other"), "{}", scene.metrics.render());
}
