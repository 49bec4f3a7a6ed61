//! Which ingresses there are, what they are called, and which Gateways each of them serves.
//!
//! An *ingress* is one managed Deployment with its Service. Every Gateway with a selector has a home: the ingress
//! that its selector names. Of the selector:
//!
//! | `spec.selector` | name of the ingress |
//! |---|---|
//! | `istio: V` | `istio-V` |
//! | `app: V` | `V` |
//! | `istio: V` and `app: istio-V` | `istio-V` |
//! | anything else | `V` of `istio`, then each other label as `key-value` (keys without their domain, sorted), then 8 digits of a hash of the selector: `istio-ingressgateway-env-prod-1f0c8a52` |
//!
//! A name that would not be a DNS label, or is longer than 63 characters, is made one (lower case, dashes, cut) and
//! gets the hash too; so two selectors never share a name, but for the three forms that mean the same.
//!
//! The pods of an ingress carry the labels of its selector, and `app: NAME`, and for a name `istio-V` also
//! `istio: V`, as those of Istio's own installation do. A Gateway is served by *every* ingress whose pods have all
//! labels of its selector (Istio: the selector is a subset of the pod's labels, in whatever namespace the Gateway
//! is); an empty selector by all ingresses, or by `istio-ingressgateway` if there is no other.
//!
//! A Gateway of the Gateway API has an ingress of its own, `NAME-CLASS` in its namespace, which serves no other.

use std::collections::BTreeMap;
use std::fmt;

use postern_api::meta::ObjectKey;
use postern_snapshot::manifest::Hash;

use crate::config::{GatewayConfig, IstioConfig, OwnIngress, Placement};
use crate::options::Options;

/// The longest name of a Service: a DNS label (RFC 1035).
const MAX_NAME: usize = 63;

/// The identity of an ingress: of its Deployment and Service. Written `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IngressName {
    /// The namespace of the pods.
    pub namespace: String,
    /// The name of Deployment and Service, a DNS label.
    pub name: String,
}

impl fmt::Display for IngressName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl IngressName {
    /// The name of the ingress of a selector that is not empty, in the namespace of its pods.
    #[must_use]
    pub fn of(selector: &BTreeMap<String, String>, namespace: impl Into<String>) -> Self {
        Self { namespace: namespace.into(), name: name_for(selector) }
    }

    /// The name of the ingress of a Gateway of the Gateway API, in its namespace (Istio): `NAME-CLASS`.
    pub(crate) fn of_gateway(gateway: &ObjectKey, class: &str) -> Self {
        let name = format!("{}-{class}", gateway.name);
        let name = if is_service_name(&name) {
            name
        } else {
            with_hash(&name, &format!("{}\0{class}", gateway.name))
        };
        Self { namespace: gateway.namespace.clone(), name }
    }
}

/// An ingress and what it serves.
#[derive(Debug)]
pub(crate) struct Ingress<'a> {
    pub(crate) name: IngressName,
    /// The Gateway of the Gateway API that it is for alone.
    pub(crate) owner: Option<&'a OwnIngress>,
    /// Of its pods.
    pub(crate) labels: BTreeMap<String, String>,
    /// The oldest first.
    pub(crate) gateways: Vec<&'a GatewayConfig>,
}

/// The ingresses that the Gateways need, which are sorted, the oldest first.
pub(crate) fn ingresses<'a>(config: &'a IstioConfig, options: &Options) -> Vec<Ingress<'a>> {
    let mut ingresses = shared_ingresses(&config.gateways, options);
    // Those of the Gateway API have one Gateway, and nobody else's.
    ingresses.extend(config.own_ingresses.iter().map(|own| {
        let is_its = |gateway: &&GatewayConfig| matches!(&gateway.placement, Placement::Own(name) if *name == own.name);
        Ingress {
            name: own.name.clone(),
            owner: Some(own),
            labels: own.labels.clone(),
            gateways: config.gateways.iter().filter(is_its).collect(),
        }
    }));
    ingresses
}

