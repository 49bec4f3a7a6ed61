//! IstioConfig: the one model. Istio's own objects join here those that the Gateway API's are translated to; what
//! Istio's API cannot say of the latter are explicit fields beside the object.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use postern_api::istio::gateway::Gateway;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::{Generation, ObjectKey};

use crate::world::{World, key_of};

/// The one model of what ingresses serve, oldest objects first.
#[derive(Debug, Default)]
pub(crate) struct IstioConfig {
    pub(crate) gateways: Vec<GatewayConfig>,
    pub(crate) virtual_services: Vec<VirtualServiceConfig>,
}

/// A Gateway and what is meant by it.
#[derive(Debug)]
pub(crate) struct GatewayConfig {
    pub(crate) key: ObjectKey,
    pub(crate) generation: Generation,
    pub(crate) object: Arc<Gateway>,
    pub(crate) placement: Placement,
}

/// Which ingresses a Gateway is for.
#[derive(Debug)]
pub(crate) enum Placement {
    /// Those whose pods have these labels (`spec.selector`); empty: all.
    Selector(BTreeMap<String, String>),
}

/// A VirtualService and what is meant by it.
#[derive(Debug)]
pub(crate) struct VirtualServiceConfig {
    pub(crate) key: ObjectKey,
    pub(crate) generation: Generation,
    pub(crate) object: Arc<VirtualService>,
    pub(crate) semantics: RouteSemantics,
}

/// Where the Gateway API means something else than a VirtualService that looks the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RouteSemantics {
    pub(crate) prefix: PrefixSemantics,
    /// The answer where a destination does not exist.
    pub(crate) missing_destination_status: u16,
    /// The code of a redirect that names none.
    pub(crate) default_redirect_status: u16,
}

/// What a path prefix takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PrefixSemantics {
    /// Every path that starts with the text.
    Text,
}

impl RouteSemantics {
    /// Istio's own.
    pub(crate) const ISTIO: Self =
        Self { prefix: PrefixSemantics::Text, missing_destination_status: 503, default_redirect_status: 301 };
}

/// World → IstioConfig.
pub(crate) fn istio_config(world: &World) -> IstioConfig {
    let mut gateways: Vec<_> = world
        .gateways
        .iter()
        .map(|object| GatewayConfig {
            key: key_of(object.as_ref()),
            generation: Generation::of(object.as_ref()),
            placement: Placement::Selector(object.spec.selector.clone()),
            object: Arc::clone(object),
        })
        .collect();
    gateways.sort_by(|a, b| by_age(&a.object.metadata, &a.key, &b.object.metadata, &b.key));
    let mut virtual_services: Vec<_> = world
        .virtual_services
        .iter()
        .map(|object| VirtualServiceConfig {
            key: key_of(object.as_ref()),
            generation: Generation::of(object.as_ref()),
            semantics: RouteSemantics::ISTIO,
            object: Arc::clone(object),
        })
        .collect();
    virtual_services.sort_by(|a, b| by_age(&a.object.metadata, &a.key, &b.object.metadata, &b.key));
    IstioConfig { gateways, virtual_services }
}

/// Istio's order: the oldest first; of the same age by name, then by namespace. Objects from files have no age.
pub(crate) fn by_age(a: &ObjectMeta, a_key: &ObjectKey, b: &ObjectMeta, b_key: &ObjectKey) -> Ordering {
    fn created(metadata: &ObjectMeta) -> Option<&Time> {
        metadata.creation_timestamp.as_ref()
    }
    created(a)
        .cmp(&created(b))
        .then_with(|| a_key.name.cmp(&b_key.name))
        .then_with(|| a_key.namespace.cmp(&b_key.namespace))
}
