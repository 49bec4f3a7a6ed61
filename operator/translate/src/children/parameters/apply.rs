//! Merges what ConfigMaps say over the objects of an ingress; what Postern needs stays as it is.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Container, PodTemplateSpec};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::Level;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Overlays, Patch, strategic_merge};
use crate::children::{Children, IngressSettings, pod, scaling};
use crate::finding::{ConditionType, Finding, Reason};
use crate::plan::Plan;

/// Merges all of them, and adds to the findings what cannot be changed.
pub(in crate::children) fn apply(children: &mut Children, plan: &Plan, settings: &IngressSettings) {
    let base = children.clone();
    let mut findings = Vec::new();
    let mut said_replicas = None;
    for overlays in &settings.overlays {
        let mut keeper = Keeper { overlays, key: "deployment", findings: &mut findings };
        if let Some(patch) = &overlays.deployment {
            merge(&mut children.deployment, patch, &mut keeper);
            keep_deployment(&mut children.deployment, &base.deployment, &mut keeper);
            let replicas = children.deployment.spec.as_mut().and_then(|spec| spec.replicas.take());
            if let Some(replicas) = replicas {
                children.replicas = Some(scaling::replicas_object(plan, replicas));
                said_replicas = Some(overlays);
            }
        }
        keeper.key = "service";
        if let Some(patch) = &overlays.service {
            let service = &mut children.service;
            merge(service, patch, &mut keeper);
            keeper.metadata(&mut service.metadata, &base.service.metadata);
            let (spec, base) = (service.spec.get_or_insert_default(), base.service.spec.as_ref());
            keeper.keep(&mut spec.selector, base.map(|spec| &spec.selector), "spec.selector");
        }
        keeper.key = "serviceAccount";
        if let Some(patch) = &overlays.service_account {
            let account = &mut children.service_account;
            merge(account, patch, &mut keeper);
            keeper.metadata(&mut account.metadata, &base.service_account.metadata);
        }
        keeper.key = "podDisruptionBudget";
        if let Some(patch) = &overlays.pod_disruption_budget {
            keep_budget(&mut children.pod_disruption_budget, &base.pod_disruption_budget, patch, &mut keeper);
        }
        keeper.key = "horizontalPodAutoscaler";
        if let Some(patch) = &overlays.horizontal_pod_autoscaler {
            let bare = scaling::bare_autoscaler(plan, settings);
            let scaler = children.horizontal_pod_autoscaler.get_or_insert_with(|| bare.clone());
            merge(scaler, patch, &mut keeper);
            keeper.metadata(&mut scaler.metadata, &bare.metadata);
            let spec = scaler.spec.get_or_insert_default();
            let base = bare.spec.as_ref().map(|spec| &spec.scale_target_ref);
            keeper.keep(&mut spec.scale_target_ref, base, "spec.scaleTargetRef");
        }
    }
    if children.horizontal_pod_autoscaler.is_some() {
        children.replicas = None;
        if let Some(overlays) = said_replicas {
            let mut keeper = Keeper { overlays, key: "deployment", findings: &mut findings };
            keeper.note("spec.replicas", "an autoscaler chooses the number of pods");
        }
    }
    children.findings.append(&mut findings);
}

fn merge<T: Serialize + DeserializeOwned>(object: &mut T, patch: &Patch, keeper: &mut Keeper<'_>) {
    let merged = serde_json::to_value(&*object).and_then(|mut value| {
        strategic_merge::merge(&mut value, &patch.0);
        serde_json::from_value(value)
    });
    match merged {
        Ok(merged) => *object = merged,
        Err(error) => keeper.note("", &format!("it is left out, because it cannot be merged: {error}")),
    }
}

fn keep_deployment(deployment: &mut Deployment, base: &Deployment, keeper: &mut Keeper<'_>) {
    keeper.metadata(&mut deployment.metadata, &base.metadata);
    let Some(base) = &base.spec else { return };
    let spec = deployment.spec.get_or_insert_default();
    keeper.keep(&mut spec.selector, Some(&base.selector), "spec.selector");
    // The API server refuses the settings of rolling updates beside another type.
    if let Some(strategy) = spec.strategy.as_mut().filter(|it| it.type_.as_deref() == Some("Recreate")) {
        strategy.rolling_update = None;
    }
    keep_pod(&mut spec.template, &base.template, keeper);
}

fn keep_pod(template: &mut PodTemplateSpec, base: &PodTemplateSpec, keeper: &mut Keeper<'_>) {
    let before = base.metadata.clone().unwrap_or_default();
    let labels = &mut template.metadata.get_or_insert_default().labels;
    keeper.labels(labels, &before, "spec.template.metadata.labels");
    let Some(base) = &base.spec else { return };
    let spec = template.spec.get_or_insert_default();
    let is_proxy = |container: &&Container| container.name == pod::PROXY_CONTAINER;
    let Some(proxy) = base.containers.iter().find(is_proxy) else { return };
    match spec.containers.iter_mut().find(|it| it.name == proxy.name) {
        Some(container) => keep_container(container, proxy, keeper),
        None => {
            spec.containers.insert(0, proxy.clone());
            keeper.note("spec.template.spec.containers", "the proxy's container stays");
        }
    }
    let ours = base.volumes.iter().flatten().filter(|volume| pod::VOLUMES.contains(&volume.name.as_str()));
    let path = "spec.template.spec.volumes";
    keeper.elements(&mut spec.volumes, ours, |a, b| a.name == b.name, path);
}

