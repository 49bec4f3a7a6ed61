//! A connection to a cluster, chosen by weight.

use std::{
    cell::Cell,
    net::SocketAddr,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use postern_snapshot::model::{Target, TcpForward, UdpForward, WeightedTarget};
use postern_telemetry::{
    ResponseFlag, ResponseFlags,
    access_log::Entry,
    metrics::{Destination, Metrics},
};
use postern_upstream::{Cluster, Clusters, Failure, WeightedChoice};
use tokio::io::{AsyncRead, AsyncWrite};

use super::copy::{End, Moved, copy};
use crate::{
    drain::DrainWatch,
    http::{ConnectionInfo, destination_labels},
    worker::Worker,
};

/// Envoy's defaults.
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const UDP_IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How often the bytes of a connection that lasts are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(5);

/// A compiled [`TcpForward`] or [`UdpForward`].
#[derive(Debug)]
pub(crate) struct Forward {
    choice: WeightedChoice,
    /// `None`: the cluster does not exist.
    targets: Vec<Option<Upstream>>,
    idle_timeout: Duration,
    unknown: Arc<Destination>,
}

#[derive(Debug)]
struct Upstream {
    cluster: Arc<Cluster>,
    destination: Arc<Destination>,
}

impl Forward {
    /// Looks up the clusters.
    pub(crate) fn of_tcp(forward: &TcpForward, clusters: &Clusters, metrics: &Metrics) -> Self {
        let idle_timeout = forward.idle_timeout.unwrap_or(TCP_IDLE_TIMEOUT);
        Self::compile(&forward.targets, idle_timeout, clusters, metrics)
    }

    /// The same for datagrams.
    pub(crate) fn of_udp(forward: &UdpForward, clusters: &Clusters, metrics: &Metrics) -> Self {
        let idle_timeout = forward.idle_timeout.unwrap_or(UDP_IDLE_TIMEOUT);
        Self::compile(&forward.targets, idle_timeout, clusters, metrics)
    }

    fn compile(
        targets: &[WeightedTarget],
        idle_timeout: Duration,
        clusters: &Clusters,
        metrics: &Metrics,
    ) -> Self {
        let upstream = |target: &Target| {
            let Target::Cluster(name) = target else { return None };
            let cluster = clusters.get(name)?;
            let destination = metrics.destination(&destination_labels(&cluster.settings().service));
            Some(Upstream { cluster, destination })
        };
        Self {
            choice: WeightedChoice::new(targets.iter().map(|target| target.weight)),
            targets: targets.iter().map(|weighted| upstream(&weighted.target)).collect(),
            idle_timeout,
            unknown: Arc::clone(metrics.unknown_destination()),
        }
    }

    /// The cluster for what begins now. `None`: there is none.
    pub(crate) fn choose_cluster(&self) -> Option<&Arc<Cluster>> {
        self.choose().map(|upstream| &upstream.cluster)
    }

    /// After so long a silence it is over.
    pub(crate) const fn idle_timeout(&self) -> Duration {
        self.idle_timeout
    }

    fn choose(&self) -> Option<&Upstream> {
        let index = self.choice.choose(&mut fastrand::Rng::new())?;
        self.targets.get(index)?.as_ref()
    }
}

/// What is known about a connection when it ends.
struct Ended {
    flags: ResponseFlags,
    upstream: Option<SocketAddr>,
    failure: Option<String>,
}

impl Ended {
    fn because(flag: ResponseFlag) -> Self {
        Self { flags: flag.into(), upstream: None, failure: None }
    }
}

/// Passes the bytes of a connection on. `server_name` is what its ClientHello said, for the log.
pub(crate) async fn serve<IO>(
    io: IO,
    info: ConnectionInfo,
    server_name: Option<&str>,
    forward: &Forward,
    worker: Rc<Worker>,
    drain: DrainWatch,
) where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let (start_time, start) = (SystemTime::now(), Instant::now());
    let moved = Moved::default();
    let chosen = forward.choose();
    let destination = chosen.map_or(&forward.unknown, |upstream| &upstream.destination);
    worker.metrics.tcp_opened(destination);
    let ended = match chosen {
        None => Ended::because(ResponseFlag::NoClusterFound),
        Some(upstream) => {
            let passing = pass_on(io, upstream, forward, &moved, &worker, &drain);
            passing.await
        }
    };
    worker.metrics.tcp_closed(destination, ended.flags);
    let Some(format) = worker.access_log.format() else { return };
    let entry = Entry {
        duration: Some(start.elapsed()),
        response_flags: ended.flags,
        upstream_transport_failure_reason: ended.failure.as_deref(),
        bytes_received: moved.received.get(),
        bytes_sent: moved.sent.get(),
        upstream_host: ended.upstream,
        upstream_cluster: chosen.map(|upstream| upstream.cluster.name().as_str()),
        downstream_local_address: Some(info.local),
        downstream_remote_address: Some(info.peer),
        downstream_direct_remote_address: Some(info.direct_peer),
        downstream_tls_version: info.tls.as_ref().map(|tls| tls.version),
        downstream_tls_cipher: info.tls.as_ref().map(|tls| tls.cipher),
        requested_server_name: server_name,
        connection_id: Some(info.id),
        ..Entry::new(start_time)
    };
    worker.access_log.record(&format, &entry);
}

