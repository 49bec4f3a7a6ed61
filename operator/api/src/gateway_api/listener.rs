//! Listeners of Gateways and ListenerSets, and the rules that both share.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use super::GROUP;
use super::gateway::{FromNamespaces, Gateway};
use super::hostname::Hostname;
use super::listener_set::ListenerSet;
use super::reference::SecretObjectReference;
use crate::finding::SchemaFinding;
use crate::place::Place;
use crate::validate::Validate;
use crate::value::Port;

/// One port for some hosts (`Listener`, and `ListenerEntry` of a ListenerSet).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Its name, unique in the object.
    pub name: String,
    /// The hosts; none means all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Hostname>,
    /// The port.
    pub port: Port,
    /// What is spoken: `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or an implementation's own.
    pub protocol: String,
    /// TLS settings, of `HTTPS` and `TLS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Which routes may be attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_routes: Option<AllowedRoutes>,
}

/// TLS settings of a listener.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListenerTls {
    /// As written; see [`Self::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The certificates, for `Terminate`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub certificate_refs: Vec<SecretObjectReference>,
    /// Settings of implementations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
}

impl ListenerTls {
    /// The mode; `Terminate` if it is left out.
    #[must_use]
    pub fn mode(&self) -> TlsMode {
        self.mode.unwrap_or(TlsMode::Terminate)
    }
}

/// Who speaks TLS with the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TlsMode {
    /// The Gateway.
    Terminate,
    /// The backend.
    Passthrough,
}

/// Which routes may be attached to a listener.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    /// Of which namespaces; the listener's own if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<RouteNamespaces>,
    /// Of which kinds; empty: those that fit the protocol.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<RouteGroupKind>,
}

/// Namespaces of routes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouteNamespaces {
    /// Which; `Same` if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<FromNamespaces>,
    /// Those with these labels, for `Selector`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

/// A kind of route.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteGroupKind {
    /// As written; see [`Self::group`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The kind.
    pub kind: String,
}

impl RouteGroupKind {
    /// The API group; the Gateway API's if it is left out.
    #[must_use]
    pub fn group(&self) -> &str {
        self.group.as_deref().unwrap_or(GROUP)
    }
}

impl Validate for Gateway {
    fn validate(&self) -> Vec<SchemaFinding> {
        unique_names(&self.spec.listeners)
    }
}

impl Validate for ListenerSet {
    fn validate(&self) -> Vec<SchemaFinding> {
        unique_names(&self.spec.listeners)
    }
}

/// The names of listeners are unique; a later one of the same name is at fault.
fn unique_names(listeners: &[Listener]) -> Vec<SchemaFinding> {
    let spec = Place::Field(&Place::Object, "spec");
    let list = spec.field("listeners");
    let mut seen = BTreeSet::new();
    let mut findings = Vec::new();
    for (index, listener) in listeners.iter().enumerate() {
        if !seen.insert(listener.name.as_str()) {
            let message = format!("{} is there twice; it must be unique", listener.name);
            findings.push(SchemaFinding::error(list.index(index).field("name").path(), message));
        }
    }
    findings
}
