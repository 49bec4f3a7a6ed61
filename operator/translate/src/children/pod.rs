//! The pod template: the proxy, hardened, with the volume that its snapshot comes in.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, HTTPGetAction, PodSecurityContext, PodSpec,
    PodTemplateSpec, Probe, ProjectedVolumeSource, ResourceRequirements, SeccompProfile, SecurityContext,
    Sysctl, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use postern_api::postern::proxy::ProxySettings;
use postern_api::postern::resources;

use super::settings::IngressSettings;
use super::{ChildDefaults, meta, publication};
use crate::plan::Plan;

/// The name of the proxy's container.
pub const PROXY_CONTAINER: &str = "proxy";

/// The user and the group of the proxy: `nonroot` of the usual base images.
const USER: i64 = 65532;

/// The proxy's own ports (Istio's): health and the snapshot that it has; metrics.
pub(super) const STATUS_PORT: u16 = 15021;
pub(super) const METRICS_PORT: u16 = 15020;

/// The name of [`STATUS_PORT`] in pods and Services (Istio's).
pub(super) const STATUS_PORT_NAME: &str = "status-port";

/// Where the proxy finds its snapshot, and where it keeps the last good one.
pub(super) const SNAPSHOT_PATH: &str = "/etc/postern/snapshot";
pub(super) const STATE_PATH: &str = "/var/run/postern/state";

/// The volumes that are mounted there.
pub(super) const VOLUMES: [&str; 2] = [SNAPSHOT_VOLUME, STATE_VOLUME];
const SNAPSHOT_VOLUME: &str = "snapshot";
const STATE_VOLUME: &str = "state";

/// What a pod gets beyond its drain before it is killed, in seconds.
const SLACK_SECONDS: i64 = 5;

/// `r--r-----`
const READ_ONLY: i32 = 0o440;

pub(super) fn template(plan: &Plan, settings: &IngressSettings, defaults: &ChildDefaults) -> PodTemplateSpec {
    let proxy = settings.proxy();
    let mut labels = settings.labels.clone();
    labels.extend(meta::labels(&plan.ingress));
    // Those of the selector win, but for the one that the pods are found by.
    labels.extend(plan.labels.clone());
    labels.extend(meta::stable_labels(&plan.ingress));
    let mut annotations = settings.annotations.clone();
    annotations.extend(scraping());
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(plan.ingress.name.clone()),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            termination_grace_period_seconds: Some(grace_period(&proxy)),
            security_context: Some(pod_security()),
            topology_spread_constraints: Some(vec![TopologySpreadConstraint {
                max_skew: 1,
                topology_key: "kubernetes.io/hostname".to_owned(),
                when_unsatisfiable: "ScheduleAnyway".to_owned(),
                label_selector: Some(meta::stable_selector(&plan.ingress)),
                // So that a rollout ends spread too.
                match_label_keys: Some(vec!["pod-template-hash".to_owned()]),
                ..TopologySpreadConstraint::default()
            }]),
            containers: vec![container(plan, settings, defaults, &proxy)],
            volumes: Some(volumes(plan)),
            ..PodSpec::default()
        }),
    }
}

/// How Prometheus finds the metrics.
fn scraping() -> BTreeMap<String, String> {
    [
        ("prometheus.io/scrape", "true".to_owned()),
        ("prometheus.io/port", METRICS_PORT.to_string()),
        ("prometheus.io/path", "/stats/prometheus".to_owned()),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// The drain, and a little more.
fn grace_period(proxy: &ProxySettings) -> i64 {
    i64::from(proxy.drain_delay_seconds()) + i64::from(proxy.drain_seconds()) + SLACK_SECONDS
}

fn pod_security() -> PodSecurityContext {
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: Some(USER),
        run_as_group: Some(USER),
        // The files of volumes are this group's.
        fs_group: Some(USER),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        // Ports 80 and 443 without a capability: a "safe" sysctl, allowed everywhere.
        sysctls: Some(vec![Sysctl {
            name: "net.ipv4.ip_unprivileged_port_start".to_owned(),
            value: "0".to_owned(),
        }]),
        ..PodSecurityContext::default()
    }
}

fn container(
    plan: &Plan,
    settings: &IngressSettings,
    defaults: &ChildDefaults,
    proxy: &ProxySettings,
) -> Container {
    Container {
        name: PROXY_CONTAINER.to_owned(),
        image: Some(settings.spec.image.clone().unwrap_or_else(|| defaults.image.clone())),
        image_pull_policy: defaults.image_pull_policy.clone(),
        args: Some(args(plan, proxy)),
        ports: Some(vec![port(STATUS_PORT_NAME, STATUS_PORT), port("metrics", METRICS_PORT)]),
        resources: Some(requirements(settings.spec.resources.as_ref())),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
            ..SecurityContext::default()
        }),
        startup_probe: Some(probe("/healthz/live", 1, 30)),
        readiness_probe: Some(probe("/healthz/ready", 1, 2)),
        liveness_probe: Some(Probe { timeout_seconds: Some(3), ..probe("/healthz/live", 10, 3) }),
        volume_mounts: Some(vec![
            VolumeMount { read_only: Some(true), ..mount(SNAPSHOT_VOLUME, SNAPSHOT_PATH) },
            mount(STATE_VOLUME, STATE_PATH),
        ]),
        ..Container::default()
    }
}