fn keep_container(container: &mut Container, base: &Container, keeper: &mut Keeper<'_>) {
    let path = |field: &str| format!("spec.template.spec.containers.{}.{field}", base.name);
    keeper.keep(&mut container.command, Some(&base.command), &path("command"));
    keeper.keep(&mut container.args, Some(&base.args), &path("args"));
    let ports = [pod::STATUS_PORT, pod::METRICS_PORT].map(i32::from);
    let ours = base.ports.iter().flatten().filter(|port| ports.contains(&port.container_port));
    keeper.elements(
        &mut container.ports,
        ours,
        |a, b| a.container_port == b.container_port && a.protocol == b.protocol,
        &path("ports"),
    );
    let paths = [pod::SNAPSHOT_PATH, pod::STATE_PATH];
    let ours = base.volume_mounts.iter().flatten().filter(|mount| paths.contains(&mount.mount_path.as_str()));
    keeper.elements(
        &mut container.volume_mounts,
        ours,
        |a, b| a.mount_path == b.mount_path,
        &path("volumeMounts"),
    );
}

/// The two numbers of a budget exclude each other: what is asked for takes the place of Postern's.
fn keep_budget(
    budget: &mut PodDisruptionBudget,
    base: &PodDisruptionBudget,
    patch: &Patch,
    keeper: &mut Keeper<'_>,
) {
    let asks = |field: &str| patch.0.pointer(&format!("/spec/{field}")).is_some();
    let spec = budget.spec.get_or_insert_default();
    if asks("minAvailable") && !asks("maxUnavailable") {
        spec.max_unavailable = None;
    }
    if asks("maxUnavailable") && !asks("minAvailable") {
        spec.min_available = None;
    }
    merge(budget, patch, keeper);
    keeper.metadata(&mut budget.metadata, &base.metadata);
    let (spec, base) = (budget.spec.get_or_insert_default(), base.spec.as_ref());
    keeper.keep(&mut spec.selector, base.map(|spec| &spec.selector), "spec.selector");
}

/// Puts back what must stay, and says so.
struct Keeper<'a> {
    overlays: &'a Overlays,
    /// Of the ConfigMap.
    key: &'static str,
    findings: &'a mut Vec<Finding>,
}

impl Keeper<'_> {
    fn note(&mut self, path: &str, message: &str) {
        let Overlays { source, referrer, path: reference, .. } = self.overlays;
        let dot = if path.is_empty() { "" } else { "." };
        let finding = Finding {
            object: referrer.clone(),
            path: reference.clone(),
            level: Level::Warning,
            condition: ConditionType::Programmed,
            reason: Reason::Ineffective,
            message: format!("{source}: data.{}{dot}{path}: {message}", self.key),
            code: None,
        };
        self.findings.push(finding);
    }

    fn stays(&mut self, path: &str) {
        self.note(path, "Postern needs it as it is, so it stays");
    }

    /// `None` of the base: there is nothing to keep.
    fn keep<T: Clone + PartialEq>(&mut self, value: &mut T, base: Option<&T>, path: &str) {
        if let Some(base) = base.filter(|base| **base != *value) {
            value.clone_from(base);
            self.stays(path);
        }
    }

    /// Each of our elements is there, as it was. `is_same`: has it the same key?
    fn elements<'b, T: Clone + PartialEq + 'b>(
        &mut self,
        list: &mut Option<Vec<T>>,
        ours: impl Iterator<Item = &'b T>,
        is_same: impl Fn(&T, &T) -> bool,
        path: &str,
    ) {
        let list = list.get_or_insert_default();
        for our in ours {
            match list.iter_mut().find(|it| is_same(it, our)) {
                Some(it) if *it == *our => continue,
                Some(it) => it.clone_from(our),
                None => list.push(our.clone()),
            }
            self.stays(path);
        }
    }

    /// Of metadata, labels and annotations can be added.
    fn metadata(&mut self, metadata: &mut ObjectMeta, base: &ObjectMeta) {
        self.labels(&mut metadata.labels, base, "metadata.labels");
        let mut kept = base.clone();
        kept.labels.clone_from(&metadata.labels);
        kept.annotations.clone_from(&metadata.annotations);
        if kept != *metadata {
            *metadata = kept;
            self.note("metadata", "only labels and annotations can be changed; the rest stays");
        }
    }

    /// Objects and pods are found by the labels that they have.
    fn labels(
        &mut self,
        labels: &mut Option<std::collections::BTreeMap<String, String>>,
        base: &ObjectMeta,
        path: &str,
    ) {
        let labels = labels.get_or_insert_default();
        for (key, value) in base.labels.iter().flatten() {
            if labels.insert(key.clone(), value.clone()).as_ref() != Some(value) {
                self.stays(&format!("{path}.{key}"));
            }
        }
    }
}
