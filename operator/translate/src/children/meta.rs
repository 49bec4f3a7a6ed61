//! Names and labels of what Postern makes.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::settings::IngressSettings;
use crate::ingress::IngressName;

/// The label that says who made an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The value of [`MANAGED_BY`] of what Postern made.
pub const MANAGER: &str = "postern";

/// The label with the name of the ingress (in the namespace of the object) that an object is part of. Deployment,
/// Service and disruption budget find the pods by it alone: it never changes.
pub const INGRESS: &str = "postern.dev/ingress";

/// The label that says what an object is.
const NAME: &str = "app.kubernetes.io/name";

/// Did Postern make this?
#[must_use]
pub fn is_managed(metadata: &ObjectMeta) -> bool {
    ingress_of(metadata).is_some()
}

/// The ingress that an object is part of, if Postern made it.
#[must_use]
pub fn ingress_of(metadata: &ObjectMeta) -> Option<IngressName> {
    let labels = metadata.labels.as_ref()?;
    let name = labels.get(INGRESS)?.clone();
    let managed = labels.get(MANAGED_BY).is_some_and(|manager| manager == MANAGER);
    managed.then(|| IngressName { namespace: metadata.namespace.clone().unwrap_or_default(), name })
}

/// The label selector, as text, of everything that Postern made for ingresses.
#[must_use]
pub fn selector_of_all() -> String {
    format!("{MANAGED_BY}={MANAGER},{INGRESS}")
}

/// The label selector, as text, of everything that Postern made for an ingress, in its namespace.
#[must_use]
pub fn selector_of_one(ingress: &IngressName) -> String {
    format!("{MANAGED_BY}={MANAGER},{INGRESS}={}", ingress.name)
}

/// The labels of everything that belongs to an ingress.
pub(super) fn labels(ingress: &IngressName) -> BTreeMap<String, String> {
    [(MANAGED_BY, MANAGER), (NAME, "postern-proxy"), (INGRESS, &ingress.name)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// The one label by which its pods are found.
pub(super) fn stable_labels(ingress: &IngressName) -> BTreeMap<String, String> {
    [(INGRESS.to_owned(), ingress.name.clone())].into()
}

pub(super) fn stable_selector(ingress: &IngressName) -> LabelSelector {
    LabelSelector { match_labels: Some(stable_labels(ingress)), ..LabelSelector::default() }
}

/// The metadata of an object of an ingress.
pub(super) fn metadata(ingress: &IngressName, name: String, settings: &IngressSettings) -> ObjectMeta {
    let mut all = settings.labels.clone();
    all.extend(labels(ingress));
    ObjectMeta {
        namespace: Some(ingress.namespace.clone()),
        name: Some(name),
        labels: Some(all),
        annotations: Some(settings.annotations.clone()).filter(|annotations| !annotations.is_empty()),
        owner_references: settings.owner.clone().map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}
