//! Subsets of a service: the endpoints that have some labels, with a traffic policy of their own.

use std::collections::BTreeMap;

use postern_api::istio::destination_rule::Subset;

use super::rule_index::Rule;

/// A subset, and where it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct FoundSubset<'r> {
    pub(super) rule: &'r Rule<'r>,
    /// Its place in `spec.subsets`.
    pub(super) index: usize,
    pub(super) subset: &'r Subset,
}

/// The subset of this name: of rules for one host, the oldest that has it (Istio).
pub(super) fn find<'r>(rules: &[&'r Rule<'r>], name: &str) -> Option<FoundSubset<'r>> {
    rules.iter().find_map(|rule| {
        let mut subsets = rule.object.spec.subsets.iter().enumerate();
        let (index, subset) = subsets.find(|(_, subset)| subset.name == name)?;
        Some(FoundSubset { rule, index, subset })
    })
}

/// The labels that an endpoint must have; none for a whole service.
pub(super) type Labels = BTreeMap<String, String>;