async fn pass_on<IO>(
    io: IO,
    upstream: &Upstream,
    forward: &Forward,
    moved: &Moved,
    worker: &Worker,
    drain: &DrainWatch,
) -> Ended
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let connecting = worker.pool.connect_stream(&upstream.cluster, None);
    let (stream, guard) = match drain.until_cut_off(connecting).await {
        Some(Ok(connected)) => connected,
        Some(Err(error)) => {
            let flag = match error.failure() {
                Failure::NoEndpoints => ResponseFlag::NoHealthyUpstream,
                Failure::Overflow => ResponseFlag::UpstreamOverflow,
                _ => ResponseFlag::UpstreamConnectionFailure,
            };
            let failure = Some(error.failure().to_string());
            return Ended {
                failure,
                upstream: error.endpoint().map(|e| e.address()),
                ..Ended::because(flag)
            };
        }
        None => return Ended::because(ResponseFlag::LocalReset),
    };
    let counted = Counted::default();
    let end = tokio::select! {
        end = drain.until_cut_off(copy(io, stream, forward.idle_timeout, moved)) => end,
        () = counted.keep_up(moved, upstream, worker) => None,
    };
    counted.catch_up(moved, upstream, worker);
    let flags = match &end {
        Some(End::Closed | End::Failed(_)) => ResponseFlags::NONE,
        Some(End::Idle) => ResponseFlag::StreamIdleTimeout.into(),
        None => ResponseFlag::LocalReset.into(),
    };
    let failure = match end {
        Some(End::Failed(error)) => Some(error.to_string()),
        _ => None,
    };
    Ended { flags, upstream: Some(guard.endpoint().address()), failure }
}

/// How much of what moved is in the metrics.
#[derive(Debug, Default)]
struct Counted {
    received: Cell<u64>,
    sent: Cell<u64>,
}

impl Counted {
    fn catch_up(&self, moved: &Moved, upstream: &Upstream, worker: &Worker) {
        let (received, sent) = (moved.received.get(), moved.sent.get());
        let received_since = received.wrapping_sub(self.received.replace(received));
        let sent_since = sent.wrapping_sub(self.sent.replace(sent));
        worker.metrics.tcp_bytes(&upstream.destination, sent_since, received_since);
    }

    async fn keep_up(&self, moved: &Moved, upstream: &Upstream, worker: &Worker) {
        loop {
            tokio::time::sleep(COUNT_INTERVAL).await;
            self.catch_up(moved, upstream, worker);
        }
    }
}
