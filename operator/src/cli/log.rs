//! The program's own log, on standard error; what people read stands on standard output.

use tracing_subscriber::EnvFilter;

/// Starts to log.
pub(crate) fn start(filter: EnvFilter) {
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}
