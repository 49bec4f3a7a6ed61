//! What objects say that Postern does not honour yet. One file per kind; each takes the kind's structs apart without
//! `..`, so that a new field of the API does not compile until somebody decides what becomes of it. Of EnvoyFilters
//! [`crate::envoy_filter`] says it, which reads them.
//!
//! This is the source of docs/support.md.

mod destination_rule;
mod gateway;
mod service_entry;
mod virtual_service;

use std::collections::BTreeSet;

use crate::at::At;
use crate::config::IstioConfig;
use crate::finding::Findings;
use crate::options::Options;
use crate::world::World;

/// What is looked at.
pub(crate) struct Scope<'a> {
    pub(crate) world: &'a World,
    pub(crate) options: &'a Options,
    pub(crate) config: &'a IstioConfig,
    /// The hosts of the services that ingresses send something to. What is said about others concerns the mesh.
    pub(crate) used_hosts: BTreeSet<String>,
}

/// Says what is not honoured, of all objects that concern an ingress.
pub(crate) fn report(scope: &Scope<'_>, findings: &mut Findings) {
    for gateway in scope.config.gateways.iter().filter(|gateway| gateway.listener.is_none()) {
        gateway::report(gateway, findings);
    }
    for virtual_service in &scope.config.virtual_services {
        virtual_service::report(virtual_service, findings);
    }
    destination_rule::report(scope, findings);
    service_entry::report(scope, findings);
}

/// Says of each field that is set what it means that it is not honoured: its name, whether it is set, the consequence.
fn unsupported(fields: &[(&str, bool, &str)], at: &At<'_>, findings: &mut Findings) {
    for (field, _, consequence) in fields.iter().filter(|(_, is_set, _)| *is_set) {
        findings.unsupported(&at.field(field), consequence);
    }
}
