//! Makes kubelet read a changed snapshot at once: it re-reads the volumes of a pod when the pod changes.

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::is_not_found;
use crate::error_chain::Chain;
use crate::run::clients::is_not_leading;

/// The annotation of a pod with the snapshot that it was told of: the first digits of its hash, and after a dot how
/// often it was told again. Kubelet may have seen the annotation before the ConfigMap; then it looks no more for a
/// minute, unless the annotation changes.
pub(in crate::run) const NUDGE: &str = "postern.dev/snapshot";

/// The value of the annotation, and how often it was told again.
pub(in crate::run) fn told(annotation: &str) -> (&str, u32) {
    match annotation.split_once('.') {
        Some((hash, again)) => (hash, again.parse().unwrap_or_default()),
        None => (annotation, 0),
    }
}

/// Tells these pods of a snapshot. Says whether all of them were reached.
pub(in crate::run) async fn nudge(
    client: &Client,
    namespace: &str,
    pods: impl Iterator<Item = &str>,
    value: &str,
) -> bool {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {NUDGE: value}}}));
    let results =
        pods.map(async |pod: &str| match api.patch_metadata(pod, &PatchParams::default(), &patch).await {
            Ok(_) => true,
            Err(error) if is_not_found(&error) || is_not_leading(&error) => true,
            Err(error) => {
                tracing::warn!(pod, error = %Chain(&error), "cannot tell a pod of its new snapshot");
                false
            }
        });
    join_all(results).await.into_iter().all(|reached| reached)
}
