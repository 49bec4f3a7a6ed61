//! The Kubernetes objects that Postern reads, as types: what Istio's networking API calls Gateway,
//! VirtualService, DestinationRule, ServiceEntry and EnvoyFilter.
//!
//! Three layers, from the edge inwards:
//! 1. [`parse`] takes the JSON of one object and gives the typed object and a [`finding::SchemaFinding`]
//!    for *each* thing that is wrong with it: the schema of the CustomResourceDefinition, and the syntax
//!    of values (host names, durations, ports).
//! 2. [`istio`] and [`value`] are the types. What the API leaves out stays left out: a default that Istio
//!    fills in is an accessor method beside the field, so that an object can be written back as it was.
//! 3. [`validate`] has Istio's own rules about one object (`pkg/config/validation` of Istio): what the
//!    schema cannot say.
//!
//! Nothing here knows other objects, the cluster, or the proxy.

pub mod finding;
pub mod istio;
pub mod meta;
pub mod object;
pub mod parse;
pub mod value;
