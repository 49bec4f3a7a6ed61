//! Which kinds are read, and how: a table with a line for each.

use k8s_openapi::Resource;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use postern_api::finding::{FieldPath, Level, SchemaFinding};
use postern_api::gateway_api::backend_tls_policy::BackendTlsPolicy;
use postern_api::gateway_api::gateway::Gateway as KubernetesGateway;
use postern_api::gateway_api::gateway_class::GatewayClass;
use postern_api::gateway_api::grpc_route::GrpcRoute;
use postern_api::gateway_api::http_route::HttpRoute;
use postern_api::gateway_api::l4_route::{TcpRoute, TlsRoute, UdpRoute};
use postern_api::gateway_api::listener_set::ListenerSet;
use postern_api::gateway_api::reference_grant::ReferenceGrant;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::envoy_filter::EnvoyFilter;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::{Kind, ObjectKey};
use postern_api::object::ApiObject;
use postern_api::parse::{Dropped, Parsed, parse};
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_translate::WorldObject;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// How objects of one kind are read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KindReader {
    /// Which kind.
    pub(crate) kind: Kind,
    /// The version to ask an API server for.
    pub(crate) version: &'static str,
    /// The name of the kind in paths of the API.
    pub(crate) plural: &'static str,
    /// Whether its objects have a namespace.
    pub(crate) namespaced: bool,
    /// Reads one.
    pub(crate) read: fn(Value) -> Parsed<WorldObject>,
}

/// The kinds that the translation reads.
pub(crate) const KINDS: [KindReader; 22] = [
    api::<Gateway>(true),
    api::<VirtualService>(true),
    api::<DestinationRule>(true),
    api::<ServiceEntry>(true),
    api::<EnvoyFilter>(true),
    api::<GatewayClass>(false),
    api::<KubernetesGateway>(true),
    api::<ListenerSet>(true),
    api::<HttpRoute>(true),
    api::<GrpcRoute>(true),
    api::<TlsRoute>(true),
    api::<TcpRoute>(true),
    api::<UdpRoute>(true),
    api::<ReferenceGrant>(true),
    api::<BackendTlsPolicy>(true),
    api::<IngressGateway>(true),
    core::<Service>(true),
    core::<EndpointSlice>(true),
    core::<Pod>(true),
    core::<ConfigMap>(true),
    core::<Secret>(true),
    core::<Namespace>(false),
];

impl KindReader {
    /// Is the kind one of Kubernetes' own?
    fn is_core(&self) -> bool {
        !self.kind.group.contains(".istio.")
            && !self.is_gateway_api()
            && self.kind.group != IngressGateway::GROUP
    }

    /// Is the kind one of the Gateway API's?
    pub(crate) fn is_gateway_api(&self) -> bool {
        self.kind.group == KubernetesGateway::GROUP
    }

    /// Where an API server has it.
    pub(crate) fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.kind.group, self.version, self.kind.name);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }

    /// Which objects to ask an API server for; none: all of them.
    pub(crate) fn field_selector(&self) -> Option<&'static str> {
        match self.kind {
            kind if kind == Kind::of::<Secret>() => Some(SECRETS),
            // Every namespace has this one of the cluster's.
            kind if kind == Kind::of::<ConfigMap>() => Some("metadata.name!=kube-root-ca.crt"),
            _ => None,
        }
    }

    /// Reads an object from an API server.
    pub(crate) fn read_object(&self, object: DynamicObject) -> (ObjectKey, Parsed<WorldObject>) {
        let key = ObjectKey {
            kind: self.kind,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        };
        let mut parsed = (self.read)(whole(object, &self.resource()));
        if self.is_core() {
            // Fields that are newer than this program are the cluster's business.
            parsed.findings.retain(|finding| finding.level == Level::Error);
        }
        (key, parsed)
    }
}

/// Secrets that can hold certificates. What tools keep in others is large, and there may be many.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                       type!=kubernetes.io/dockerconfigjson,type!=bootstrap.kubernetes.io/token";

