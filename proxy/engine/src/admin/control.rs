//! The admin port, 15000, on localhost only.

use std::sync::Arc;

use http::{Method, StatusCode};
use postern_snapshot::{
    codec::{read_manifest, read_part},
    manifest::{PartKind, SnapshotError},
};

use super::server::{Answer, Port, Question};
use crate::reload::Directory;

/// Changes how much is logged while the proxy runs.
pub trait LogControl: Send + Sync + std::fmt::Debug {
    /// The filter in force, for example `info` or `info,postern_engine=debug`.
    fn filter(&self) -> String;

    /// Sets another.
    ///
    /// # Errors
    /// What is wrong with it.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// * `GET /config`: the snapshot that is served, without private keys;
/// * `GET /logging`: the log filter; `POST /logging?level=debug` sets it (Envoy's path).
#[derive(Debug)]
pub struct AdminPort<F> {
    served: F,
    log: Arc<dyn LogControl>,
}

impl<F: Fn() -> Directory + 'static> AdminPort<F> {
    /// `served` tells where the snapshot that is served lies.
    pub fn new(served: F, log: Arc<dyn LogControl>) -> Self {
        Self { served, log }
    }

    fn config(&self) -> Answer {
        match config(&(self.served)()) {
            Ok(config) => Answer::json(&config),
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    fn set_logging(&self, request: Question<'_>) -> Answer {
        let Some(filter) = request.parameter("level") else {
            return Answer::text(StatusCode::BAD_REQUEST, "usage: POST /logging?level=debug");
        };
        match self.log.set_filter(filter) {
            Ok(()) => Answer::text(StatusCode::OK, self.log.filter()),
            Err(problem) => Answer::text(StatusCode::BAD_REQUEST, format_args!("level: {problem}")),
        }
    }
}

/// The manifest and the parts that are no secret.
fn config(directory: &Directory) -> Result<serde_json::Value, SnapshotError> {
    let manifest = read_manifest(directory)?;
    let mut config = serde_json::Map::new();
    for kind in PartKind::ALL.into_iter().filter(|kind| *kind != PartKind::Keys) {
        config.insert(kind.to_string(), read_part(&manifest, kind, directory)?);
    }
    let manifest = serde_json::to_value(manifest).map_err(SnapshotError::UnwritableManifest)?;
    config.insert("manifest".to_owned(), manifest);
    Ok(config.into())
}

impl<F: Fn() -> Directory + 'static> Port for AdminPort<F> {
    async fn answer(&self, request: Question<'_>) -> Answer {
        match (request.method, request.path) {
            (&Method::GET, "/config") => self.config(),
            (&Method::GET, "/logging") => Answer::text(StatusCode::OK, self.log.filter()),
            (&Method::POST, "/logging") => self.set_logging(request),
            _ => Answer::not_found(&["/config", "/logging", "POST /logging?level=LEVEL"]),
        }
    }
}
