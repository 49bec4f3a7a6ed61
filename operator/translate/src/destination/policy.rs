//! A DestinationRule's traffic policy → how a cluster is reached.

use postern_api::istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, H2UpgradePolicy, LbPolicy, LoadBalancerSettings,
    OutlierDetection, PortTrafficPolicy, SimpleLb, TrafficPolicy,
};
use postern_api::meta::ObjectKey;
use postern_snapshot::model::{self, Cluster, LoadBalancing, UpstreamProtocol};

use super::rule_index::Rule;
use super::subset::FoundSubset;
use crate::at::At;

/// What rules say about one port of a service, or of a subset.
#[derive(Clone, Debug)]
pub(super) struct Policy<'r> {
    /// All that say something.
    pub(super) rules: Vec<&'r Rule<'r>>,
    /// Of its `tls`.
    place: Place<'r>,
    load_balancer: Option<&'r LoadBalancerSettings>,
    connection_pool: Option<&'r ConnectionPoolSettings>,
    outlier_detection: Option<&'r OutlierDetection>,
    pub(super) tls: Option<&'r ClientTlsSettings>,
}

/// Where a traffic policy stands.
#[derive(Clone, Copy, Debug)]
struct Place<'r> {
    rule: &'r Rule<'r>,
    /// Its place in `subsets`, if it is from there.
    subset: Option<usize>,
    /// Its place in `portLevelSettings`, if it is from there.
    port_level: Option<usize>,
}

impl<'r> Policy<'r> {
    /// That of the oldest rule that has one, with that of the subset over it, field by field (Istio).
    pub(super) fn of(rules: &[&'r Rule<'r>], subset: Option<FoundSubset<'r>>, port: u16) -> Option<Self> {
        let of_rule = |rule: &&'r Rule<'r>| {
            Some(Self::in_policy(rule, None, rule.object.spec.traffic_policy.as_ref()?, port))
        };
        let of_all = rules.iter().find_map(of_rule);
        let of_subset = subset.and_then(|FoundSubset { rule, index, subset }| {
            Some(Self::in_policy(rule, Some(index), subset.traffic_policy.as_ref()?, port))
        });
        match (of_all, of_subset) {
            (Some(all), Some(subset)) => Some(subset.over(all)),
            (all, subset) => subset.or(all),
        }
    }

    /// What is said about the port stands in place of what is said about all, also of what it leaves out (Istio).
    fn in_policy(rule: &'r Rule<'r>, subset: Option<usize>, policy: &'r TrafficPolicy, port: u16) -> Self {
        let is_port = |settings: &PortTrafficPolicy| {
            settings.port.and_then(|port| port.number).is_some_and(|number| number.get() == port)
        };
        let port_level = policy.port_level_settings.iter().position(is_port);
        let place = Place { rule, subset, port_level };
        match port_level.and_then(|index| policy.port_level_settings.get(index)) {
            Some(settings) => Self {
                rules: vec![rule],
                place,
                load_balancer: settings.load_balancer.as_ref(),
                connection_pool: settings.connection_pool.as_ref(),
                outlier_detection: settings.outlier_detection.as_ref(),
                tls: settings.tls.as_ref(),
            },
            None => Self {
                rules: vec![rule],
                place,
                load_balancer: policy.load_balancer.as_ref(),
                connection_pool: policy.connection_pool.as_ref(),
                outlier_detection: policy.outlier_detection.as_ref(),
                tls: policy.tls.as_ref(),
            },
        }
    }

    /// What a subset says about the port stands alone too.
    fn over(self, all: Self) -> Self {
        if self.place.port_level.is_some() {
            return self;
        }
        Self {
            rules: self.rules.into_iter().chain(all.rules).collect(),
            place: if self.tls.is_some() { self.place } else { all.place },
            load_balancer: self.load_balancer.or(all.load_balancer),
            connection_pool: self.connection_pool.or(all.connection_pool),
            outlier_detection: self.outlier_detection.or(all.outlier_detection),
            tls: self.tls.or(all.tls),
        }
    }

