//! The access log: formats in Envoy's language, compiled once, and a writer that workers never wait for.
//!
//! The configuration gives a [`Format`]; a worker renders an [`Entry`] with it through its
//! [`WorkerLog`]; the [`AccessLogSink`] writes the lines on a thread of its own. The format is an
//! argument of each call, so a reload switches it, and where there is no format nothing is rendered.

mod command;
mod entry;
mod error;
mod escape;
mod format;
mod headers;
mod parse;
mod render;
mod sink;
mod time;

pub use entry::Entry;
pub use error::FormatError;
pub use format::{ENVOY_TEXT_FORMAT, Format, ISTIO_JSON_FORMAT, ISTIO_TEXT_FORMAT};
pub use headers::{CapturedHeaders, HeaderSource};
pub use sink::{AccessLogSink, Target, WorkerLog};
