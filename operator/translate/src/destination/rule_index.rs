//! Which DestinationRule is for a service.
//!
//! Istio's rules: the namespaces are searched in an order, that of the proxy, that of the service, and the root
//! namespace; the first that has a rule for the host decides. If the proxy is in the root namespace itself, of its rules
//! only those that are for it alone (`exportTo: ["."]`) come first. In one namespace the most specific host wins; several
//! rules for the same host are one: the subsets of all, and the traffic policy of the oldest that has one.

use std::collections::BTreeMap;

use postern_api::finding::FieldPath;
use postern_api::istio::destination_rule::DestinationRule;
use postern_api::meta::ObjectKey;
use postern_api::value::{HostPattern, Visibility};

use crate::config::by_age;
use crate::ingress::is_subset;
use crate::names::complete;
use crate::options::Options;
use crate::virtual_service::attach::reaches;
use crate::world::{World, key_of};

/// All DestinationRules, by namespace; each namespace's are sorted by age.
#[derive(Debug)]
pub(crate) struct RuleIndex<'a> {
    root: &'a str,
    namespaces: BTreeMap<String, Vec<Rule<'a>>>,
}

/// A rule.
#[derive(Debug)]
pub(crate) struct Rule<'a> {
    pub(crate) key: ObjectKey,
    pub(crate) object: &'a DestinationRule,
    /// The whole name.
    host: HostPattern,
    /// It has a traffic policy that is left out because of errors.
    pub(super) lost_policy: bool,
}

/// Whose connections are asked about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a> {
    /// The namespace of the ingress's pods.
    pub(crate) namespace: &'a str,
    /// Their labels.
    pub(crate) labels: &'a BTreeMap<String, String>,
}

impl<'a> RuleIndex<'a> {
    pub(crate) fn new(world: &'a World, options: &'a Options) -> Self {
        let mut namespaces: BTreeMap<String, Vec<Rule<'a>>> = BTreeMap::new();
        for object in world.destination_rules.iter() {
            let key = key_of(object.as_ref());
            let host = match &object.spec.host {
                HostPattern::Exact(host) => {
                    HostPattern::Exact(complete(host, &key.namespace, &options.cluster_domain))
                }
                wildcard => wildcard.clone(),
            };
            let policy = FieldPath::spec().field("trafficPolicy");
            let report = world.read.get(&key);
            let lost_policy = report.is_some_and(|report| report.dropped.paths().any(|path| path == policy));
            let rules = namespaces.entry(key.namespace.clone()).or_default();
            rules.push(Rule { key, object: object.as_ref(), host, lost_policy });
        }
        for rules in namespaces.values_mut() {
            rules.sort_by(|a, b| by_age(&a.object.metadata, &a.key, &b.object.metadata, &b.key));
        }
        Self { root: &options.root_namespace, namespaces }
    }

    /// The rules for a host of a service in a namespace, which together are one. None: Istio's defaults.
    pub(crate) fn find(&self, host: &str, namespace: &str, client: Client<'_>) -> Vec<&Rule<'a>> {
        let own = self.best(client.namespace, host, |rule| {
            rule.is_for(client) && (client.namespace != self.root || rule.is_private())
        });
        if !own.is_empty() {
            return own;
        }
        let is_exported = |rule: &Rule<'a>| rule.is_for(client) && rule.is_exported_to(client.namespace);
        let of_service = self.best(namespace, host, is_exported);
        if of_service.is_empty() { self.best(self.root, host, is_exported) } else { of_service }
    }

    fn best(&self, namespace: &str, host: &str, is_seen: impl Fn(&Rule<'a>) -> bool) -> Vec<&Rule<'a>> {
        let rules = self.namespaces.get(namespace).map_or(&[][..], Vec::as_slice);
        let found: Vec<_> = rules.iter().filter(|rule| rule.host.matches(host) && is_seen(rule)).collect();
        let best = found.iter().map(|rule| specificity(&rule.host)).max();
        found.into_iter().filter(|rule| Some(specificity(&rule.host)) == best).collect()
    }
}

impl Rule<'_> {
    /// Does its workloadSelector, which is for its own namespace, select this client?
    fn is_for(&self, client: Client<'_>) -> bool {
        let selector = self.object.spec.workload_selector.as_ref();
        selector.is_none_or(|selector| {
            self.key.namespace == client.namespace && is_subset(&selector.match_labels, client.labels)
        })
    }

    fn is_exported_to(&self, namespace: &str) -> bool {
        reaches(&self.object.spec.export_to, &self.key.namespace, namespace)
    }

    fn is_private(&self) -> bool {
        matches!(self.object.spec.export_to.as_slice(), [Visibility::Own])
    }
}

/// Exact hosts go before wildcards, longer wildcards before shorter.
fn specificity(host: &HostPattern) -> (u8, usize) {
    match host {
        HostPattern::Exact(_) => (2, 0),
        HostPattern::Suffix(suffix) => (1, suffix.len()),
        HostPattern::Any => (0, 0),
    }
}
