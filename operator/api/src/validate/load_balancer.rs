//! Rules about load balancing.

use std::collections::BTreeSet;

use super::{Findings, common};
use crate::istio::destination_rule::{
    ConsistentHashAlgorithm, ConsistentHashLb, HashKey, HttpCookie, LbPolicy, LoadBalancerSettings,
    LocalityDistribute, LocalityFailover, LocalityLoadBalancerSetting, SimpleLb, WarmupConfiguration,
};
use crate::place::Place;

/// Envoy's limit for Maglev's table.
const MAX_MAGLEV_TABLE: u64 = 5_000_011;

/// Labels that localities are made of; both settings treat these by themselves.
const TOPOLOGY_LABELS: [&str; 3] =
    ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];

pub(super) fn validate(
    settings: &LoadBalancerSettings,
    has_outlier_detection: bool,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    match &settings.policy {
        Some(LbPolicy::ConsistentHash(hash)) => {
            validate_hash(hash, &at.field("consistentHash"), findings);
        }
        Some(LbPolicy::Simple(SimpleLb::LeastConn)) => {
            findings.deprecated(&at.field("simple"), "LEAST_CONN is deprecated; write LEAST_REQUEST");
        }
        Some(LbPolicy::Simple(_)) | None => {}
    }
    if settings.locality_lb_setting.is_some() && settings.zone_aware_lb_setting.is_some() {
        findings.error(at, "only one of localityLbSetting and zoneAwareLbSetting may be set");
    }
    if let Some(locality) = &settings.locality_lb_setting {
        validate_locality(locality, has_outlier_detection, &at.field("localityLbSetting"), findings);
    }
    if let Some(zones) = &settings.zone_aware_lb_setting {
        let at = at.field("zoneAwareLbSetting");
        let priorities = &zones.failover_priority;
        topology_labels(priorities, &at.field("failoverPriority"), findings);
        validate_failover(&zones.failover, priorities, has_outlier_detection, &at, findings);
        if zones.min_cluster_size == Some(0) {
            findings.error(&at.field("minClusterSize"), "got 0; it must be 1 or more");
        }
    }
    if settings.warmup_duration_secs.is_some() {
        let at = at.field("warmupDurationSecs");
        findings.deprecated(&at, "warmupDurationSecs is deprecated; write warmup.duration");
        common::duration(settings.warmup_duration_secs, &at, findings);
    }
    if let Some(warmup) = &settings.warmup {
        let at = at.field("warmup");
        let WarmupConfiguration { duration, minimum_percent: _, aggression } = warmup;
        common::duration(Some(*duration), &at.field("duration"), findings);
        if let Some(aggression) = aggression.filter(|aggression| *aggression <= 0.0) {
            findings.error(&at.field("aggression"), format!("got {aggression}; it must be more than 0"));
        }
    }
}

fn validate_hash(hash: &ConsistentHashLb, at: &Place<'_>, findings: &mut Findings) {
    if let Some(HashKey::HttpCookie(cookie)) = &hash.key {
        validate_cookie(cookie, &at.field("httpCookie"), findings);
    }
    if hash.minimum_ring_size.is_some_and(|size| size > 0) {
        let at = at.field("minimumRingSize");
        findings.deprecated(&at, "minimumRingSize is deprecated; write ringHash.minimumRingSize");
        if hash.algorithm.is_some() {
            findings.error(&at, "minimumRingSize cannot stand beside ringHash or maglev");
        }
    }
    if let Some(ConsistentHashAlgorithm::Maglev { table_size }) = hash.algorithm {
        let size = table_size.unwrap_or_default();
        if size >= MAX_MAGLEV_TABLE || !is_prime(size) {
            findings.error(
                &at.field("maglev").field("tableSize"),
                format!("got {size}; it must be a prime number below {MAX_MAGLEV_TABLE}"),
            );
        }
    }
}

