//! A DestinationRule's traffic policy → how a cluster is reached.

use postern_api::istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, H2UpgradePolicy, LbPolicy, LoadBalancerSettings,
    PortTrafficPolicy, SimpleLb,
};
use postern_api::meta::ObjectKey;
use postern_snapshot::model::{Cluster, LoadBalancing, UpstreamProtocol};

use super::rule_index::Rule;
use crate::at::At;

/// What a rule says about one port of a service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy<'r> {
    pub(super) rule: &'r Rule<'r>,
    /// Its place in `portLevelSettings`, if it is from there.
    port_level: Option<usize>,
    load_balancer: Option<&'r LoadBalancerSettings>,
    connection_pool: Option<&'r ConnectionPoolSettings>,
    pub(super) tls: Option<&'r ClientTlsSettings>,
}

impl<'r> Policy<'r> {
    /// That of the oldest rule that has one. What is said about the port stands in place of what is said about all, also
    /// of what it leaves out (Istio).
    pub(super) fn of(rules: &[&'r Rule<'r>], port: u16) -> Option<Self> {
        let (rule, policy) =
            rules.iter().find_map(|rule| Some((*rule, rule.object.spec.traffic_policy.as_ref()?)))?;
        let is_port = |settings: &PortTrafficPolicy| {
            settings.port.and_then(|port| port.number).is_some_and(|number| number.get() == port)
        };
        let place = policy.port_level_settings.iter().position(is_port);
        let port_level = place.and_then(|place| policy.port_level_settings.get(place));
        Some(match port_level {
            Some(settings) => Self {
                rule,
                port_level: place,
                load_balancer: settings.load_balancer.as_ref(),
                connection_pool: settings.connection_pool.as_ref(),
                tls: settings.tls.as_ref(),
            },
            None => Self {
                rule,
                port_level: None,
                load_balancer: policy.load_balancer.as_ref(),
                connection_pool: policy.connection_pool.as_ref(),
                tls: policy.tls.as_ref(),
            },
        })
    }

    pub(super) const fn key(&self) -> &'r ObjectKey {
        &self.rule.key
    }

    /// Calls `then` with the place of its `tls`.
    pub(super) fn at_tls<R>(&self, then: impl FnOnce(&At<'_>) -> R) -> R {
        let object = At::object(self.key());
        let spec = object.field("spec");
        let policy = spec.field("trafficPolicy");
        match self.port_level {
            None => then(&policy.field("tls")),
            Some(place) => {
                let list = policy.field("portLevelSettings");
                then(&list.index(place).field("tls"))
            }
        }
    }

    /// Writes into a cluster what is honoured of it, TLS aside. Is there any?
    pub(super) fn apply(&self, cluster: &mut Cluster) -> bool {
        let balanced = self.load_balancer.is_some_and(|settings| balance(settings, cluster));
        let pooled = self.connection_pool.is_some_and(|settings| pool(settings, cluster));
        balanced || pooled
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
