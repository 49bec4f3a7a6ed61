//! **The contract** between the operator and the proxy: what one ingress serves, as plain values, and how they
//! travel as files in a mounted volume.
//!
//! * [`model`]: the content: listeners and routes, endpoints, certificates, private keys. No Kubernetes and no Istio
//!   types; everything is resolved by the operator.
//! * [`manifest`]: what a snapshot consists of: format, required features, parts with their hashes, source objects.
//! * [`ack`]: what a proxy answers.
//! * [`codec`]: values to files and back: canonical JSON, zstd when large, SHA-256.
//!
//! No I/O happens here: [`codec::encode`] gives names and bytes, [`codec::decode`] asks a [`codec::Files`] for them.
//! Equal values give equal bytes, so a hash is enough to know that nothing changed.

pub mod ack;
pub mod codec;
mod feature;
mod host_map;
pub mod manifest;
pub mod model;
mod names;

pub use host_map::HostMap;
pub use names::{
    CaName, CertificateName, ClusterName, HostPattern, InvalidName, KeyId, Port, RouteTableName,
};
