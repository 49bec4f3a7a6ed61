//! What the snapshot can say and the proxy does not do yet. A patch with it is refused: its status must not say that it is
//! in force. This file goes away with the last of them.

use super::patch::Change;

/// The name of what the proxy does not do yet of a change, if there is such a thing.
pub(super) fn not_yet(change: &Change) -> Option<&'static str> {
    match change {
        Change::ConnectionManager(_, manager) => manager.not_yet(),
        Change::ProxyProtocol(..) => Some("the PROXY protocol"),
        Change::HttpFilter { .. }
        | Change::RouteTable(..)
        | Change::VirtualHost(..)
        | Change::Route(..)
        | Change::Cluster(..) => None,
    }
}