/// See `proxy/src/args.rs`.
fn args(plan: &Plan, proxy: &ProxySettings) -> Vec<String> {
    let mut args = vec![
        format!("--snapshot={SNAPSHOT_PATH}"),
        format!("--state={STATE_PATH}"),
        format!("--ingress={}", plan.ingress.name),
        format!("--namespace={}", plan.ingress.namespace),
        format!("--drain-delay={}", proxy.drain_delay_seconds()),
        format!("--drain-seconds={}", proxy.drain_seconds()),
    ];
    args.extend(proxy.workers.map(|workers| format!("--workers={workers}")));
    args.extend(proxy.log_level.as_ref().map(|level| format!("--log={level}")));
    args.extend(proxy.access_log.as_ref().map(|format| format!("--access-log={format}")));
    args
}

/// Without a protocol, server-side apply would not know two ports apart.
fn port(name: &str, number: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.to_owned()),
        container_port: number.into(),
        protocol: Some("TCP".to_owned()),
        ..ContainerPort::default()
    }
}

fn requirements(said: Option<&resources::Resources>) -> ResourceRequirements {
    let mut requests: BTreeMap<String, Quantity> = [("cpu", "50m"), ("memory", "64Mi")]
        .map(|(key, value)| (key.to_owned(), Quantity(value.to_owned())))
        .into();
    let Some(said) = said else {
        return ResourceRequirements { requests: Some(requests), ..ResourceRequirements::default() };
    };
    let typed = |quantities: &BTreeMap<String, resources::Quantity>| -> BTreeMap<String, Quantity> {
        quantities.iter().map(|(key, value)| (key.clone(), Quantity(value.to_string()))).collect()
    };
    // With a limit alone Kubernetes takes that for the request: a default above it would be refused.
    requests.retain(|key, _| !said.limits.contains_key(key));
    requests.extend(typed(&said.requests));
    ResourceRequirements {
        requests: Some(requests).filter(|requests| !requests.is_empty()),
        limits: Some(typed(&said.limits)).filter(|limits| !limits.is_empty()),
        ..ResourceRequirements::default()
    }
}

fn probe(path: &str, period_seconds: i32, failure_threshold: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(STATUS_PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period_seconds),
        failure_threshold: Some(failure_threshold),
        timeout_seconds: Some(1),
        ..Probe::default()
    }
}

fn mount(name: &str, path: &str) -> VolumeMount {
    VolumeMount { name: name.to_owned(), mount_path: path.to_owned(), ..VolumeMount::default() }
}

fn volumes(plan: &Plan) -> Vec<Volume> {
    let snapshot = Volume {
        name: SNAPSHOT_VOLUME.to_owned(),
        projected: Some(ProjectedVolumeSource {
            default_mode: Some(READ_ONLY),
            sources: Some(publication::volume_sources(&plan.ingress)),
        }),
        ..Volume::default()
    };
    // The last good snapshot has private keys in it: it stays in memory.
    let state = Volume {
        name: STATE_VOLUME.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource { medium: Some("Memory".to_owned()), size_limit: None }),
        ..Volume::default()
    };
    vec![snapshot, state]
}
