//! HTTP: what happens to each request of a client.
//!
//! ```text
//!  client ──▶ serve ──▶ receive ──▶ route ──▶ prepare ──▶ forward ──▶ upstream
//!             protocol,  is it a     host,      what the    tries,
//!             limits,    request,    rule,      upstream    timeouts
//!             the end    who asks    redirects  gets           │
//!                                       │                      ▼
//!  client ◀───────────────────── log ◀──┴── local_reply ◀── respond ◀── (upgrade)
//!                                 counted once, at the end of the body
//! ```
//! Filters have their places: `rate_limit`, then `cors`, in `route`, and `cors` once more in `respond`; `buffer` between `prepare` and `forward`; `compress` in `respond`.
//! `mirror` copies requests on their way from `prepare` to `forward`, and sends the copies in tasks of their own.
//! `stream_limits` watch from `receive` to the end of the body. Where one is not configured there is nothing but a look
//! at an `Option`.
//!
//! The phases hand on an `exchange::Exchange`, which is recorded when it is dropped. Nothing locks and nothing is
//! copied from the configuration; bodies are concrete types that stream both ways with backpressure.
//!
//! [`ChainSlot`] is what a listener gives each connection; a reload stores another [`HttpRuntime`] in it. The next
//! request on an open connection sees it, one under way does not.

mod body;
mod buffer;
mod chain;
mod client_cert;
mod compile;
mod compress;
mod connection;
mod copied;
mod cors;
mod deadline;
mod direct;
mod exchange;
mod forward;
mod forwarded;
mod handle;
mod header_ops;
mod headers;
mod local_reply;
mod log;
mod mirror;
mod normalize;
mod prepare;
mod progress;
mod rate_limit;
mod receive;
mod redirect;
mod replay;
mod respond;
mod retry;
mod rewrite;
mod route;
mod serve;
mod settings;
mod stream_limits;
mod token_bucket;
mod upgrade;

pub use body::{RequestBody, RequestBodyError};
pub(crate) use chain::SlotView;
pub use chain::{ChainSlot, Siblings};
pub use compile::HttpRuntime;
pub(crate) use compile::labels as destination_labels;
pub use connection::ConnectionInfo;
pub(crate) use deadline::Timers;
pub(crate) use mirror::MirrorLoad;
pub use rate_limit::RateLimits;
pub use serve::serve;
