//! The kinds of `networking.istio.io`, field by field as Istio's API v1.31 has them.
//!
//! Names are Istio's, in Rust's spelling: the message `HTTPMatchRequest` is
//! [`virtual_service::HttpMatchRequest`].

pub mod destination_rule;
pub mod envoy_filter;
pub mod gateway;
pub mod service_entry;
pub mod status;
pub mod virtual_service;
