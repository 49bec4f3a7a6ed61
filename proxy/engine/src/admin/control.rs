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
    find: F,
    log: Arc<dyn LogControl>,
}

impl<F: Fn() -> Option<Directory> + 'static> AdminPort<F> {
    /// `find` tells where the snapshot that is served lies.
    pub fn new(find: F, log: Arc<dyn LogControl>) -> Self {
        Self { find, log }
    }

    fn config(&self) -> Answer {
        let Some(directory) = (self.find)() else {
            let problem = "no snapshot is served, or its files are gone";
            return Answer::text(StatusCode::NOT_FOUND, problem);
        };
        match config(&directory) {
            Ok(config) => Answer::json(&config),
            Err(error) => Answer::text(StatusCode::INTERNAL_SERVER_ERROR, error),
        }
    }

    fn set_logging(&self, request: Question<'_>) -> Answer {
        let Some(filter) = request.parameter("level") else {
            return Answer::text(StatusCode::BAD_REQUEST, "usage: POST /logging?level=debug");
        };
        match self.log.set_filter(&filter) {
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

impl<F: Fn() -> Option<Directory> + 'static> Port for AdminPort<F> {
    async fn answer(&self, request: Question<'_>) -> Answer {
        match (request.path, request.method) {
            ("/config", &Method::GET) => self.config(),
            ("/config", _) => Answer::method_not_allowed("GET"),
            ("/logging", &Method::GET) => Answer::text(StatusCode::OK, self.log.filter()),
            ("/logging", &Method::POST) => self.set_logging(request),
            ("/logging", _) => Answer::method_not_allowed("GET, POST"),
            _ => Answer::not_found(&["/config", "/logging", "POST /logging?level=LEVEL"]),
        }
    }
}
