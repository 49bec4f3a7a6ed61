//! EnvoyFilters → changes of a snapshot.
//!
//! Postern is not Envoy. It honours a published list of patches (docs/support.md), each by what it means: a patch is
//! read strictly from Envoy's form, and what it changes is changed in the snapshot. A patch of which any part is not
//! understood is refused as a whole, with a finding that names the field; the other patches of the object apply.
//!
//! 1. `mod`: which EnvoyFilters are for which ingress, and in which order.
//! 2. `patch`, with a file for each kind of thing that is patched: what a patch says. `message`, `field` and `any` read
//!    Envoy's form, `scope` the match.
//! 3. `apply`, `route_scope`: what it changes.

mod access_log;
mod any;
mod apply;
mod buffer;
mod cluster;
mod compressor;
mod connection_manager;
mod field;
mod header;
mod http_filter;
mod listener_filter;
mod local_rate_limit;
mod message;
mod names;
mod patch;
mod refusal;
mod route;
mod route_scope;
mod scope;

use std::collections::{BTreeMap, BTreeSet};

use postern_api::finding::{FieldPath, Level};
use postern_api::istio::envoy_filter::{EnvoyFilter, EnvoyFilterSpec, PolicyTargetReference};
use postern_api::meta::{Generation, ObjectKey};
use postern_snapshot::model::Routes;

use apply::Target;
use patch::{Change, Patch};
use refusal::Refusal;

use crate::at::At;
use crate::config::by_age;
use crate::finding::{Findings, Problem, Reason};
use crate::gateway::merge::MergedListener;
use crate::ingress::{Ingress, is_subset};
use crate::names::origin;
use crate::options::Options;
use crate::world::{World, key_of};

/// The EnvoyFilters that are for ingresses, in the order in which they apply.
#[derive(Debug, Default)]
pub(crate) struct EnvoyFilters<'a> {
    filters: Vec<Selected<'a>>,
}

/// An EnvoyFilter that selects at least one ingress.
#[derive(Debug)]
struct Selected<'a> {
    key: ObjectKey,
    object: &'a EnvoyFilter,
    /// Those that are honoured.
    patches: Vec<Patch>,
}

/// A patch: the place of its EnvoyFilter, and its place there.
pub(crate) type PatchId = (usize, usize);

/// What came of the EnvoyFilters at one ingress.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// Those of which something is in the snapshot.
    pub(crate) programmed: BTreeMap<ObjectKey, Generation>,
    /// The patches that matched something.
    pub(crate) matched: BTreeSet<PatchId>,
}

