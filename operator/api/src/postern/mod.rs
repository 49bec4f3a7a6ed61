//! The kinds of `postern.dev`: Postern's own.
//!
//! Their CustomResourceDefinitions are generated from these types ([`crd`]): the docstrings of fields are what
//! `kubectl explain` shows, so they are written for users.

pub mod autoscaling;
pub mod crd;
pub mod ingress_gateway;
pub mod pod_overlay;
pub mod proxy;
pub mod resources;
mod rules;
mod schema;
pub mod service;
pub mod status;