fn validate_cookie(cookie: &HttpCookie, at: &Place<'_>, findings: &mut Findings) {
    if cookie.name.is_empty() {
        findings.error(&at.field("name"), "the name of a cookie must not be empty");
    }
    let mut names = BTreeSet::new();
    let attributes = at.field("attributes");
    for (index, attribute) in cookie.attributes.iter().enumerate() {
        let at = attributes.index(index);
        let at = at.field("name");
        if attribute.name.is_empty() {
            findings.error(&at, "the name of an attribute must not be empty");
        } else {
            common::unique(attribute.name.as_str(), &mut names, &at, findings);
        }
    }
}

fn is_prime(number: u64) -> bool {
    let factors = || (2..).take_while(|factor: &u64| factor.saturating_mul(*factor) <= number);
    number >= 2 && !factors().any(|factor| number.is_multiple_of(factor))
}

fn validate_locality(
    setting: &LocalityLoadBalancerSetting,
    has_outlier_detection: bool,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    if !setting.distribute.is_empty() && !setting.failover.is_empty() {
        findings.error(at, "only one of distribute and failover may be set");
    }
    if !setting.failover.is_empty() {
        topology_labels(&setting.failover_priority, &at.field("failoverPriority"), findings);
    }
    let list = at.field("distribute");
    let mut sources = Localities::default();
    for (index, LocalityDistribute { from, to }) in setting.distribute.iter().enumerate() {
        let at = list.index(index);
        sources.add(from, &at.field("from"), findings);
        let at = at.field("to");
        let mut targets = Localities::default();
        for (locality, weight) in to {
            let at = at.field(locality);
            targets.add(locality, &at, findings);
            if !(1..=100).contains(weight) {
                findings.error(&at, format!("{weight} is not a share; it must be from 1 to 100"));
            }
        }
        let total: u64 = to.values().map(|weight| u64::from(*weight)).sum();
        if total != 100 {
            findings.error(&at, format!("the shares are {total} in all; they must be 100"));
        }
    }
    validate_failover(&setting.failover, &setting.failover_priority, has_outlier_detection, at, findings);
}

fn topology_labels(priorities: &[String], at: &Place<'_>, findings: &mut Findings) {
    for (index, label) in priorities.iter().enumerate() {
        if TOPOLOGY_LABELS.contains(&label.as_str()) {
            findings.error(&at.index(index), format!("{label} cannot be used here; failover names regions"));
        }
    }
}

fn validate_failover(
    failover: &[LocalityFailover],
    priorities: &[String],
    has_outlier_detection: bool,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    let fails_over = !failover.is_empty() || !priorities.is_empty();
    if fails_over && !has_outlier_detection {
        findings.warn(at, "without outlierDetection nothing fails over");
    }
    let list = at.field("failover");
    for (index, LocalityFailover { from, to }) in failover.iter().enumerate() {
        let at = list.index(index);
        if from == to {
            findings.error(&at, format!("{from:?} cannot fail over to itself"));
        }
        for (field, region) in [("from", from), ("to", to)] {
            if region.contains(['/', '*']) {
                findings.error(&at.field(field), format!("{region:?} is not a region"));
            }
        }
    }
}

/// Localities of one list, of which none may hold another.
#[derive(Default)]
struct Localities<'a>(Vec<Vec<&'a str>>);

impl<'a> Localities<'a> {
    fn add(&mut self, locality: &'a str, at: &Place<'_>, findings: &mut Findings) {
        // `*` at the end stands for all that is below; so does leaving it out.
        let parts = match locality {
            "*" => Vec::new(),
            locality => locality.strip_suffix("/*").unwrap_or(locality).split('/').collect(),
        };
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.contains('*')) {
            findings.error(
                at,
                format!(
                    "{locality:?} is not a locality; write region/zone/subzone, region/zone/*, region/* or *"
                ),
            );
            return;
        }
        if let Some(other) = self.0.iter().find(|other| parts.starts_with(other) || other.starts_with(&parts))
        {
            let other = if other.is_empty() { "*".to_owned() } else { other.join("/") };
            findings.error(at, format!("{locality:?} overlaps {other:?}"));
        }
        self.0.push(parts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn primes() {
        let primes: Vec<u64> = (0..30).filter(|number| is_prime(*number)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]);
        assert!(is_prime(65537));
        assert!(!is_prime(65536));
    }
}