impl<'a> EnvoyFilters<'a> {
    /// Reads those that are for an ingress. Others are for the mesh, and none of our business.
    pub(crate) fn read(
        world: &'a World,
        options: &Options,
        ingresses: &[Ingress<'_>],
        findings: &mut Findings,
    ) -> Self {
        let mut objects: Vec<_> =
            world.envoy_filters.iter().map(|object| (key_of(object.as_ref()), object.as_ref())).collect();
        // Istio's order: by priority, then the root namespace's first, then by age.
        objects.sort_by(|(a_key, a), (b_key, b)| {
            let rank = |key: &ObjectKey, filter: &EnvoyFilter| {
                (filter.spec.priority.unwrap_or_default(), key.namespace != options.root_namespace)
            };
            let by_rank = rank(a_key, a).cmp(&rank(b_key, b));
            by_rank.then_with(|| by_age(&a.metadata, a_key, &b.metadata, b_key))
        });
        let mut filters = Vec::new();
        for (key, object) in objects {
            let reaches = |ingress: &Ingress<'_>| is_reached(&key, &ingress.name.namespace, options);
            if !object.spec.target_refs.is_empty() {
                if ingresses.iter().any(reaches) {
                    report_targets(&key, &object.spec.target_refs, findings);
                }
                continue;
            }
            if ingresses.iter().any(|ingress| selects(&key, object, ingress, options)) {
                let patches = read_patches(&key, &object.spec, findings);
                filters.push(Selected { key, object, patches });
            }
        }
        Self { filters }
    }

    /// Applies to what an ingress serves those that select it.
    pub(crate) fn apply(
        &self,
        ingress: &Ingress<'_>,
        options: &Options,
        merged: &[MergedListener<'_>],
        routes: &mut Routes,
        findings: &mut Findings,
    ) -> Applied {
        let mut applied = Applied::default();
        let selected: Vec<_> = self
            .filters
            .iter()
            .enumerate()
            .filter(|(_, filter)| selects(&filter.key, filter.object, ingress, options))
            .collect();
        if selected.is_empty() {
            return applied;
        }
        let mut target = Target::new(routes, merged);
        // Routes change what filters do, so the filters come first, whatever the order of the patches.
        for phase in [Target::listeners, Target::routes] {
            for (index, filter) in &selected {
                for (place, patch) in filter.patches.iter().enumerate() {
                    match phase(&mut target, patch) {
                        Ok(false) => continue,
                        Ok(true) => {
                            let generation = Generation::of(filter.object);
                            applied.programmed.insert(filter.key.clone(), generation);
                        }
                        Err(refusal) => refuse(&filter.key, &patch.subject, refusal, findings),
                    }
                    applied.matched.insert((*index, place));
                }
            }
        }
        target.finish();
        applied
    }

    /// Says of patches that matched nothing at any ingress.
    pub(crate) fn report_ineffective(&self, matched: &BTreeSet<PatchId>, findings: &mut Findings) {
        for (index, filter) in self.filters.iter().enumerate() {
            for (place, patch) in filter.patches.iter().enumerate() {
                if matched.contains(&(index, place)) {
                    continue;
                }
                let Patch { path, subject, change, .. } = patch;
                let message = format!("{subject}: the ingresses that it selects have {}", missing(change));
                let problem = Problem::programmed(Reason::Ineffective, message);
                findings.at_path(&filter.key, path.clone(), Level::Warning, problem);
            }
        }
    }
}

/// What a patch looked for and did not find.
const fn missing(change: &Change) -> &'static str {
    match change {
        Change::ConnectionManager(..) => "no such HTTP listener or filter chain",
        Change::HttpFilter { .. } => {
            "no such HTTP listener, filter chain or filter in it, or have this filter already, of which the first counts"
        }
        Change::ProxyProtocol(..) => "no such listener",
        Change::RouteTable(..) => "no such route table",
        Change::VirtualHost(_, change) | Change::Route(_, change) if !change.filters.is_empty() => {
            "no such virtual host or route, or none whose filter chain has the filters that are changed"
        }
        Change::VirtualHost(..) => "no such virtual host",
        Change::Route(..) => "no such route",
        Change::Cluster(..) => "no such cluster",
    }
}

/// Is an EnvoyFilter looked at by ingresses in a namespace? Those of the root namespace are by all.
fn is_reached(key: &ObjectKey, namespace: &str, options: &Options) -> bool {
    key.namespace == options.root_namespace || key.namespace == namespace
}

/// Does it select the pods of an ingress (Istio: by labels; without them all)?
fn selects(key: &ObjectKey, filter: &EnvoyFilter, ingress: &Ingress<'_>, options: &Options) -> bool {
    let selector = filter.spec.workload_selector.as_ref();
    is_reached(key, &ingress.name.namespace, options)
        && selector.is_none_or(|selector| is_subset(&selector.labels, &ingress.labels))
}

/// Those that name Gateways of the Gateway API; others are for waypoints.
fn report_targets(key: &ObjectKey, targets: &[PolicyTargetReference], findings: &mut Findings) {
    let at = At::object(key);
    let at = at.field("spec");
    let at = at.field("targetRefs");
    for (index, PolicyTargetReference { group, kind: _, name: _, namespace: _ }) in targets.iter().enumerate()
    {
        if group.as_deref() == Some("gateway.networking.k8s.io") {
            let message = "Postern does not honour this field yet: nothing of this object is applied; ingresses of \
                           Istio Gateways are selected by workloadSelector";
            findings.error(&at.index(index), Problem::programmed(Reason::UnsupportedField, message));
        }
    }
}

fn read_patches(key: &ObjectKey, spec: &EnvoyFilterSpec, findings: &mut Findings) -> Vec<Patch> {
    let EnvoyFilterSpec { workload_selector: _, target_refs: _, config_patches, priority: _ } = spec;
    let list = FieldPath::spec().field("configPatches");
    let origin = origin(key);
    let mut patches = Vec::new();
    for (index, patch) in config_patches.iter().enumerate() {
        match patch::read(patch, &list.index(index), &origin) {
            None => {}
            Some(Ok(patch)) => {
                for note in &patch.notes {
                    let problem = Problem::programmed(Reason::Ineffective, note.why);
                    findings.at_path(key, note.path.clone(), Level::Info, problem);
                }
                patches.push(patch);
            }
            Some(Err((subject, refusal))) => refuse(key, &subject, refusal, findings),
        }
    }
    patches
}

fn refuse(key: &ObjectKey, subject: &str, refusal: Refusal, findings: &mut Findings) {
    let Refusal { path, why } = refusal;
    let message = format!("{subject}: {why}. Nothing of this patch is applied");
    findings.at_path(key, path, Level::Error, Problem::programmed(Reason::UnsupportedPatch, message));
}
