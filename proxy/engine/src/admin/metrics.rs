//! The metrics port, 15020.

use std::sync::Arc;

use http::Method;
use postern_telemetry::metrics::Metrics;

use super::server::{Answer, Port, Question};

/// `GET /stats/prometheus` (Istio's path), and `/metrics` for the same.
#[derive(Debug)]
pub struct MetricsPort {
    metrics: Arc<Metrics>,
}

impl MetricsPort {
    /// Of this registry.
    #[must_use]
    pub const fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }
}

impl Port for MetricsPort {
    async fn answer(&self, request: Question<'_>) -> Answer {
        match (request.path, request.method) {
            ("/stats/prometheus" | "/metrics", &Method::GET) => {
                Answer::of_type(postern_telemetry::metrics::CONTENT_TYPE, self.metrics.render().into())
            }
            ("/stats/prometheus" | "/metrics", _) => Answer::method_not_allowed("GET"),
            _ => Answer::not_found(&["/stats/prometheus", "/metrics"]),
        }
    }
}
