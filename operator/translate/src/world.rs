//! The World: everything that was read, indexed and immutable.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::Metadata;
use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::finding::SchemaFinding;
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
use postern_api::meta::ObjectKey;
use postern_api::parse::{Dropped, Parsed};
use postern_api::postern::ingress_gateway::IngressGateway;

use crate::gateway_api::is_translated;
use crate::table::Table;

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Everything that was read: the input of [`translate`](crate::translate). Objects without a namespace of a kind
/// that has namespaces are in `default`, as `kubectl apply` puts them.
#[derive(Debug, Default)]
pub struct World {
    pub(crate) gateways: Table<Gateway>,
    pub(crate) virtual_services: Table<VirtualService>,
    pub(crate) destination_rules: Table<DestinationRule>,
    pub(crate) service_entries: Table<ServiceEntry>,
    pub(crate) envoy_filters: Table<EnvoyFilter>,
    pub(crate) gateway_classes: BTreeMap<String, Arc<GatewayClass>>,
    pub(crate) kubernetes_gateways: Table<KubernetesGateway>,
    pub(crate) listener_sets: Table<ListenerSet>,
    pub(crate) http_routes: Table<HttpRoute>,
    pub(crate) grpc_routes: Table<GrpcRoute>,
    pub(crate) tls_routes: Table<TlsRoute>,
    pub(crate) tcp_routes: Table<TcpRoute>,
    pub(crate) udp_routes: Table<UdpRoute>,
    pub(crate) reference_grants: Table<ReferenceGrant>,
    pub(crate) backend_tls_policies: Table<BackendTlsPolicy>,
    pub(crate) services: Table<Service>,
    pub(crate) secrets: Table<Secret>,
    pub(crate) config_maps: Table<ConfigMap>,
    pub(crate) ingress_gateways: Table<IngressGateway>,
    pub(crate) namespaces: BTreeMap<String, Arc<Namespace>>,
    /// By namespace and Service; each Service's sorted by the slices' names.
    slices: BTreeMap<String, BTreeMap<String, BTreeMap<String, Arc<EndpointSlice>>>>,
    /// The labels of pods, by namespace and name: subsets are of these.
    pods: BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>,
    pub(crate) read: BTreeMap<ObjectKey, ReadReport>,
}

/// What reading an object said.
#[derive(Debug, Default)]
pub(crate) struct ReadReport {
    pub(crate) findings: Vec<SchemaFinding>,
    pub(crate) dropped: Dropped,
}

impl World {
    /// An empty one, to be filled.
    #[must_use]
    pub fn builder() -> WorldBuilder {
        WorldBuilder::default()
    }

    /// The slices of a Service, by name.
    pub(crate) fn endpoint_slices(
        &self,
        namespace: &str,
        service: &str,
    ) -> impl Iterator<Item = &EndpointSlice> {
        let slices = self.slices.get(namespace).and_then(|services| services.get(service));
        slices.into_iter().flat_map(BTreeMap::values).map(AsRef::as_ref)
    }

    /// The labels of the pod that an endpoint of a slice of this namespace is.
    pub(crate) fn labels_behind(
        &self,
        endpoint: &Endpoint,
        namespace: &str,
    ) -> Option<&BTreeMap<String, String>> {
        let pod = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some(Pod::KIND))?;
        let namespace = pod.namespace.as_deref().unwrap_or(namespace);
        self.pods.get(namespace)?.get(pod.name.as_deref()?)
    }
}

impl FromIterator<WorldObject> for World {
    fn from_iter<I: IntoIterator<Item = WorldObject>>(objects: I) -> Self {
        let mut builder = Self::builder();
        builder.extend(objects);
        builder.build()
    }
}

/// Fills a [`World`]. The order of the objects does not matter; of two of the same kind, namespace and name the
/// later one counts.
#[derive(Debug, Default)]
pub struct WorldBuilder(World);

impl WorldBuilder {
    /// Adds an object. Of one that Postern wrote itself nothing is translated: it stands for objects of the Gateway API.
    pub fn object(&mut self, object: impl Into<WorldObject>) -> &mut Self {
        let (object, world) = (object.into(), &mut self.0);
        if object.is_translated() {
            return self;
        }
        match object {
            WorldObject::Gateway(object) => insert(&mut world.gateways, object),
            WorldObject::VirtualService(object) => insert(&mut world.virtual_services, object),
            WorldObject::DestinationRule(object) => insert(&mut world.destination_rules, object),
            WorldObject::ServiceEntry(object) => insert(&mut world.service_entries, object),
            WorldObject::EnvoyFilter(object) => insert(&mut world.envoy_filters, object),
            WorldObject::GatewayClass(object) => {
                world.gateway_classes.insert(name_of(&object.metadata), object);
            }
            WorldObject::KubernetesGateway(object) => insert(&mut world.kubernetes_gateways, object),
            WorldObject::ListenerSet(object) => insert(&mut world.listener_sets, object),
            WorldObject::HttpRoute(object) => insert(&mut world.http_routes, object),
            WorldObject::GrpcRoute(object) => insert(&mut world.grpc_routes, object),
            WorldObject::TlsRoute(object) => insert(&mut world.tls_routes, object),
            WorldObject::TcpRoute(object) => insert(&mut world.tcp_routes, object),
            WorldObject::UdpRoute(object) => insert(&mut world.udp_routes, object),
            WorldObject::ReferenceGrant(object) => insert(&mut world.reference_grants, object),
            WorldObject::BackendTlsPolicy(object) => insert(&mut world.backend_tls_policies, object),
            WorldObject::ConfigMap(object) => insert(&mut world.config_maps, object),
            WorldObject::IngressGateway(object) => insert(&mut world.ingress_gateways, object),
            WorldObject::Service(object) => insert(&mut world.services, object),
            WorldObject::Secret(object) => insert(&mut world.secrets, object),
            WorldObject::Namespace(object) => {
                world.namespaces.insert(name_of(&object.metadata), object);
            }
            WorldObject::EndpointSlice(object) => self.slice(object),
            WorldObject::Pod(object) => {
                let Pod { metadata, .. } = object.as_ref();
                let labels = metadata.labels.clone().unwrap_or_default();
                self.pod(namespace_of(metadata), name_of(metadata), labels);
            }
        }
        self
    }

