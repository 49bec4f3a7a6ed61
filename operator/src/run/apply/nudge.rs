//! Makes kubelet read a changed snapshot at once: it re-reads the volumes of a pod when the pod changes.

use futures_util::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::is_not_found;
use crate::error_chain::Chain;

/// The annotation of a pod with the snapshot that it was told of: the first digits of its hash.
pub(in crate::run) const NUDGE: &str = "postern.dev/snapshot";

/// Tells these pods of a snapshot. Says whether all of them were reached.
pub(super) async fn nudge(client: &Client, namespace: &str, pods: impl Iterator<Item = &str>, hash: &str) -> bool {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let patch = Patch::Merge(json!({"metadata": {"annotations": {NUDGE: hash}}}));
    let results = pods.map(async |pod: &str| match api.patch_metadata(pod, &PatchParams::default(), &patch).await {
        Ok(_) => true,
        Err(error) if is_not_found(&error) => true,
        Err(error) => {
            tracing::warn!(pod, error = %Chain(&error), "cannot tell a pod of its new snapshot");
            false
        }
    });
    join_all(results).await.into_iter().all(|reached| reached)
}