/// An object as it would stand in a file. The items of a list do not say what they are.
pub(crate) fn whole(object: DynamicObject, resource: &ApiResource) -> Value {
    let DynamicObject { metadata, data: mut value, .. } = object;
    value["apiVersion"] = json!(resource.api_version);
    value["kind"] = json!(resource.kind);
    value["metadata"] = serde_json::to_value(&metadata).unwrap_or_default();
    value
}

/// Kinds that would change what is served if Postern knew them: what they ask for is *not* done.
const MISSED: [(&str, &str); 7] = [
    ("security.istio.io", "AuthorizationPolicy"),
    ("security.istio.io", "RequestAuthentication"),
    ("networking.istio.io", "Sidecar"),
    ("networking.istio.io", "WorkloadEntry"),
    ("networking.istio.io", "ProxyConfig"),
    ("extensions.istio.io", "WasmPlugin"),
    ("telemetry.istio.io", "Telemetry"),
];

/// What is to be done with a kind.
#[derive(Debug)]
pub(crate) enum Treatment {
    /// It is read.
    Read(KindReader),
    /// It is none of Postern's business: Kubernetes' own kinds.
    Skip,
    /// It is left out, and this is said.
    Tell(Level, String),
}

/// What is to be done with objects of this kind.
pub(crate) fn treatment(api_version: &str, kind: &str) -> Treatment {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    if let Some(reader) = KINDS.iter().find(|reader| reader.kind.name == kind && reader.kind.group == group) {
        return Treatment::Read(*reader);
    }
    if MISSED.contains(&(group, kind)) {
        let message =
            format!("Postern does not honour {kind} objects yet: what this one asks for is not done");
        return Treatment::Tell(Level::Warning, message);
    }
    // Kubernetes' groups have no domain, or one that ends in k8s.io; the Gateway API's is its own project.
    let gateway_api = group.starts_with("gateway.networking.");
    if !gateway_api && (!group.contains('.') || group.ends_with(".k8s.io")) {
        return Treatment::Skip;
    }
    Treatment::Tell(Level::Info, format!("Postern does not read {kind} objects of {group}"))
}

const fn api<T: ApiObject + Into<WorldObject>>(namespaced: bool) -> KindReader {
    KindReader {
        kind: Kind::of::<T>(),
        version: T::VERSION,
        plural: T::URL_PATH_SEGMENT,
        namespaced,
        read: read_api::<T>,
    }
}

const fn core<T>(namespaced: bool) -> KindReader
where
    T: Resource + DeserializeOwned + Into<WorldObject>,
{
    KindReader {
        kind: Kind::of::<T>(),
        version: T::VERSION,
        plural: T::URL_PATH_SEGMENT,
        namespaced,
        read: read_core::<T>,
    }
}

fn read_api<T: ApiObject + Into<WorldObject>>(source: Value) -> Parsed<WorldObject> {
    let Parsed { object, findings, dropped } = parse::<T>(source);
    Parsed { object: object.map(Into::into), findings, dropped }
}

/// An object of Kubernetes itself. The API server checks these in a cluster; here, whatever is not of the type is an
/// error of the object, and what the type does not have a warning.
fn read_core<T>(source: Value) -> Parsed<WorldObject>
where
    T: Resource + DeserializeOwned + Into<WorldObject>,
{
    let refused = |finding| Parsed { object: None, findings: vec![finding], dropped: Dropped::default() };
    let version = source.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if version != T::API_VERSION {
        let message = format!("got {version:?}; it must be {:?}", T::API_VERSION);
        return refused(SchemaFinding::error(FieldPath::default().field("apiVersion"), message));
    }
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(ignored_path(&path));
    let deserializer = serde_ignored::Deserializer::new(source, &mut note);
    let object: T = match serde_path_to_error::deserialize(deserializer) {
        Ok(object) => object,
        Err(error) => {
            let path = error_path(error.path());
            let message = error.into_inner().to_string();
            let is_data = T::KIND == Secret::KIND && path.as_str().starts_with("data");
            let hint =
                if is_data { "; values of `data` are base64, `stringData` takes plain text" } else { "" };
            return refused(SchemaFinding::error(path, format!("{message}{hint}")));
        }
    };
    unknown.sort();
    let findings =
        unknown.into_iter().map(|path| SchemaFinding::warning(path, "unknown field; it is ignored"));
    Parsed { object: Some(object.into()), findings: findings.collect(), dropped: Dropped::default() }
}

