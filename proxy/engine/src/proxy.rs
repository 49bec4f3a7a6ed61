//! The whole proxy: workers, control thread, and its life from start to drain.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use postern_telemetry::{
    access_log::{AccessLogSink, Format, Target},
    metrics::{Identity, Metrics, Options},
};
use postern_tls::{SessionResumption, TlsError};
use postern_upstream::{Pool, PoolConfig};
use tokio::{net::TcpListener, task::LocalSet};

use crate::{
    admin::{self, AdminPort, LogControl, MetricsPort, StatusPort},
    drain::Drain,
    pool_metrics::PoolMetrics,
    progress::Progress,
    reload::{LastGood, Reloader, find_snapshot},
    runtime::{Runtime, Setup},
    worker::{AccessLog, Worker},
    workers::Workers,
};

/// The access log's lines that are left when the proxy ends have this long to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(2);

/// How a proxy is set up.
#[derive(Debug)]
pub struct Config {
    /// The directory with the snapshot.
    pub snapshot: PathBuf,
    /// Where the last good snapshot is kept; absent: a restart depends on `snapshot`.
    pub state: Option<PathBuf>,
    /// Where listeners without an address of their own listen.
    pub address: IpAddr,
    /// The status port.
    pub status: SocketAddr,
    /// The metrics port.
    pub metrics: SocketAddr,
    /// The admin port.
    pub admin: SocketAddr,
    /// Threads that serve traffic, at least 1.
    pub workers: usize,
    /// The access log's format; absent: no access log.
    pub access_log: Option<Format>,
    /// Where the access log goes.
    pub access_log_target: Target,
    /// From SIGTERM to the drain: how long connections are still accepted, because not everybody knows yet that this
    /// proxy is about to end.
    pub drain_delay: Duration,
    /// From the drain to the end: how long connections may go on.
    pub drain_grace: Duration,
    /// Who this is, for metrics.
    pub identity: Identity,
    /// Changes the log level.
    pub log: Arc<dyn LogControl>,
}

/// Why a proxy does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An own port cannot be bound.
    #[error("cannot listen on {address} for {port}: {source}")]
    Port {
        /// Which one: `status`, ...
        port: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// No random numbers for TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Threads or the access log.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// How to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// As in a cluster: accept on while others learn of it, then drain.
    Gracefully,
    /// Drain at once.
    Now,
}

/// Runs a proxy until `stop` says how to end, and then to its end.
///
/// # Errors
/// Only at the start. What goes wrong later is logged and told on the status port.
pub async fn run(config: Config, stop: impl Future<Output = Stop>) -> Result<(), StartError> {
    let control = LocalSet::new();
    control.run_until(control_thread(config, stop)).await
}

async fn control_thread(config: Config, stop: impl Future<Output = Stop>) -> Result<(), StartError> {
    let progress = Arc::new(Progress::new(&config.identity.version));
    let metrics = Arc::new(Metrics::new(config.identity.clone(), Options::default()));
    let drain = Drain::new();
    serve_own_ports(&config, &progress, &metrics).await?;

    let sink = AccessLogSink::start(config.access_log_target.clone(), metrics.access_log_dropped())?;
    let workers = Arc::new(start_workers(&config, &metrics, &sink)?);
    let setup = Setup {
        default_address: config.address,
        removal_grace: config.drain_grace,
        metrics,
        resumption: SessionResumption::new()?,
        limits: crate::http::RateLimits::default(),
        drain: drain.clone(),
    };
    let runtime = Runtime::new(setup, Arc::clone(&workers));
    let last_good = config.state.clone().map(LastGood::new);
    let reloader = Reloader::new(config.snapshot.clone(), last_good, Arc::clone(&progress), runtime);
    // It goes on during the drain: endpoints come and go then too.
    let reloading = tokio::task::spawn_local(reloader.run());
    let how = stop.await;
    end(how, &config, &progress, &drain).await;
    reloading.abort();
    // An error says that it was aborted.
    let _ = reloading.await;
    if let Some(workers) = Arc::into_inner(workers) {
        workers.stop();
    }
    if !sink.shutdown(LOG_PATIENCE) {
        tracing::warn!("the last lines of the access log could not be written in time");
    }
    Ok(())
}

fn start_workers(config: &Config, metrics: &Arc<Metrics>, sink: &AccessLogSink) -> io::Result<Workers> {
    let format = config.access_log.clone().map(Arc::new);
    Workers::start((0..config.workers).map(|_| {
        let (metrics, format, log) = (Arc::clone(metrics), format.clone(), sink.worker());
        move || {
            let pool = Pool::new(PoolConfig::default(), PoolMetrics::new(Arc::clone(&metrics)));
            Worker::new(pool, &metrics, AccessLog::new(log, format))
        }
    }))
}

/// Binds the own ports, and serves them until the process ends: also while it drains.
async fn serve_own_ports(
    config: &Config,
    progress: &Arc<Progress>,
    metrics: &Arc<Metrics>,
) -> Result<(), StartError> {
    let status = StatusPort::new(Arc::clone(progress));
    let metrics = MetricsPort::new(Arc::clone(metrics));
    let (mounted, last_good) = (config.snapshot.clone(), config.state.clone().map(LastGood::new));
    let progress = Arc::clone(progress);
    let find = move || find_snapshot(progress.ack().applied?.hash, &mounted, last_good.as_ref());
    let admin = AdminPort::new(find, Arc::clone(&config.log));
    own_port("status", config.status, status).await?;
    own_port("metrics", config.metrics, metrics).await?;
    own_port("admin", config.admin, admin).await
}

async fn own_port(name: &'static str, address: SocketAddr, port: impl admin::Port) -> Result<(), StartError> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.map_err(|source| StartError::Port { port: name, address, source })?;
    tracing::info!(%address, "the {name} port listens");
    tokio::task::spawn_local(admin::serve(listener, port));
    Ok(())
}

async fn end(how: Stop, config: &Config, progress: &Progress, drain: &Drain) {
    progress.drain();
    if how == Stop::Gracefully {
        tracing::info!(seconds = config.drain_delay.as_secs_f64(), "no longer ready; still accepting");
        tokio::time::sleep(config.drain_delay).await;
    }
    tracing::info!(connections = drain.open(), grace_seconds = config.drain_grace.as_secs_f64(), "draining");
    drain.run(config.drain_grace).await;
    tracing::info!("drained");
}
