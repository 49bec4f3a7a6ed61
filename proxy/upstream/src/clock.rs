//! A clock of whole milliseconds that fits into an atomic.

use std::sync::LazyLock;

use tokio::time::Instant;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since the process first asked.
pub(crate) fn now_ms() -> u64 {
    let elapsed = Instant::now().saturating_duration_since(*START);
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}
