//! What is kept of an object, and what follows when it is another one than before.

use std::sync::Arc;
use std::time::Instant;

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::Pod;
use kube::api::DynamicObject;
use postern_api::parse::Parsed;
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_translate::WorldObject;
use postern_translate::children::elsewhere::Workload;
use serde_json::Value;

use super::{Effects, has_status, is_service};
use crate::run::state::Subject;
use crate::run::watch::{About, Content, Key};

/// What is kept of an object.
#[derive(Debug)]
pub(super) enum Kept {
    World {
        parsed: Arc<Parsed<WorldObject>>,
        subject: Arc<Subject>,
        fingerprint: u64,
    },
    IngressGateway {
        parsed: Arc<Parsed<IngressGateway>>,
        subject: Arc<Subject>,
        fingerprint: u64,
    },
    Workload(Workload),
    Child {
        object: Box<DynamicObject>,
        fingerprint: u64,
    },
    /// An object of Istio that Postern wrote.
    Translated {
        object: Arc<Value>,
        fingerprint: u64,
    },
}

/// Keeps an object, and notes what is different from before.
pub(super) fn keep(content: Content, before: Option<Kept>, key: &Key, effects: &mut Effects) -> Kept {
    match content {
        Content::World { parsed, about } => {
            let (old, parsed) = match before {
                Some(Kept::World { parsed: known, subject, fingerprint })
                    if fingerprint == about.fingerprint =>
                {
                    (Some(subject), known)
                }
                Some(Kept::World { subject, .. }) => {
                    effects.translate = true;
                    (Some(subject), Arc::new(*parsed))
                }
                _ => {
                    effects.translate = true;
                    // Somebody took Postern's labels away.
                    effects.translated |= matches!(before, Some(Kept::Translated { .. }));
                    (None, Arc::new(*parsed))
                }
            };
            effects.subjects |= has_status(key);
            // Its address is in its status.
            effects.observed |= is_service(key);
            let fingerprint = about.fingerprint;
            Kept::World { parsed, subject: Arc::new(Subject::of(about, old.as_deref())), fingerprint }
        }
        Content::IngressGateway { parsed, about } => {
            let old = match before {
                Some(Kept::IngressGateway { subject, fingerprint, .. }) => {
                    effects.translate |= fingerprint != about.fingerprint;
                    Some(subject)
                }
                _ => {
                    effects.translate = true;
                    None
                }
            };
            effects.subjects = true;
            let fingerprint = about.fingerprint;
            let subject = Arc::new(Subject::of(about, old.as_deref()));
            Kept::IngressGateway { parsed: Arc::new(*parsed), subject, fingerprint }
        }
        Content::Workload(workload) => {
            if !matches!(&before, Some(Kept::Workload(known)) if *known == workload) {
                effects.workloads.push(workload.clone());
                effects.workloads.extend(before.and_then(Kept::into_workload));
            }
            Kept::Workload(workload)
        }
        Content::Translated { object, fingerprint } => {
            match before {
                Some(Kept::Translated { fingerprint: known, .. }) => {
                    effects.translated |= known != fingerprint;
                }
                before => {
                    effects.translated = true;
                    // It was an input until now.
                    before.iter().for_each(|kept| kept.gone(key, effects));
                }
            }
            Kept::Translated { object, fingerprint }
        }
        Content::Child { object, fingerprint } => {
            effects.observed = true;
            let same =
                matches!(&before, Some(Kept::Child { fingerprint: known, .. }) if *known == fingerprint);
            // A pod that is new may have mounted the snapshot of before; what else changes of pods is no work.
            if !same && (key.kind.name != Pod::KIND || before.is_none()) {
                effects.touched(key, &object);
            }
            Kept::Child { object, fingerprint }
        }
    }
}

impl Kept {
    fn into_workload(self) -> Option<Workload> {
        match self {
            Self::Workload(workload) => Some(workload),
            _ => None,
        }
    }

    /// It is not there any more: notes what follows.
    pub(super) fn gone(&self, key: &Key, effects: &mut Effects) {
        match self {
            Self::World { .. } | Self::IngressGateway { .. } => {
                effects.translate = true;
                effects.subjects = true;
                effects.observed |= is_service(key);
            }
            Self::Translated { .. } => effects.translated = true,
            Self::Workload(workload) => effects.workloads.push(workload.clone()),
            Self::Child { object, .. } => {
                effects.observed = true;
                effects.touched(key, object);
            }
        }
    }
}

impl Subject {
    fn of(about: About, before: Option<&Self>) -> Self {
        let same = before.filter(|before| before.uid == about.uid && before.generation == about.generation);
        Self {
            api: about.api,
            uid: about.uid,
            generation: about.generation,
            resource_version: about.resource_version,
            status: about.status,
            changed: same.map_or_else(Instant::now, |before| before.changed),
        }
    }
}
