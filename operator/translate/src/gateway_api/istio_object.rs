//! An object of Istio.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::istio::gateway::Gateway;
use postern_api::istio::service_entry::ServiceEntry;
use postern_api::istio::virtual_service::VirtualService;
use postern_api::meta::ObjectKey;
use serde::Serialize;

use super::istio_objects::TRANSLATED_FROM;
use crate::world::key_of;

/// An object of Istio, complete.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum IstioObject {
    /// A Gateway.
    Gateway(Box<Gateway>),
    /// A VirtualService.
    VirtualService(Box<VirtualService>),
    /// A DestinationRule.
    DestinationRule(Box<DestinationRule>),
    /// A ServiceEntry.
    ServiceEntry(Box<ServiceEntry>),
}

impl IstioObject {
    /// Which object.
    #[must_use]
    pub fn key(&self) -> ObjectKey {
        match self {
            Self::Gateway(object) => key_of(object.as_ref()),
            Self::VirtualService(object) => key_of(object.as_ref()),
            Self::DestinationRule(object) => key_of(object.as_ref()),
            Self::ServiceEntry(object) => key_of(object.as_ref()),
        }
    }

    /// What it was translated from: the value of [`TRANSLATED_FROM`].
    #[must_use]
    pub fn origin(&self) -> &str {
        let annotation = self.metadata().annotations.as_ref().and_then(|all| all.get(TRANSLATED_FROM));
        annotation.map_or("", String::as_str)
    }

    /// Its name, namespace, labels and so on.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Gateway(object) => &object.metadata,
            Self::VirtualService(object) => &object.metadata,
            Self::DestinationRule(object) => &object.metadata,
            Self::ServiceEntry(object) => &object.metadata,
        }
    }

    pub(super) fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Gateway(object) => &mut object.metadata,
            Self::VirtualService(object) => &mut object.metadata,
            Self::DestinationRule(object) => &mut object.metadata,
            Self::ServiceEntry(object) => &mut object.metadata,
        }
    }
}
