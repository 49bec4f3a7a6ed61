//! Host and rule selection: from the head of a request to a route of a snapshot's [`RouteTable`]. Pure: no I/O, no
//! async, no locks, and in the usual case no allocation for a lookup.
//!
//! * [`HostMap`] and [`HostSet`]: what belongs to a host: exact, then the longest wildcard, then `*`. The cost does
//!   not depend on how many hosts there are.
//! * [`Router`]: the virtual host, then the first of its routes that matches, exactly as reading them from the top
//!   would find it. An index by path proposes the few routes that come into question.
//! * [`Router::explain`]: the same question answered slowly, with the reason for every route that was not taken.
//! * [`re2`]: Istio's and Envoy's regular expressions.
//!
//! A route that cannot be compiled costs only itself: see [`RefusedRoute`].
//!
//! [`RouteTable`]: postern_snapshot::model::RouteTable

mod compile;
mod condition;
mod explain;
mod head;
mod host;
mod path;
mod pattern;
pub mod re2;
mod router;
#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod testing;
mod trie;
mod virtual_host;

pub use compile::{RefusedRoute, RouteProblem};
pub use explain::{Explanation, RouteTest, Verdict};
pub use head::RequestHead;
pub use host::{HostMap, HostSet, normalize_host};
pub use path::PathMatched;
pub use re2::PatternProblem;
pub use router::{Lookup, Router};