    /// The rule with its `tls`.
    pub(super) const fn key(&self) -> &'r ObjectKey {
        &self.place.rule.key
    }

    /// Calls `then` with the place of its `tls`.
    pub(super) fn at_tls<R>(&self, then: impl FnOnce(&At<'_>) -> R) -> R {
        let object = At::object(self.key());
        let spec = object.field("spec");
        let subsets = spec.field("subsets");
        let subset = self.place.subset.map(|index| subsets.index(index));
        let policy = subset.as_ref().unwrap_or(&spec).field("trafficPolicy");
        match self.place.port_level {
            None => then(&policy.field("tls")),
            Some(index) => {
                let list = policy.field("portLevelSettings");
                then(&list.index(index).field("tls"))
            }
        }
    }

    /// Writes into a cluster what is honoured of it, TLS aside. Is there any?
    pub(super) fn apply(&self, cluster: &mut Cluster) -> bool {
        let balanced = self.load_balancer.is_some_and(|settings| balance(settings, cluster));
        let pooled = self.connection_pool.is_some_and(|settings| pool(settings, cluster));
        cluster.outlier_detection = self.outlier_detection.map(outlier_detection);
        balanced || pooled || cluster.outlier_detection.is_some()
    }
}

fn outlier_detection(from: &OutlierDetection) -> model::OutlierDetection {
    let local_origin = Some(from.consecutive_local_origin_failures());
    model::OutlierDetection {
        consecutive_5xx: from.consecutive_5xx_errors(),
        // Istio gives its old name no meaning any more.
        consecutive_gateway_failure: from.consecutive_gateway_errors.unwrap_or(0),
        consecutive_local_origin_failure: local_origin.filter(|_| from.split_external_local_origin_errors),
        interval: from.interval(),
        base_ejection_time: from.base_ejection_time(),
        max_ejection_percent: from.max_ejection_percent(),
        min_health_percent: from.min_health_percent.unwrap_or(0),
        error_codes: from.outlier_detection_http_error_codes.clone(),
    }
}

fn balance(settings: &LoadBalancerSettings, cluster: &mut Cluster) -> bool {
    cluster.load_balancing = match settings.policy() {
        LbPolicy::Simple(SimpleLb::RoundRobin) => LoadBalancing::RoundRobin,
        LbPolicy::Simple(SimpleLb::Random) => LoadBalancing::Random,
        LbPolicy::Simple(SimpleLb::LeastRequest | SimpleLb::LeastConn | SimpleLb::Unspecified) => {
            LoadBalancing::LeastRequest
        }
        // A finding says so.
        LbPolicy::Simple(SimpleLb::Passthrough) | LbPolicy::ConsistentHash(_) => return false,
    };
    settings.policy.is_some()
}

fn pool(settings: &ConnectionPoolSettings, cluster: &mut Cluster) -> bool {
    // 0 is no limit (Istio).
    let limit = |number: Option<u32>| number.filter(|number| *number > 0);
    let mut honoured = false;
    if let Some(tcp) = &settings.tcp {
        cluster.connect_timeout = tcp.connect_timeout();
        cluster.circuit_breakers.max_connections = limit(tcp.max_connections);
        honoured |= tcp.connect_timeout.is_some() || tcp.max_connections.is_some();
    }
    if let Some(http) = &settings.http {
        let limits = [http.http1_max_pending_requests, http.http2_max_requests, http.max_retries];
        let breakers = &mut cluster.circuit_breakers;
        let [pending, requests, retries] = limits.map(limit);
        breakers.max_pending_requests = pending;
        breakers.max_requests = requests;
        breakers.max_retries = retries;
        honoured |= limits.iter().any(Option::is_some);
        if http.h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade) {
            cluster.protocol = UpstreamProtocol::Http2;
            honoured = true;
        }
    }
    honoured
}
