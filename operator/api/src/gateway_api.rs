//! The kinds of the Gateway API (`gateway.networking.k8s.io`), field by field as its version 1.6 has them.
//!
//! Names are the Gateway API's, in Rust's spelling: `HTTPRouteFilter` is [`http_route::HttpRouteFilter`]. Unions (a `type`
//! and a field for each of its values) are enums: what is read holds the field that its type asks for, and no other.
//!
//! These types are our own, not those of the crate `gateway-api`: see docs/adr/0020.

pub mod backend_tls_policy;
pub mod filter;
pub mod gateway;
pub mod gateway_class;
pub mod grpc_route;
pub mod hostname;
pub mod http_route;
pub mod l4_route;
pub mod listener;
pub mod listener_set;
pub mod reference;
pub mod reference_grant;
pub mod route_match;
pub mod status;

/// The API group of all of these kinds.
pub const GROUP: &str = "gateway.networking.k8s.io";
