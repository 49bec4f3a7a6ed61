//! Fields of ServiceEntry, of those that an ingress uses. Whether endpoints can be reached is said where they are
//! looked for, in `destination`.

use postern_api::istio::service_entry::{ServiceEntrySpec, WorkloadEntry};
use postern_api::value::HostPattern;

use super::Scope;
use crate::at::At;
use crate::finding::Findings;
use crate::world::key_of;

pub(super) fn report(scope: &Scope<'_>, findings: &mut Findings) {
    for entry in scope.world.service_entries.iter() {
        // Virtual addresses and the location matter to those in the mesh only.
        let ServiceEntrySpec {
            hosts,
            addresses: _,
            ports: _,
            location: _,
            resolution: _,
            endpoints,
            workload_selector: _,
            export_to: _,
            subject_alt_names: _,
        } = &entry.spec;
        let is_used =
            |host: &HostPattern| matches!(host, HostPattern::Exact(host) if scope.used_hosts.contains(host));
        if !hosts.iter().any(is_used) {
            continue;
        }
        let key = key_of(entry.as_ref());
        let at = At::object(&key);
        let at = at.field("spec");
        let at = at.field("endpoints");
        for (index, endpoint) in endpoints.iter().enumerate() {
            report_endpoint(endpoint, &at.index(index), findings);
        }
    }
}

fn report_endpoint(endpoint: &WorkloadEntry, at: &At<'_>, findings: &mut Findings) {
    let WorkloadEntry { address: _, ports: _, labels: _, network, locality, weight: _, service_account: _ } =
        endpoint;
    if network.is_some() {
        findings.unsupported(&at.field("network"), "the endpoint is reached at its address");
    }
    if locality.is_some() {
        findings.unsupported(&at.field("locality"), "endpoints are treated alike, wherever they are");
    }
}
