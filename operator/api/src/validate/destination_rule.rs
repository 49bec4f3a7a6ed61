//! Rules about DestinationRules.

use std::collections::BTreeSet;

use super::{Findings, Validate, common, traffic_policy};
use crate::finding::SchemaFinding;
use crate::istio::destination_rule::{DestinationRule, DestinationRuleSpec};
use crate::place::Place;
use crate::value::Visibility;

impl Validate for DestinationRule {
    fn validate(&self) -> Vec<SchemaFinding> {
        let mut findings = Findings::default();
        let object = Place::Object;
        let at = object.field("spec");
        let DestinationRuleSpec { host: _, traffic_policy, subsets, export_to, workload_selector } =
            &self.spec;
        let namespace = self.metadata.namespace.as_deref().unwrap_or_default();
        if let Some(policy) = traffic_policy {
            traffic_policy::validate(policy, namespace, &at.field("trafficPolicy"), &mut findings);
        }
        let mut names = BTreeSet::new();
        let list = at.field("subsets");
        for (index, subset) in subsets.iter().enumerate() {
            let at = list.index(index);
            common::unique(subset.name.as_str(), &mut names, &at.field("name"), &mut findings);
            common::subset_name(&subset.name, &at.field("name"), &mut findings);
            common::labels(&subset.labels, &at.field("labels"), &mut findings);
            if let Some(policy) = &subset.traffic_policy {
                traffic_policy::validate(policy, namespace, &at.field("trafficPolicy"), &mut findings);
            }
        }
        common::export_to(export_to, namespace, false, &at.field("exportTo"), &mut findings);
        if let Some(selector) = workload_selector {
            common::selector(
                &selector.match_labels,
                &at.field("workloadSelector").field("matchLabels"),
                &mut findings,
            );
            let own = |entry: &Visibility| match entry {
                Visibility::Own => true,
                Visibility::Namespace(name) => name == namespace,
                Visibility::Public | Visibility::Nobody => false,
            };
            if !export_to.iter().all(own) {
                findings.error(
                    &at.field("exportTo"),
                    "a rule with a workloadSelector is for its own namespace only (\".\")",
                );
            }
        }
        findings.0
    }
}

#[cfg(test)]
#[path = "destination_rule_tests.rs"]
mod tests;
