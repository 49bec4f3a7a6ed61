//! `parametersRef` of GatewayClasses and Gateways: the objects that they lead to.
//!
//! Only which objects there are: what they mean is for the class to say (`infrastructure`, for ingresses of Postern's
//! own).

use std::sync::Arc;

use k8s_openapi::Resource as _;
use k8s_openapi::api::core::v1::ConfigMap;
use postern_api::finding::FieldPath;
use postern_api::gateway_api::gateway::Gateway;
use postern_api::gateway_api::gateway_class::GatewayClass;
use postern_api::meta::{Kind, ObjectKey};
use postern_api::postern::ingress_gateway::IngressGateway;

use super::denial::Denial;
use crate::finding::Reason;
use crate::world::World;

/// What a reference leads to.
#[derive(Clone, Debug)]
pub(super) struct Parameters {
    /// Who refers to it.
    pub(super) referrer: ObjectKey,
    /// With which field.
    pub(super) path: FieldPath,
    /// What it is.
    pub(super) object: ParametersObject,
}

/// The kinds of objects with parameters.
#[derive(Clone, Debug)]
pub(super) enum ParametersObject {
    /// Keys with text; which ones is up to the reader.
    ConfigMap(Arc<ConfigMap>),
    /// Settings of an ingress.
    IngressGateway(Arc<IngressGateway>),
}

/// Where a class refers to its parameters.
pub(super) fn path_of_class() -> FieldPath {
    FieldPath::spec().field("parametersRef")
}

/// Where a Gateway refers to its parameters.
pub(super) fn path_of_gateway() -> FieldPath {
    FieldPath::spec().field("infrastructure").field("parametersRef")
}

/// The parameters of a class. It has no namespace, so the reference needs one; whoever may write classes may name objects
/// anywhere.
///
/// # Errors
/// When there is no such object, or it is of no kind that has parameters.
pub(super) fn of_class(class: &GatewayClass, world: &World) -> Result<Option<Parameters>, Denial> {
    let Some(reference) = &class.spec.parameters_ref else { return Ok(None) };
    let Some(namespace) = reference.namespace.as_deref().filter(|it| !it.is_empty()) else {
        let message = format!("{} {} needs a namespace", reference.kind, reference.name);
        return Err(Denial::new(Reason::InvalidParameters, message));
    };
    let name = class.metadata.name.clone().unwrap_or_default();
    Ok(Some(Parameters {
        referrer: ObjectKey::new::<GatewayClass>("", name),
        path: path_of_class(),
        object: find(&reference.group, &reference.kind, namespace, &reference.name, world)?,
    }))
}

/// The parameters of a Gateway itself, not those of its class.
///
/// # Errors
/// When there is no such object in its namespace, or it is of no kind that has parameters.
pub(super) fn of_gateway(
    gateway: &Gateway,
    key: &ObjectKey,
    world: &World,
) -> Result<Option<Parameters>, Denial> {
    let reference = gateway.spec.infrastructure.as_ref().and_then(|it| it.parameters_ref.as_ref());
    let Some(reference) = reference else { return Ok(None) };
    Ok(Some(Parameters {
        referrer: key.clone(),
        path: path_of_gateway(),
        object: find(&reference.group, &reference.kind, &key.namespace, &reference.name, world)?,
    }))
}

fn find(
    group: &str,
    kind: &str,
    namespace: &str,
    name: &str,
    world: &World,
) -> Result<ParametersObject, Denial> {
    let found = if (group, kind) == (ConfigMap::GROUP, ConfigMap::KIND) {
        world.config_maps.get(namespace, name).cloned().map(ParametersObject::ConfigMap)
    } else if (group, kind) == (IngressGateway::GROUP, IngressGateway::KIND) {
        world.ingress_gateways.get(namespace, name).cloned().map(ParametersObject::IngressGateway)
    } else {
        let group = if group.is_empty() { "the core group" } else { group };
        let message = format!(
            "parameters are in a ConfigMap or in an IngressGateway of {}, not in a {kind} of {group}",
            IngressGateway::GROUP
        );
        return Err(Denial::new(Reason::InvalidParameters, message));
    };
    found.ok_or_else(|| {
        let key = ObjectKey {
            kind: Kind::of::<IngressGateway>(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let why = if kind == IngressGateway::KIND && world.read.contains_key(&key) {
            "has errors"
        } else {
            "does not exist"
        };
        Denial::new(Reason::InvalidParameters, format!("{kind} {namespace}/{name} {why}"))
    })
}