    /// Adds an object as it was read: what could be read of it, and what was wrong. The latter becomes findings of
    /// the object, also when nothing of it could be read; and paths of other findings are those of the source.
    pub fn parsed<T>(&mut self, key: ObjectKey, parsed: Parsed<T>) -> &mut Self
    where
        T: Into<WorldObject>,
    {
        let Parsed { object, findings, dropped } = parsed;
        if let Some(object) = object.map(Into::into) {
            if object.is_translated() {
                return self;
            }
            self.object(object);
        }
        self.0.read.insert(key, ReadReport { findings, dropped });
        self
    }

    /// Adds a pod, of which only the labels matter.
    pub fn pod(&mut self, namespace: String, name: String, labels: BTreeMap<String, String>) -> &mut Self {
        self.0.pods.entry(namespace).or_default().insert(name, labels);
        self
    }

    /// The World.
    #[must_use]
    pub fn build(self) -> World {
        self.0
    }

    fn slice(&mut self, slice: Arc<EndpointSlice>) {
        // A slice of no Service is somebody else's.
        let Some(service) = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL))
        else {
            return;
        };
        let services = self.0.slices.entry(namespace_of(&slice.metadata)).or_default();
        services.entry(service.clone()).or_default().insert(name_of(&slice.metadata), slice);
    }
}

impl Extend<WorldObject> for WorldBuilder {
    fn extend<I: IntoIterator<Item = WorldObject>>(&mut self, objects: I) {
        for object in objects {
            self.object(object);
        }
    }
}

impl WorldObject {
    /// Is it an object of Istio that Postern wrote?
    #[must_use]
    pub fn is_translated(&self) -> bool {
        match self {
            Self::Gateway(object) => is_translated(&object.metadata),
            Self::VirtualService(object) => is_translated(&object.metadata),
            Self::DestinationRule(object) => is_translated(&object.metadata),
            Self::ServiceEntry(object) => is_translated(&object.metadata),
            _ => false,
        }
    }
}

fn insert<T: Metadata<Ty = ObjectMeta>>(table: &mut Table<T>, object: Arc<T>) {
    let metadata = object.metadata();
    table.insert(namespace_of(metadata), name_of(metadata), object);
}

pub(crate) fn namespace_of(metadata: &ObjectMeta) -> String {
    metadata
        .namespace
        .clone()
        .filter(|namespace| !namespace.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}

pub(crate) fn name_of(metadata: &ObjectMeta) -> String {
    metadata.name.clone().unwrap_or_default()
}

/// The identity of an object of a kind that has namespaces, in the namespace where the World has it.
#[must_use]
pub fn key_of<T: Metadata<Ty = ObjectMeta>>(object: &T) -> ObjectKey {
    let metadata = object.metadata();
    ObjectKey::new::<T>(namespace_of(metadata), name_of(metadata))
}

/// Defines [`WorldObject`] and its `From`s.
macro_rules! world_objects {
    ($($kind:ident),* $(,)?) => {
        /// An object of a kind that the translation reads.
        #[derive(Clone, Debug)]
        pub enum WorldObject {
            $(
                #[doc = concat!("A [`", stringify!($kind), "`].")]
                $kind(Arc<$kind>),
            )*
        }
        $(
            impl From<Arc<$kind>> for WorldObject {
                fn from(object: Arc<$kind>) -> Self {
                    Self::$kind(object)
                }
            }
            impl From<$kind> for WorldObject {
                fn from(object: $kind) -> Self {
                    Self::$kind(Arc::new(object))
                }
            }
        )*
    };
}

world_objects!(
    Gateway,
    VirtualService,
    DestinationRule,
    ServiceEntry,
    EnvoyFilter,
    GatewayClass,
    KubernetesGateway,
    ListenerSet,
    HttpRoute,
    GrpcRoute,
    TlsRoute,
    TcpRoute,
    UdpRoute,
    ReferenceGrant,
    BackendTlsPolicy,
    IngressGateway,
    Service,
    Pod,
    EndpointSlice,
    ConfigMap,
    Secret,
    Namespace,
);
