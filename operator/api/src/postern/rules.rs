//! Rules about an `IngressGateway`. In a cluster the API server keeps them too: they are in the schema of
//! [`super::crd`], most as `x-kubernetes-validations`.

use std::collections::BTreeSet;

use super::ingress_gateway::IngressGateway;
use super::service::{ServiceSettings, ServiceType};
use crate::finding::{FieldPath, SchemaFinding};
use crate::validate::Validate;

impl Validate for IngressGateway {
    fn validate(&self) -> Vec<SchemaFinding> {
        let spec = FieldPath::spec();
        let mut findings = Vec::new();
        if self.spec.replicas.is_some() && self.spec.autoscaling.is_some() {
            let message = "replicas and autoscaling exclude each other";
            findings.push(SchemaFinding::error(spec.field("autoscaling"), message));
        }
        if let Some(autoscaling) = &self.spec.autoscaling
            && autoscaling.min_replicas.is_some_and(|min| min > autoscaling.max_replicas)
        {
            let message = format!("it must not be more than maxReplicas, {}", autoscaling.max_replicas);
            findings.push(SchemaFinding::error(spec.field("autoscaling").field("minReplicas"), message));
        }
        if let Some(service) = &self.spec.service {
            check_service(service, &spec.field("service"), &mut findings);
        }
        findings
    }
}

fn check_service(service: &ServiceSettings, at: &FieldPath, findings: &mut Vec<SchemaFinding>) {
    let type_ = service.type_();
    let mut needs = |set: bool, field: &str, allowed: &[ServiceType]| {
        if set && !allowed.contains(&type_) {
            let allowed: Vec<_> = allowed.iter().map(|type_| type_.as_str()).collect();
            let message = format!(
                "it needs a Service of type {}; this one is {}",
                allowed.join(" or "),
                type_.as_str()
            );
            findings.push(SchemaFinding::error(at.field(field), message));
        }
    };
    let outside = [ServiceType::LoadBalancer, ServiceType::NodePort];
    let balanced = [ServiceType::LoadBalancer];
    needs(service.external_traffic_policy.is_some(), "externalTrafficPolicy", &outside);
    needs(service.load_balancer_ip.is_some(), "loadBalancerIP", &balanced);
    needs(service.load_balancer_class.is_some(), "loadBalancerClass", &balanced);
    needs(!service.load_balancer_source_ranges.is_empty(), "loadBalancerSourceRanges", &balanced);
    needs(service.ports.iter().any(|port| port.node_port.is_some()), "ports", &outside);
    let (mut numbers, mut names) = (BTreeSet::new(), BTreeSet::new());
    for (index, port) in service.ports.iter().enumerate() {
        let at = at.field("ports").index(index);
        if !numbers.insert(port.port) {
            let message = format!("port {} is there twice", port.port);
            findings.push(SchemaFinding::error(at.field("port"), message));
        }
        if let Some(name) = &port.name
            && !names.insert(name)
        {
            findings
                .push(SchemaFinding::error(at.field("name"), format!("the name {name:?} is there twice")));
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use serde_json::{Value, json};

    use super::*;
    use crate::parse::parse;

    fn lines(spec: &Value) -> Vec<String> {
        let object = json!({
            "apiVersion": "postern.dev/v1alpha1",
            "kind": "IngressGateway",
            "metadata": {"name": "edge", "namespace": "istio-system"},
            "spec": spec,
        });
        parse::<IngressGateway>(object).findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_whole_one_is_read_and_written_back() {
        let source = json!({
            "apiVersion": "postern.dev/v1alpha1",
            "kind": "IngressGateway",
            "metadata": {"name": "edge", "namespace": "istio-system"},
            "spec": {
                "selector": {"istio": "ingressgateway"},
                "autoscaling": {"minReplicas": 2, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60},
                "service": {
                    "type": "LoadBalancer",
                    "annotations": {"a": "b"},
                    "externalTrafficPolicy": "Local",
                    "loadBalancerIP": "192.0.2.1",
                    "loadBalancerSourceRanges": ["192.0.2.0/24"],
                    "loadBalancerClass": "example.com/lb",
                    "ports": [{"name": "web", "port": 80, "targetPort": 8080, "nodePort": 30080}],
                },
                "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
                "image": "registry.example/proxy:1",
                "podOverlay": {"spec": {"nodeSelector": {"a": "b"}}},
                "proxy": {"workers": 2, "logLevel": "info", "accessLog": "json", "drainSeconds": 30,
                    "drainDelaySeconds": 10, "trustedHops": 1},
            },
            "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.1"}], "ready": "2/2"},
        });
        let parsed = parse::<IngressGateway>(source.clone());
        assert_eq!(parsed.findings, []);
        assert_eq!(serde_json::to_value(parsed.object.unwrap()).unwrap(), source);
    }

    #[test]
    fn what_excludes_each_other_is_told() {
        assert_eq!(
            lines(&json!({
                "selector": {},
                "replicas": 1,
                "autoscaling": {"minReplicas": 3, "maxReplicas": 2},
                "service": {"type": "ClusterIP", "externalTrafficPolicy": "Local", "loadBalancerIP": "192.0.2.1",
                    "ports": [{"port": 80, "name": "a", "nodePort": 30080}, {"port": 80, "name": "a"}]},
            })),
            [
                "error: spec.autoscaling: replicas and autoscaling exclude each other [IST0106]",
                "error: spec.autoscaling.minReplicas: it must not be more than maxReplicas, 2 [IST0106]",
                "error: spec.service.externalTrafficPolicy: it needs a Service of type LoadBalancer or NodePort; this one is ClusterIP [IST0106]",
                "error: spec.service.loadBalancerIP: it needs a Service of type LoadBalancer; this one is ClusterIP [IST0106]",
                "error: spec.service.ports: it needs a Service of type LoadBalancer or NodePort; this one is ClusterIP [IST0106]",
                "error: spec.service.ports[1].name: the name \"a\" is there twice [IST0106]",
                "error: spec.service.ports[1].port: port 80 is there twice [IST0106]",
            ]
        );
    }

    #[test]
    fn other_versions_and_values_are_refused() {
        assert!(
            lines(&json!({"selector": {"a": "b"}, "replicas": -1}))[0].starts_with("error: spec.replicas: ")
        );
        assert!(
            lines(&json!({"selector": {"a": "b"}, "replica": 1}))[0].starts_with("warning: spec.replica: ")
        );
        let object = json!({"apiVersion": "postern.dev/v1", "kind": "IngressGateway", "spec": {"selector": {"a": "b"}}});
        assert_eq!(parse::<IngressGateway>(object).object, None);
    }
}
