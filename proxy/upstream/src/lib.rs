//! Upstreams: clusters and their endpoints, which endpoint is next, and the connections to them.
//!
//! [`Clusters`] is compiled from a snapshot and shared by all workers. A [`Cluster`] is a stable handle: routes keep
//! an `Arc` of it, and its endpoints change behind it, so that a pod that comes or goes recompiles no route. Each
//! worker has a [`Pool`] of its own, which is neither `Send` nor locked.

mod balance;
mod breaker;
mod clock;
mod cluster;
mod clusters;
mod connect;
mod datagram;
mod endpoint;
mod endpoint_set;
mod error;
mod observer;
mod outlier;
mod pool;
mod registry;
mod transport;
mod tried;
mod weighted;

pub use breaker::{Overflow, Permit, Resource};
pub use cluster::Cluster;
pub use clusters::{Clusters, RefusedCluster};
pub use connect::UpstreamStream;
pub use datagram::DatagramError;
pub use endpoint::{Endpoint, EndpointGuard, EndpointId};
pub use error::{BodyError, Cause, ConnectError, Failure, SendError};
pub use observer::{NoObserver, PoolObserver};
pub use outlier::Outcome;
pub use pool::{Pool, PoolConfig, ResponseBody, Upgrade, UpgradedStream, UpstreamResponse};
pub use transport::Transport;
pub use tried::Tried;
pub use weighted::WeightedChoice;
