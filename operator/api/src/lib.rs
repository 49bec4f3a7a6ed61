//! The Kubernetes objects that Postern reads, as types: what Istio's networking API calls Gateway,
//! VirtualService, DestinationRule, ServiceEntry and EnvoyFilter, the kinds of the Gateway API, and Postern's own
//! IngressGateway.
//!
//! From the edge inwards:
//! 1. [`parse`] takes the JSON of one object and gives the typed object and a [`finding::SchemaFinding`]
//!    for *each* thing that is wrong with it.
//! 2. [`istio`], [`gateway_api`], [`postern`] and [`value`] are the types; what they cannot hold is refused: the schema of the
//!    CustomResourceDefinition, and the syntax of values (host names, durations, ports). What the API leaves
//!    out stays left out: a default that Istio fills in is an accessor method beside the field, so that an
//!    object can be written back as it was.
//! 3. [`validate`] has Istio's own rules about one object: what its schema cannot say.
//!
//! Nothing here knows other objects, the cluster, or the proxy.

pub mod finding;
pub mod gateway_api;
pub mod istio;
pub mod meta;
pub mod object;
pub mod parse;
mod place;
pub mod postern;
pub mod typed;
pub mod validate;
pub mod value;
