//! Namespaces that a listener or a Gateway admits.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use postern_api::gateway_api::gateway::FromNamespaces;

use crate::world::World;

/// The label that every namespace has.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Namespaces.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Namespaces {
    All,
    Only(BTreeSet<String>),
}

impl Namespaces {
    /// Those that `from` and `selector` say, seen from a namespace.
    pub(super) fn of(
        from: FromNamespaces,
        selector: Option<&LabelSelector>,
        own: &str,
        world: &World,
    ) -> Self {
        match from {
            FromNamespaces::All => Self::All,
            FromNamespaces::Same => Self::Only([own.to_owned()].into()),
            FromNamespaces::None => Self::Only(BTreeSet::new()),
            FromNamespaces::Selector => {
                Self::Only(selector.map(|it| selected(it, world)).unwrap_or_default())
            }
        }
    }

    pub(super) fn admit(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(namespace),
        }
    }
}

fn selected(selector: &LabelSelector, world: &World) -> BTreeSet<String> {
    let namespaces = world.namespaces.iter().filter(|(name, namespace)| {
        let mut labels = namespace.metadata.labels.clone().unwrap_or_default();
        // The API server sets it; files may lack it.
        labels.entry(NAME_LABEL.to_owned()).or_insert_with(|| (*name).clone());
        selects(selector, &labels)
    });
    namespaces.map(|(name, _)| name.clone()).collect()
}

/// Kubernetes' rules: all of both lists must hold; an empty selector selects everything.
fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let equal = selector.match_labels.iter().flatten().all(|(key, value)| labels.get(key) == Some(value));
    equal && selector.match_expressions.iter().flatten().all(|requirement| holds(requirement, labels))
}

fn holds(requirement: &LabelSelectorRequirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(&requirement.key);
    let listed = |value: &String| requirement.values.iter().flatten().any(|candidate| candidate == value);
    match requirement.operator.as_str() {
        "In" => value.is_some_and(listed),
        "NotIn" => !value.is_some_and(listed),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_are_those_of_kubernetes() {
        let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
        let selects = |selector| selects(&serde_json::from_value(selector).unwrap(), &labels);
        assert!(selects(json!({})));
        assert!(selects(json!({"matchLabels": {"team": "shop"}})));
        assert!(!selects(json!({"matchLabels": {"team": "web"}})));
        let expression = |operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": "team", "operator": operator, "values": values}]});
        assert!(selects(expression("In", &["web", "shop"])));
        assert!(!selects(expression("NotIn", &["shop"])));
        assert!(selects(expression("Exists", &[])));
        assert!(!selects(expression("DoesNotExist", &[])));
        assert!(selects(
            json!({"matchExpressions": [{"key": "zone", "operator": "NotIn", "values": ["a"]}]})
        ));
        assert!(!selects(expression("Like", &["shop"])));
    }
}