fn error_path(path: &serde_path_to_error::Path) -> FieldPath {
    use serde_path_to_error::Segment;
    path.iter().fold(FieldPath::default(), |path, segment| match segment {
        Segment::Seq { index } => path.index(*index),
        Segment::Map { key } => path.field(key),
        Segment::Enum { .. } | Segment::Unknown => path,
    })
}

fn ignored_path(path: &serde_ignored::Path<'_>) -> FieldPath {
    use serde_ignored::Path;
    match path {
        Path::Root => FieldPath::default(),
        Path::Seq { parent, index } => ignored_path(parent).index(*index),
        Path::Map { parent, key } => ignored_path(parent).field(key),
        Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
            ignored_path(parent)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(parsed: &Parsed<WorldObject>) -> Vec<String> {
        parsed.findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn kinds_are_told_apart_by_their_groups() {
        let read = |version, kind| match treatment(version, kind) {
            Treatment::Read(reader) => reader.kind.group,
            other => panic!("{version} {kind}: {other:?}"),
        };
        assert_eq!(read("networking.istio.io/v1alpha3", "Gateway"), "networking.istio.io");
        assert_eq!(read("v1", "Service"), "");
        assert!(matches!(treatment("apps/v1", "Deployment"), Treatment::Skip));
        assert!(matches!(treatment("rbac.authorization.k8s.io/v1", "Role"), Treatment::Skip));
        assert!(matches!(treatment("serving.knative.dev/v1", "Service"), Treatment::Tell(Level::Info, _)));
        assert_eq!(read("gateway.networking.k8s.io/v1", "Gateway"), "gateway.networking.k8s.io");
        assert_eq!(read("gateway.networking.k8s.io/v1beta1", "ReferenceGrant"), "gateway.networking.k8s.io");
        let experiment = treatment("gateway.networking.x-k8s.io/v1alpha1", "XBackend");
        assert!(matches!(experiment, Treatment::Tell(Level::Info, _)));
        let policy = treatment("security.istio.io/v1", "AuthorizationPolicy");
        assert!(matches!(policy, Treatment::Tell(Level::Warning, _)));
    }

    #[test]
    fn core_objects_are_read_strictly() {
        let read = |object| (core::<Service>(true).read)(object);
        let good = read(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"},
            "spec": {"ports": [{"port": 80}]}}));
        assert!(good.object.is_some());
        assert_eq!(lines(&good), [""; 0]);

        let typo = read(
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 80, "tagetPort": 1}]}}),
        );
        assert!(typo.object.is_some());
        assert_eq!(
            lines(&typo),
            ["warning: spec.ports[0].tagetPort: unknown field; it is ignored [IST0133]"]
        );

        let bad = read(json!({"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": "http"}]}}));
        assert!(bad.object.is_none());
        assert_eq!(bad.findings[0].path.as_str(), "spec.ports[0].port");

        let old = read(json!({"apiVersion": "v2", "kind": "Service"}));
        assert_eq!(lines(&old), [r#"error: apiVersion: got "v2"; it must be "v1" [IST0106]"#]);
    }

    #[test]
    fn secrets_may_have_plain_text() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": "Opaque",
            "stringData": {"tls.crt": "x"}});
        let bad = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"tls.crt": "-----"}});
        let bad = (core::<Secret>(true).read)(bad);
        assert_eq!(bad.findings[0].path.as_str(), r#"data["tls.crt"]"#);
        assert!(bad.findings[0].message.contains("base64"), "{}", bad.findings[0]);
        let WorldObject::Secret(secret) = (core::<Secret>(true).read)(secret).object.unwrap() else {
            panic!()
        };
        assert_eq!(secret.string_data.as_ref().unwrap()["tls.crt"], "x");
    }
}
