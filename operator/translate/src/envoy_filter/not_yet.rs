//! What the snapshot can say and the proxy does not do yet. A patch with it is refused: its status must not say that it is
//! in force. This file goes away with the last of them.

use postern_snapshot::model::CircuitBreakers;

use super::http_filter::{HttpFilter, RouteFilter};
use super::patch::Change;
use super::route::RouteChange;

/// The name of what the proxy does not do yet of a change, if there is such a thing.
pub(super) fn not_yet(change: &Change) -> Option<&'static str> {
    match change {
        Change::ConnectionManager(_, manager) => manager.not_yet(),
        Change::HttpFilter { filter: HttpFilter::LocalRateLimit(_), .. } => None,
        Change::HttpFilter { filter: HttpFilter::Compressor(_), .. } => Some("compression"),
        Change::HttpFilter { filter: HttpFilter::Buffer(_), .. } => Some("buffering of requests"),
        Change::ProxyProtocol(..) => Some("the PROXY protocol"),
        Change::RouteTable(_, change) | Change::VirtualHost(_, change) | Change::Route(_, change) => {
            route(change)
        }
        Change::Cluster(_, change) => {
            (*change.circuit_breakers() != CircuitBreakers::default()).then_some("circuit breakers")
        }
    }
}

fn route(change: &RouteChange) -> Option<&'static str> {
    change.filters.iter().find_map(|filter| match filter.filter {
        RouteFilter::LocalRateLimit(_) => None,
        RouteFilter::Buffer(_) => Some("buffering of requests"),
        RouteFilter::CompressorDisabled => Some("compression"),
    })
}
