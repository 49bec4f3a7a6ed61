//! What is watched, and what is kept of it: a table with a line for each watch.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use postern_api::meta::{Kind, ObjectKey};
use postern_api::parse::{Parsed, parse};
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_translate::WorldObject;
use postern_translate::children::elsewhere::Workload;
use postern_translate::children::{INGRESS, ingress_of, selector_of_all};
use postern_translate::gateway_api::{WRITTEN_KINDS, is_translated};
use serde_json::Value;

use crate::files::kinds::{KINDS, KindReader, whole};

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub(in crate::run) struct Feed {
    pub(in crate::run) group: &'static str,
    pub(in crate::run) version: &'static str,
    pub(in crate::run) plural: &'static str,
    pub(in crate::run) kind: &'static str,
    pub(in crate::run) namespaced: bool,
    /// Only objects that Postern made.
    managed: bool,
    /// `metadata` will do.
    pub(in crate::run) metadata_only: bool,
    pub(in crate::run) fields: Option<&'static str>,
    take: Take,
}

/// What is made of an object.
#[derive(Clone, Copy, Debug)]
enum Take {
    World(KindReader),
    IngressGateway,
    /// A pod of anybody's.
    Workload,
    /// Something that runs an ingress.
    Child,
}

/// Identifies an object within its watch.
pub(in crate::run) type Key = ObjectKey;

/// What is kept of an object.
#[derive(Debug)]
pub(in crate::run) enum Content {
    /// For the translation.
    World { parsed: Box<Parsed<WorldObject>>, about: About },
    /// An object of Istio that Postern wrote, without its status; and a fingerprint of it.
    Translated { object: Arc<Value>, fingerprint: u64 },
    /// Settings of an ingress.
    IngressGateway { parsed: Box<Parsed<IngressGateway>>, about: About },
    /// Labels of a pod, of whoever it is.
    Workload(Workload),
    /// What Postern made; and a fingerprint of all that is not status.
    Child { object: Box<DynamicObject>, fingerprint: u64 },
}

/// What a status is written to, and whether the object says something new.
#[derive(Clone, Debug)]
pub(in crate::run) struct About {
    pub(in crate::run) api: ApiResource,
    pub(in crate::run) uid: String,
    pub(in crate::run) generation: i64,
    pub(in crate::run) resource_version: String,
    pub(in crate::run) status: Value,
    /// Of all that is not status.
    pub(in crate::run) fingerprint: u64,
}

impl Feed {
    /// Where it is read.
    pub(in crate::run) fn resource(&self) -> ApiResource {
        ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(self.group, self.version, self.kind),
            self.plural,
        )
    }

    /// Is the kind defined by a CustomResourceDefinition? Kubernetes' own are always there.
    pub(in crate::run) fn is_custom(&self) -> bool {
        let own = !self.group.contains('.') || self.group.ends_with(".k8s.io");
        !own || self.group == "gateway.networking.k8s.io"
    }

    /// Which labels the objects have.
    pub(in crate::run) fn labels(&self) -> Option<String> {
        let world = matches!(self.take, Take::World(_));
        match self.kind {
            _ if self.managed => Some(selector_of_all()),
            // What Postern publishes itself means nothing: it would be translated once more after each change.
            Secret::KIND | ConfigMap::KIND if world => Some(format!("!{INGRESS}")),
            _ => None,
        }
    }

    /// The key of an object.
    pub(in crate::run) fn key(&self, metadata: &ObjectMeta) -> Key {
        ObjectKey {
            kind: Kind { name: self.kind, group: self.group },
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
        }
    }

    /// What is kept of an object. None, if nothing.
    pub(in crate::run) fn content(&self, mut object: DynamicObject) -> Option<Content> {
        object.metadata.managed_fields = None;
        match self.take {
            Take::Workload => Some(Content::Workload(Workload::of_pod(&object.metadata))),
            Take::Child => {
                ingress_of(&object.metadata)?;
                let fingerprint = fingerprint(&object);
                Some(Content::Child { object: Box::new(object), fingerprint })
            }
            Take::World(reader)
                if WRITTEN_KINDS.contains(&reader.kind) && is_translated(&object.metadata) =>
            {
                let About { fingerprint, api, .. } = self.about(&mut object);
                Some(Content::Translated { object: Arc::new(whole(object, &api)), fingerprint })
            }
            Take::World(reader) => {
                let about = self.about(&mut object);
                let (_, parsed) = reader.read_object(object);
                Some(Content::World { parsed: Box::new(parsed), about })
            }
            Take::IngressGateway => {
                let about = self.about(&mut object);
                let value = whole(object, &about.api);
                Some(Content::IngressGateway { parsed: Box::new(parse(value)), about })
            }
        }
    }

    /// Takes the status out of the object.
    fn about(&self, object: &mut DynamicObject) -> About {
        let fingerprint = fingerprint(object);
        let status =
            object.data.as_object_mut().and_then(|fields| fields.remove("status")).unwrap_or_default();
        let metadata = &object.metadata;
        About {
            api: self.resource(),
            uid: metadata.uid.clone().unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            resource_version: metadata.resource_version.clone().unwrap_or_default(),
            status,
            fingerprint,
        }
    }
}

