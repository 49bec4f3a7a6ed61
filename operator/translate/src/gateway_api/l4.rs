//! TLSRoute, TCPRoute and UDPRoute: rules → destinations of connections.

use postern_api::gateway_api::l4_route::L4RouteRule;
use postern_api::istio::virtual_service::RouteDestination;

use super::Context;
use super::backends::{self, NOWHERE};
use super::routes::{Route, Rules};
use crate::config::RuleOrigin;

/// Where connections go.
#[derive(Clone)]
pub(super) struct L4Entry {
    pub(super) origin: RuleOrigin,
    pub(super) route: Vec<RouteDestination>,
}

/// The rules of a route for connections. It has one; of more the first counts, as none has a condition.
pub(super) fn rules(route: &Route<'_>, rules: &[L4RouteRule], context: Context<'_>) -> Rules {
    let mut found = Rules { count: rules.len(), ..Rules::default() };
    for (position, rule) in rules.iter().enumerate() {
        let origin = route.origin(position);
        let mut destinations = Vec::with_capacity(rule.backend_refs.len());
        for backend in &rule.backend_refs {
            let destination =
                backends::destination(&backend.object, route, context).unwrap_or_else(|denial| {
                    found.unresolved.push((origin.clone(), denial));
                    NOWHERE
                });
            destinations.push(RouteDestination { destination, weight: backend.weight() });
        }
        if destinations.iter().all(|destination| destination.weight == 0) {
            destinations = vec![RouteDestination { destination: NOWHERE, weight: 1 }];
        }
        found.l4.get_or_insert(L4Entry { origin, route: destinations });
    }
    found
}
