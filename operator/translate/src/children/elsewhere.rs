//! Gateways whose selector matches pods that Postern does not manage: those of Istio itself, most likely.
//!
//! Istio finds the pods of a Gateway by its selector, in whatever namespace they are. If such pods are there and are
//! not Postern's, somebody else serves the Gateway, and Postern leaves it alone: no ingress is made of it. But where
//! an ingress of Postern's already serves it, that goes on: otherwise a pod with the right label, in any namespace,
//! would be enough to take an ingress down.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::{FieldPath, Level};
use postern_api::istio::gateway::Gateway;
use postern_api::meta::ObjectKey;

use super::meta::is_managed;
use crate::finding::{ConditionType, Finding, Reason};
use crate::ingress::is_subset;
use crate::world::key_of;

/// Something with pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// What it is.
    pub object: ObjectKey,
    /// The labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Postern made it.
    pub managed: bool,
}

impl Workload {
    /// A pod; metadata is enough. One that has ended serves nothing, leave it out.
    #[must_use]
    pub fn of_pod(metadata: &ObjectMeta) -> Self {
        let namespace = metadata.namespace.clone().unwrap_or_default();
        Self {
            object: ObjectKey::new::<Pod>(namespace, metadata.name.clone().unwrap_or_default()),
            labels: metadata.labels.clone().unwrap_or_default(),
            managed: is_managed(metadata),
        }
    }

    /// A Deployment, also when it has no pods at the moment.
    #[must_use]
    pub fn of_deployment(deployment: &Deployment) -> Self {
        let template = deployment.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
        Self {
            object: ObjectKey::of(deployment),
            labels: template.and_then(|metadata| metadata.labels.clone()).unwrap_or_default(),
            managed: is_managed(deployment.metadata()),
        }
    }
}

/// What is found about the Gateways of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Elsewhere {
    /// The Gateways that Postern leaves alone: keep them out of the World.
    pub gateways: BTreeSet<ObjectKey>,
    /// What to tell their owners: Accepted is False with reason ManagedElsewhere, or, where Postern's ingress goes
    /// on, a warning.
    pub findings: BTreeMap<ObjectKey, Finding>,
}

/// Which Gateways somebody else serves. A Gateway with an empty selector is everybody's, and not looked at.
#[must_use]
pub fn managed_elsewhere<'a>(
    gateways: impl IntoIterator<Item = &'a Gateway>,
    workloads: &[Workload],
) -> Elsewhere {
    let mut elsewhere = Elsewhere::default();
    for gateway in gateways.into_iter().filter(|gateway| !gateway.spec.selector.is_empty()) {
        let matching = || workloads.iter().filter(|it| is_subset(&gateway.spec.selector, &it.labels));
        // The first by name, so that the message stays the same while pods come and go in another order.
        let foreign = matching().filter(|workload| !workload.managed).map(|workload| &workload.object).min();
        let Some(foreign) = foreign else { continue };
        let key = key_of(gateway);
        let ours = matching().any(|workload| workload.managed);
        if !ours {
            elsewhere.gateways.insert(key.clone());
        }
        elsewhere.findings.insert(key.clone(), finding(key, foreign, ours));
    }
    elsewhere
}

fn finding(object: ObjectKey, foreign: &ObjectKey, ours: bool) -> Finding {
    let (level, message) = if ours {
        (
            Level::Warning,
            format!(
                "{foreign}, which Postern does not manage, has the labels of this selector too: both may serve this Gateway"
            ),
        )
    } else {
        (
            Level::Error,
            format!(
                "{foreign}, which Postern does not manage, has the labels of this selector: Postern leaves this Gateway to whoever does. To have Postern serve it, choose another selector, or remove those pods"
            ),
        )
    };
    Finding {
        object,
        path: FieldPath::spec().field("selector"),
        level,
        condition: ConditionType::Accepted,
        reason: Reason::ManagedElsewhere,
        message,
        code: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::children::{INGRESS, MANAGED_BY, MANAGER};

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn gateway(name: &str, selector: &[(&str, &str)]) -> Gateway {
        let mut gateway = Gateway::default();
        gateway.metadata.namespace = Some("shop".to_owned());
        gateway.metadata.name = Some(name.to_owned());
        gateway.spec.selector = labels(selector);
        gateway
    }

    fn pod(name: &str, pairs: &[(&str, &str)]) -> Workload {
        Workload::of_pod(&ObjectMeta {
            namespace: Some("istio-system".to_owned()),
            name: Some(name.to_owned()),
            labels: Some(labels(pairs)),
            ..ObjectMeta::default()
        })
    }

    const OURS: [(&str, &str); 3] =
        [("istio", "ingressgateway"), (MANAGED_BY, MANAGER), (INGRESS, "istio-ingressgateway")];

    #[test]
    fn pods_of_somebody_else_are_left_alone() {
        let web = gateway("web", &[("istio", "ingressgateway")]);
        let canary = gateway("canary", &[("istio", "canary-ingressgateway")]);
        let any = gateway("any", &[]);
        let pods = [
            pod("b", &[("istio", "ingressgateway")]),
            pod("a", &[("istio", "ingressgateway"), ("app", "x")]),
        ];
        let found = managed_elsewhere([&web, &canary, &any], &pods);
        assert_eq!(found.gateways, [key_of(&web)].into());
        let findings: Vec<_> = found.findings.values().map(ToString::to_string).collect();
        assert_eq!(
            findings,
            [
                "Gateway shop/web: error: spec.selector: Pod istio-system/a, which Postern does not manage, has the labels of this \
              selector: Postern leaves this Gateway to whoever does. To have Postern serve it, choose another selector, or \
              remove those pods"
            ]
        );
    }

    #[test]
    fn an_ingress_that_runs_is_not_taken_down_by_a_label() {
        let web = gateway("web", &[("istio", "ingressgateway")]);
        let found =
            managed_elsewhere([&web], &[pod("ours", &OURS), pod("other", &[("istio", "ingressgateway")])]);
        assert_eq!(found.gateways, BTreeSet::new());
        let levels: Vec<_> = found.findings.values().map(|finding| finding.level).collect();
        assert_eq!(levels, [Level::Warning]);
        assert_eq!(managed_elsewhere([&web], &[pod("ours", &OURS)]), Elsewhere::default());
    }

    #[test]
    fn a_deployment_counts_by_its_pod_template() {
        let mut deployment = Deployment::default();
        deployment.metadata.labels = Some(labels(&[("istio", "ingressgateway")]));
        let web = gateway("web", &[("istio", "ingressgateway")]);
        assert_eq!(managed_elsewhere([&web], &[Workload::of_deployment(&deployment)]), Elsewhere::default());
        let template = ObjectMeta { labels: deployment.metadata.labels.clone(), ..ObjectMeta::default() };
        deployment.spec.get_or_insert_default().template.metadata = Some(template);
        let found = managed_elsewhere([&web], &[Workload::of_deployment(&deployment)]);
        assert_eq!(found.gateways.len(), 1);
    }
}