/// Annotations that the cluster's own controllers and kubectl write beside what they are about.
const NOISE: [&str; 3] = [
    "deployment.kubernetes.io/revision",
    "endpoints.kubernetes.io/last-change-trigger-time",
    "kubectl.kubernetes.io/last-applied-configuration",
];

/// Of everything but status, versions and who wrote what.
fn fingerprint(object: &DynamicObject) -> u64 {
    let mut hasher = DefaultHasher::new();
    let metadata = &object.metadata;
    metadata.uid.hash(&mut hasher);
    metadata.labels.hash(&mut hasher);
    metadata.deletion_timestamp.is_some().hash(&mut hasher);
    for annotation in metadata.annotations.iter().flatten() {
        if !NOISE.contains(&annotation.0.as_str()) {
            annotation.hash(&mut hasher);
        }
    }
    for (name, value) in object.data.as_object().into_iter().flatten().filter(|(name, _)| *name != "status") {
        (name, value.to_string()).hash(&mut hasher);
    }
    hasher.finish()
}

fn world(reader: KindReader) -> Feed {
    Feed {
        group: reader.kind.group,
        version: reader.version,
        plural: reader.plural,
        kind: reader.kind.name,
        namespaced: reader.namespaced,
        managed: false,
        metadata_only: false,
        fields: reader.field_selector(),
        take: Take::World(reader),
    }
}

const fn of<T: Resource>(take: Take, managed: bool) -> Feed {
    Feed {
        group: T::GROUP,
        version: T::VERSION,
        plural: T::URL_PATH_SEGMENT,
        kind: T::KIND,
        namespaced: true,
        managed,
        metadata_only: false,
        fields: None,
        take,
    }
}

/// All watches.
pub(in crate::run) fn feeds() -> Vec<Feed> {
    // Of these more, or less, is kept.
    let others = [Kind::of::<IngressGateway>(), Kind::of::<Pod>()];
    let mut feeds: Vec<_> =
        KINDS.iter().copied().filter(|it| !others.contains(&it.kind)).map(world).collect();
    feeds.push(of::<IngressGateway>(Take::IngressGateway, false));
    feeds.push(Feed { metadata_only: true, fields: Some(RUNNING), ..of::<Pod>(Take::Workload, false) });
    feeds.extend([
        of::<Pod>(Take::Child, true),
        of::<Deployment>(Take::Child, true),
        of::<Service>(Take::Child, true),
        of::<ServiceAccount>(Take::Child, true),
        of::<PodDisruptionBudget>(Take::Child, true),
        of::<HorizontalPodAutoscaler>(Take::Child, true),
        of::<ConfigMap>(Take::Child, true),
        of::<Secret>(Take::Child, true),
    ]);
    feeds
}

/// A pod that has ended serves nothing.
const RUNNING: &str = "status.phase!=Succeeded,status.phase!=Failed";