fn shared_ingresses<'a>(gateways: &'a [GatewayConfig], options: &Options) -> Vec<Ingress<'a>> {
    let mut homes: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut anywhere = false;
    for gateway in gateways.iter().filter(|gateway| gateway.wants_ingress()) {
        let Placement::Selector(selector) = &gateway.placement else { continue };
        if selector.is_empty() {
            anywhere = true;
            continue;
        }
        let name = name_for(selector);
        let labels = homes.entry(name.clone()).or_insert_with(|| conventional_labels(&name));
        labels.extend(selector.clone());
    }
    if homes.is_empty() && anywhere {
        let name = "istio-ingressgateway".to_owned();
        homes.insert(name.clone(), conventional_labels(&name));
    }
    homes
        .into_iter()
        .map(|(name, labels)| Ingress {
            name: IngressName { namespace: options.root_namespace.clone(), name },
            owner: None,
            gateways: gateways.iter().filter(|gateway| gateway.placement.covers(&labels)).collect(),
            labels,
        })
        .collect()
}

impl Placement {
    /// Does a Gateway that is placed so belong to an ingress whose pods have these labels?
    fn covers(&self, labels: &BTreeMap<String, String>) -> bool {
        match self {
            Self::Selector(selector) => is_subset(selector, labels),
            Self::Own(_) => false,
        }
    }
}

/// Has something with these labels all of the selector's?
#[must_use]
pub fn is_subset(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// The labels that the pods of an ingress of this name have whatever the selector.
fn conventional_labels(name: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([("app".to_owned(), name.to_owned())]);
    if let Some(rest) = name.strip_prefix("istio-") {
        labels.insert("istio".to_owned(), rest.to_owned());
    }
    labels
}

/// The name of the ingress of a selector; see the module's documentation. The selector is not empty.
fn name_for(selector: &BTreeMap<String, String>) -> String {
    let istio = selector.get("istio").map(|value| format!("istio-{value}"));
    let simple = match (&istio, selector.get("app"), selector.len()) {
        (Some(istio), None, 1) => Some(istio),
        (None, Some(app), 1) => Some(app),
        (Some(istio), Some(app), 2) if istio == app => Some(istio),
        _ => None,
    };
    if let Some(name) = simple.filter(|name| is_service_name(name)) {
        return name.clone();
    }
    let others = selector.iter().filter(|(key, _)| *key != "istio").map(|(key, value)| {
        let key = key.rsplit_once('/').map_or(key.as_str(), |(_, key)| key);
        format!("{key}-{value}")
    });
    let readable = istio.clone().into_iter().chain(others).collect::<Vec<_>>().join("-");
    // Labels hold neither NUL nor newline, so this form is the selector's alone.
    let canonical: String = selector.iter().map(|(key, value)| format!("{key}\0{value}\n")).collect();
    with_hash(&readable, &canonical)
}

/// Makes a DNS label of a text, unique for its canonical form.
pub(crate) fn with_hash(readable: &str, canonical: &str) -> String {
    let hash: String = Hash::of(canonical.as_bytes()).short().chars().take(8).collect();
    let mut name: String = readable
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' })
        .take(MAX_NAME - hash.len() - 1)
        .collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert_str(0, "ingress-");
        name.truncate(MAX_NAME - hash.len() - 1);
    }
    format!("{}-{hash}", name.trim_end_matches('-'))
}

/// A name that a Service may have (RFC 1035): it starts with a letter.
fn is_service_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(labels: &[(&str, &str)]) -> String {
        name_for(&labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn simple_selectors_give_simple_names() {
        assert_eq!(name(&[("istio", "ingressgateway")]), "istio-ingressgateway");
        assert_eq!(name(&[("istio", "canary-ingressgateway")]), "istio-canary-ingressgateway");
        assert_eq!(name(&[("app", "edge")]), "edge");
        assert_eq!(name(&[("istio", "ingress"), ("app", "istio-ingress")]), "istio-ingress");
    }

    #[test]
    fn other_selectors_get_a_hash() {
        let prod = name(&[("istio", "ingressgateway"), ("example.com/env", "prod")]);
        assert!(prod.starts_with("istio-ingressgateway-env-prod-"), "{prod}");
        let other = name(&[("istio", "ingressgateway"), ("other.com/env", "prod")]);
        assert_ne!(prod, other);
        let upper = name(&[("app", "Edge_1")]);
        assert!(upper.starts_with("app-edge-1-"), "{upper}");
    }

    #[test]
    fn every_name_is_one_of_a_service() {
        let long = "x".repeat(63);
        for labels in [
            &[("istio", long.as_str())][..],
            &[("app", "1st")],
            &[("app", "a.b")],
            &[("9", "-")],
            &[("istio", ""), ("app", "")],
            &[("app", "edge-")],
        ] {
            let name = name(labels);
            assert!(is_service_name(&name), "{labels:?}: {name}");
        }
    }
}
