//! What one ingress serves. Cut into parts by how often they change; see [`Snapshot`].

mod access_log;
mod certificate;
mod cluster;
mod cors;
mod endpoint;
mod filter;
mod http;
mod listener;
mod millis;
mod outlier;
mod route;
mod route_action;

use serde::{Deserialize, Serialize};

pub use access_log::{AccessLog, AccessLogFormat, BadFormat, OPERATORS};
pub use certificate::{CaBundle, Certificate, CertificateSource, Certificates, Keys, PemSource};
pub use cluster::{
    CircuitBreakers, Cluster, LoadBalancing, ServerIdentity, ServiceIdentity, UpstreamProtocol, UpstreamTls,
    UpstreamTrust,
};
pub use cors::CorsPolicy;
pub use endpoint::{Endpoint, Endpoints};
pub use filter::{
    Buffer, Compressor, CompressorLibrary, HttpFilters, LocalRateLimit, RouteBuffer, RouteFilters,
    TokenBucket,
};
pub use http::{EscapedSlashes, HttpChain, HttpSettings, ServerHeader};
pub use listener::{
    CipherSuite, ClientAuth, ClientAuthMode, Listener, ListenerProtocol, ProxyProtocol, ServerTls,
    TcpForward, Terminated, TlsAction, TlsChain, TlsVersion, TransportProtocol, UdpForward,
};
pub use outlier::OutlierDetection;
pub use route::{
    HeaderMatch, HttpsRedirect, PathMatch, QueryMatch, Route, RouteMatch, RouteTable, StringMatch,
    ValueMatch, VirtualHost,
};
pub use route_action::{
    DirectResponse, Forward, HeaderOps, Mirror, PathRewrite, Redirect, RedirectPath, RedirectPort,
    ResponseBody, RetryCondition, RetryPolicy, RouteAction, Target, WeightedTarget,
};

use crate::{ClusterName, RouteTableName, manifest::Source};

/// Everything that one ingress serves.
///
/// `routes` changes when somebody edits configuration, `certificates` and `keys` when a certificate is renewed,
/// `endpoints` whenever a pod comes or goes. Each is a part of its own with a hash of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The ingress that this is for, as `namespace/name`.
    pub ingress: String,
    /// The objects that it was made from, sorted.
    pub sources: Vec<Source>,
    /// Listeners, routes and clusters.
    pub routes: Routes,
    /// The addresses behind each cluster.
    pub endpoints: Endpoints,
    /// Certificate chains and authorities: nothing secret.
    pub certificates: Certificates,
    /// Private keys. They travel in a Secret, never in a ConfigMap.
    pub keys: Keys,
}

/// The part `routes`: where to listen, and what goes where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Routes {
    /// Sorted by address and port, TCP before UDP; no two share all three.
    pub listeners: Vec<Listener>,
    /// What the HTTP listeners and TLS chains refer to.
    pub route_tables: std::collections::BTreeMap<RouteTableName, RouteTable>,
    /// What the routes refer to. A target that is not here is answered with 503, flag NC (Envoy).
    pub clusters: std::collections::BTreeMap<ClusterName, Cluster>,
}
