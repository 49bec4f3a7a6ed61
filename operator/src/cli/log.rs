//! The program's own log, on standard error; what people read stands on standard output.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For programs: a JSON object with the time.
    Json,
}

impl LogFormat {
    /// In a pod, programs read it.
    fn usual() -> Self {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() { Self::Json } else { Self::Text }
    }
}

/// Starts to log.
pub(crate) fn start(filter: EnvFilter, format: Option<LogFormat>) {
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format.unwrap_or_else(LogFormat::usual) {
        LogFormat::Text => log.without_time().init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
