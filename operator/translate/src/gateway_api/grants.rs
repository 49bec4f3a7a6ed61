//! ReferenceGrants: which objects may refer to which of other namespaces.

use std::collections::BTreeMap;

use postern_api::gateway_api::GROUP;
use postern_api::gateway_api::reference_grant::ReferenceGrant;

use crate::world::World;

/// Who refers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Referrer<'a> {
    /// Its kind, of the Gateway API.
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
}

/// What is referred to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Referent<'a> {
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

/// All ReferenceGrants, by their namespaces.
pub(super) struct Grants<'a>(BTreeMap<&'a str, Vec<&'a ReferenceGrant>>);

impl<'a> Grants<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let mut grants: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for grant in world.reference_grants.iter() {
            let namespace = grant.metadata.namespace.as_deref().unwrap_or("default");
            grants.entry(namespace).or_default().push(grant.as_ref());
        }
        Self(grants)
    }

    /// May one refer to the other? In one namespace always.
    pub(super) fn allow(&self, from: Referrer<'_>, to: Referent<'_>) -> bool {
        from.namespace == to.namespace
            || self
                .0
                .get(to.namespace)
                .is_some_and(|grants| grants.iter().any(|grant| allows(grant, from, to)))
    }
}

fn allows(grant: &ReferenceGrant, referrer: Referrer<'_>, referent: Referent<'_>) -> bool {
    let from = grant.spec.from.iter().any(|from| {
        from.group == GROUP && from.kind == referrer.kind && from.namespace == referrer.namespace
    });
    let to = grant.spec.to.iter().any(|to| {
        to.group == referent.group
            && to.kind == referent.kind
            && to.name.as_deref().is_none_or(|name| name.is_empty() || name == referent.name)
    });
    from && to
}
