//! The log: to standard error, as text or JSON, with a level that can be changed while the proxy runs.

use std::{io, sync::Arc};

use postern_engine::admin::LogControl;
use tracing_subscriber::{EnvFilter, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt};

use crate::args::LogFormat;

#[derive(Debug)]
struct Control(reload::Handle<EnvFilter, Registry>);

impl LogControl for Control {
    fn filter(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    fn set_filter(&self, filter: &str) -> Result<(), String> {
        let filter = EnvFilter::try_new(filter).map_err(|error| error.to_string())?;
        self.0.reload(filter).map_err(|error| error.to_string())
    }
}

/// Starts to log.
pub(crate) fn start(filter: EnvFilter, format: LogFormat) -> Arc<dyn LogControl> {
    let (filter, handle) = reload::Layer::new(filter);
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(tracing_subscriber::fmt::layer().with_writer(io::stderr)).init(),
        LogFormat::Json => {
            registry.with(tracing_subscriber::fmt::layer().json().with_writer(io::stderr)).init();
        }
    }
    Arc::new(Control(handle))
}
