//! The Service: a port for each port of the servers, and the proxies' status port.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use postern_api::finding::{FieldPath, Level};
use postern_api::postern::service::{self as api, ServiceSettings};
use postern_snapshot::model::TransportProtocol;

use super::meta;
use super::pod::{STATUS_PORT, STATUS_PORT_NAME};
use super::settings::IngressSettings;
use crate::finding::{ConditionType, Finding, Reason};
use crate::plan::Plan;

pub(super) fn service(plan: &Plan, settings: &IngressSettings, findings: &mut Vec<Finding>) -> Service {
    let said = settings.spec.service.clone().unwrap_or_default();
    let mut metadata = meta::metadata(&plan.ingress, plan.ingress.name.clone(), settings);
    if !said.annotations.is_empty() {
        metadata.annotations.get_or_insert_default().extend(said.annotations.clone());
    }
    let ranges = Some(said.load_balancer_source_ranges.clone()).filter(|ranges| !ranges.is_empty());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(said.type_().as_str().to_owned()),
            selector: Some(meta::stable_labels(&plan.ingress)),
            ports: Some(ports(plan, &said, settings, findings)),
            ip_family_policy: Some("PreferDualStack".to_owned()),
            external_traffic_policy: said.external_traffic_policy.map(|policy| policy.as_str().to_owned()),
            load_balancer_ip: said.load_balancer_ip,
            load_balancer_class: said.load_balancer_class,
            load_balancer_source_ranges: ranges,
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// Those of the Plan and the status port, overridden and extended by those of the settings; by number, TCP before UDP.
fn ports(
    plan: &Plan,
    said: &ServiceSettings,
    settings: &IngressSettings,
    findings: &mut Vec<Finding>,
) -> Vec<ServicePort> {
    let mut ports: BTreeMap<PortKey, ServicePort> = plan
        .ports
        .iter()
        .map(|port| {
            let key = (port.port.number(), port.protocol);
            let target = port.target_port.number();
            (key, service_port(&port.name, key, target, Some(port.app_protocol)))
        })
        .collect();
    let status = (STATUS_PORT, TransportProtocol::Tcp);
    ports.entry(status).or_insert_with(|| service_port(STATUS_PORT_NAME, status, STATUS_PORT, Some("http")));
    for override_ in &said.ports {
        let number = override_.port.get();
        let key = meant(number, &ports);
        let port =
            ports.entry(key).or_insert_with(|| service_port(&format!("tcp-{number}"), key, number, None));
        if let Some(target) = override_.target_port {
            port.target_port = Some(IntOrString::Int(target.get().into()));
        }
        port.node_port = override_.node_port.map(|port| port.get().into());
    }
    rename(&mut ports, said, settings, findings);
    ports.into_values().collect()
}

/// What tells two ports of a Service apart.
type PortKey = (u16, TransportProtocol);

/// The port that the settings mean by a number: the one for TCP, unless there is only one for UDP.
fn meant(number: u16, ports: &BTreeMap<PortKey, ServicePort>) -> PortKey {
    let [tcp, udp] = [TransportProtocol::Tcp, TransportProtocol::Udp].map(|protocol| (number, protocol));
    if ports.contains_key(&udp) && !ports.contains_key(&tcp) { udp } else { tcp }
}

/// Gives ports the names that the settings want, as long as they are unique: one that is not would make the API
/// server refuse the whole Service.
fn rename(
    ports: &mut BTreeMap<PortKey, ServicePort>,
    said: &ServiceSettings,
    settings: &IngressSettings,
    findings: &mut Vec<Finding>,
) {
    let wanted: Vec<(usize, &api::ServicePort, &String)> = said
        .ports
        .iter()
        .enumerate()
        .filter_map(|(index, port)| Some((index, port, port.name.as_ref()?)))
        .collect();
    let renamed: BTreeSet<PortKey> =
        wanted.iter().map(|(_, port, _)| meant(port.port.get(), ports)).collect();
    let kept = ports.iter().filter(|(key, _)| !renamed.contains(key));
    let mut taken: BTreeSet<String> = kept.filter_map(|(_, port)| port.name.clone()).collect();
    for (index, port, name) in wanted {
        let number = port.port.get();
        let key = meant(number, ports);
        let Some(port) = ports.get_mut(&key) else { continue };
        if taken.insert(name.clone()) {
            port.name = Some(name.clone());
            continue;
        }
        let instead = unused_name(number, &taken);
        findings.extend(taken_name(index, name, &instead, settings));
        taken.insert(instead.clone());
        port.name = Some(instead);
    }
}

fn unused_name(number: u16, taken: &BTreeSet<String>) -> String {
    let names =
        (0_u32..).map(|n| if n == 0 { format!("port-{number}") } else { format!("port-{number}-{n}") });
    names.into_iter().find(|name| !taken.contains(name)).unwrap_or_default()
}

fn taken_name(index: usize, name: &str, instead: &str, settings: &IngressSettings) -> Option<Finding> {
    let path = FieldPath::spec().field("service").field("ports").index(index).field("name");
    Some(Finding {
        object: settings.object.clone()?,
        path,
        level: Level::Warning,
        condition: ConditionType::Accepted,
        reason: Reason::Ineffective,
        message: format!("another port of the Service is called {name:?}: this one is called {instead:?}"),
        code: None,
    })
}

/// Without a protocol, server-side apply would not know two ports apart.
fn service_port(name: &str, key: PortKey, target: u16, app_protocol: Option<&str>) -> ServicePort {
    let (port, protocol) = key;
    ServicePort {
        name: Some(name.to_owned()),
        port: port.into(),
        target_port: Some(IntOrString::Int(target.into())),
        protocol: Some(protocol.as_str().to_owned()),
        app_protocol: app_protocol.map(str::to_owned),
        node_port: None,
    }
}
