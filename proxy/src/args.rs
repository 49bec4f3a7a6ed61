//! The command line.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::{Parser, ValueEnum};
use postern_engine::{Config, admin::LogControl};
use postern_telemetry::{
    access_log::{ENVOY_TEXT_FORMAT, Format, FormatError, ISTIO_JSON_FORMAT, ISTIO_TEXT_FORMAT, Target},
    metrics::Identity,
};
use tracing_subscriber::{EnvFilter, filter::ParseError};

/// Serves the snapshot in a mounted directory, and follows its changes.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    /// The directory with the snapshot, as `postern` writes it.
    #[arg(long, env = "POSTERN_SNAPSHOT", default_value = "/etc/postern/snapshot", value_name = "DIR")]
    snapshot: PathBuf,

    /// Keep the last good snapshot here, to serve it after a restart beside a bad one. Holds private keys.
    #[arg(long, env = "POSTERN_STATE", value_name = "DIR")]
    state: Option<PathBuf>,

    /// Where listeners listen; `::` is all addresses, IPv4 too.
    #[arg(long, env = "POSTERN_ADDRESS", default_value_t = IpAddr::from(Ipv6Addr::UNSPECIFIED))]
    address: IpAddr,

    /// The status port, on `--address`: /healthz/ready, /healthz/live, /snapshot.
    #[arg(long, env = "POSTERN_STATUS_PORT", default_value_t = 15021, value_name = "PORT")]
    status_port: u16,

    /// The metrics port, on `--address`: /stats/prometheus.
    #[arg(long, env = "POSTERN_METRICS_PORT", default_value_t = 15020, value_name = "PORT")]
    metrics_port: u16,

    /// The admin port: /config, /logging. On localhost only.
    #[arg(long, env = "POSTERN_ADMIN_PORT", default_value_t = 15000, value_name = "PORT")]
    admin_port: u16,

    /// Threads that serve traffic. Default: one a core that this process may use.
    #[arg(long, env = "POSTERN_WORKERS", value_parser = clap::value_parser!(u16).range(1..), value_name = "N")]
    workers: Option<u16>,

    /// The access log, to standard output: `off`, `text` (Envoy's default), `istio` (Istio's default), `json` (Istio's
    /// JSON), or a format of your own with Envoy's command operators.
    #[arg(long, env = "POSTERN_ACCESS_LOG", default_value = "off", value_parser = access_log, value_name = "FORMAT")]
    access_log: AccessLog,

    /// Write the access log to this file instead.
    #[arg(long, env = "POSTERN_ACCESS_LOG_FILE", value_name = "FILE")]
    access_log_file: Option<PathBuf>,

    /// On SIGTERM, go on accepting connections for this long, until everybody knows.
    #[arg(long, env = "POSTERN_DRAIN_DELAY", default_value = "5", value_parser = seconds, value_name = "SECONDS")]
    drain_delay: Duration,

    /// Then let open connections go on for this long.
    #[arg(long, env = "POSTERN_DRAIN_SECONDS", default_value = "25", value_parser = seconds, value_name = "SECONDS")]
    drain_seconds: Duration,

    /// End, draining at once, when the pipe on standard input is closed: for who starts proxies and must not leave them
    /// behind.
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,

    /// What to log: a level, or a filter such as `info,postern_engine=debug`.
    #[arg(long, env = "POSTERN_LOG", default_value = "info", value_parser = filter, value_name = "FILTER")]
    pub(crate) log: EnvFilter,

    /// How to log.
    #[arg(long, env = "POSTERN_LOG_FORMAT", default_value = "text", value_enum)]
    pub(crate) log_format: LogFormat,

    /// The ingress that this proxy is part of, for metrics.
    #[arg(long, env = "POSTERN_INGRESS", default_value = "istio-ingressgateway", value_name = "NAME")]
    ingress: String,

    /// Its namespace.
    #[arg(long, env = "POSTERN_NAMESPACE", default_value = "istio-system", value_name = "NAMESPACE")]
    namespace: String,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Args {
    /// What the engine needs.
    pub(crate) fn into_config(self, log: Arc<dyn LogControl>) -> Config {
        Config {
            access_log: self.access_log.0,
            access_log_target: self.access_log_file.map_or(Target::Stdout, Target::File),
            snapshot: self.snapshot,
            state: self.state,
            address: self.address,
            status: SocketAddr::new(self.address, self.status_port),
            metrics: SocketAddr::new(self.address, self.metrics_port),
            admin: SocketAddr::new(admin_address(self.address), self.admin_port),
            workers: self.workers.map_or_else(cores, usize::from),
            drain_delay: self.drain_delay,
            drain_grace: self.drain_seconds,
            identity: Identity {
                workload: self.ingress,
                namespace: self.namespace,
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            log,
        }
    }
}

/// Two proxies on one machine have loopback addresses of their own; each keeps its admin port there.
const fn admin_address(address: IpAddr) -> IpAddr {
    if address.is_loopback() { address } else { IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

/// The cores that this process may use: container limits count.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

fn filter(value: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(value)
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// The format of the access log; `None`: there is none. (For clap, an `Option` would be an argument that may be absent.)
#[derive(Debug, Clone)]
struct AccessLog(Option<Format>);

fn access_log(format: &str) -> Result<AccessLog, FormatError> {
    let hostname = std::env::var("HOSTNAME").unwrap_or_default();
    Ok(AccessLog(match format {
        "off" => None,
        "text" => Some(Format::text(ENVOY_TEXT_FORMAT, &hostname)?),
        "istio" => Some(Format::text(ISTIO_TEXT_FORMAT, &hostname)?),
        "json" => Some(Format::json(ISTIO_JSON_FORMAT, &hostname)?),
        custom => Some(Format::text(custom, &hostname)?),
    }))
}
