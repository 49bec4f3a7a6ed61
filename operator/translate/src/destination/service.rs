//! Destinations that are Kubernetes Services.

use k8s_openapi::api::core::v1::{Service, ServicePort};
use postern_api::istio::virtual_service::Destination;
use postern_snapshot::ClusterName;
use postern_snapshot::model::{TransportProtocol, UpstreamProtocol};

use super::{Asked, Asker, Found, Resolver, ServiceRef, choose_port, not_found};
use crate::at::At;
use crate::endpoints::endpoints;
use crate::finding::{Findings, Problem, Reason};
use crate::ingress::is_subset;

impl<'a> Resolver<'a> {
    /// The cluster of a Service.
    pub(super) fn in_service(
        &mut self,
        named: ServiceRef<'_, 'a>,
        destination: &Destination,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<ClusterName> {
        let world = self.world;
        let ServiceRef { namespace, name, service } = self.follow_alias(named, asker, at, findings)?;
        let host = format!("{name}.{namespace}.svc.{}", self.options.cluster_domain);
        let ports = ports(service, asker.here.transport);
        let numbers: Vec<u16> = ports.iter().map(|(number, _)| *number).collect();
        let number = choose_port(&host, &numbers, destination, asker, at, findings)?;
        let (_, port) = ports.into_iter().find(|(candidate, _)| *candidate == number)?;
        let found = Found {
            host,
            name,
            namespace,
            port: number,
            port_name: port.name.as_deref().unwrap_or_default(),
            protocol: protocol(port),
            subject_alt_names: &[],
        };
        self.add(found, Asked::new(destination, asker, at), findings, |labels| {
            let slices = world.endpoint_slices(namespace, name);
            endpoints(service, port, slices, |endpoint| {
                let pod = || world.labels_behind(endpoint, namespace);
                labels.is_empty() || pod().is_some_and(|pod| is_subset(labels, pod))
            })
        })
    }

    /// The Service itself, or the one that its `externalName` names, as Istio does. `None` for a name outside of the
    /// cluster, which is a finding.
    fn follow_alias<'h>(
        &self,
        named: ServiceRef<'h, 'a>,
        asker: &Asker<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<ServiceRef<'h, 'a>>
    where
        'a: 'h,
    {
        let Some(alias) = external_name(named.service) else { return Some(named) };
        let real = self.service_of(alias).filter(|real| external_name(real.service).is_none());
        if real.is_none() {
            let ServiceRef { namespace, name, .. } = named;
            let message = format!(
                "Service {namespace}/{name} is the external name {alias}, which Postern does not look up yet; {}",
                asker.otherwise
            );
            findings.error(&at.field("host"), Problem::resolved_refs(Reason::UnsupportedValue, message));
        }
        real
    }

    /// There is neither a Service nor a ServiceEntry for this host.
    pub(super) fn unknown_host(&self, host: &str, asker: &Asker<'_>, at: &At<'_>, findings: &mut Findings) {
        let mut message = format!("there is no service {host}; {}", asker.otherwise);
        // `app.shop` is whole to Istio, as it has a dot; it is often meant as a short name.
        let short = host.strip_suffix(".svc").unwrap_or(host);
        if let Some((name, namespace)) = short.split_once('.')
            && self.world.services.get(namespace, name).is_some()
        {
            let whole = format!("{name}.{namespace}.svc.{}", self.options.cluster_domain);
            message.push_str(&format!(". Did you mean {whole}?"));
        }
        findings.error(&at.field("host"), not_found(message));
    }
}

fn external_name(service: &Service) -> Option<&str> {
    let spec = service.spec.as_ref()?;
    (spec.type_.as_deref() == Some("ExternalName")).then(|| spec.external_name.as_deref().unwrap_or_default())
}

/// The ports that TCP, or UDP, goes to, by number.
fn ports(service: &Service, transport: TransportProtocol) -> Vec<(u16, &ServicePort)> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_deref()).unwrap_or_default();
    let is_meant = |port: &&ServicePort| port.protocol.as_deref().unwrap_or("TCP") == transport.as_str();
    ports.iter().filter(is_meant).filter_map(|port| Some((u16::try_from(port.port).ok()?, port))).collect()
}

/// What a port of a Service speaks: datagrams, if it is of UDP; its `appProtocol`, or else what its name begins with (Istio's protocol selection).
fn protocol(port: &ServicePort) -> UpstreamProtocol {
    if port.protocol.as_deref() == Some(TransportProtocol::Udp.as_str()) {
        return UpstreamProtocol::Udp;
    }
    let name = port.name.as_deref().unwrap_or_default();
    match port.app_protocol.as_deref() {
        Some(protocol) => named_protocol(protocol),
        None if name == "grpc-web" || name.starts_with("grpc-web-") => UpstreamProtocol::Http2,
        None => named_protocol(name.split_once('-').map_or(name, |(protocol, _)| protocol)),
    }
}

fn named_protocol(name: &str) -> UpstreamProtocol {
    let http2 = ["http2", "grpc", "grpc-web", "h2c", "kubernetes.io/h2c"];
    if http2.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        UpstreamProtocol::Http2
    } else {
        UpstreamProtocol::Http1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_in_app_protocol_or_name() {
        let of = |name: &str, app_protocol: Option<&str>| {
            protocol(&ServicePort {
                name: Some(name.to_owned()),
                app_protocol: app_protocol.map(str::to_owned),
                port: 80,
                ..ServicePort::default()
            })
        };
        for name in ["http2", "grpc", "grpc-api", "GRPC", "grpc-web", "grpc-web-x", "http2-x", "h2c"] {
            assert_eq!(of(name, None), UpstreamProtocol::Http2, "{name}");
        }
        for name in ["", "http", "http-2", "https", "tcp-grpc", "web", "grpcx"] {
            assert_eq!(of(name, None), UpstreamProtocol::Http1, "{name}");
        }
        assert_eq!(of("http", Some("kubernetes.io/h2c")), UpstreamProtocol::Http2);
        assert_eq!(of("grpc", Some("http")), UpstreamProtocol::Http1);
        assert_eq!(of("grpc", Some("kubernetes.io/ws")), UpstreamProtocol::Http1);
    }
}
