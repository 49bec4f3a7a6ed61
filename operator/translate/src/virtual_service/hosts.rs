//! The virtual hosts of one route table.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use postern_snapshot::model::{HeaderOps, HttpsRedirect, Route, RouteFilters, RouteTable, VirtualHost};
use postern_snapshot::{HostPattern, Port};

use super::duplicates::report_duplicates;
use super::http::takes_all;
use crate::config::VirtualServiceConfig;
use crate::finding::Findings;

/// Gathers what the servers of a route table say about each host.
#[derive(Debug, Default)]
pub(crate) struct VirtualHosts<'a> {
    hosts: BTreeMap<HostPattern, Host>,
    rules: Vec<Rules<'a>>,
    /// Indices of `rules`, by the rank of the VirtualService.
    by_virtual_service: HashMap<usize, Vec<usize>>,
}

/// What is known of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Host {
    /// Indices of [`VirtualHosts::rules`], in the order of the servers, then of the VirtualServices' age.
    rules: Vec<usize>,
    /// To HTTPS.
    redirect: bool,
}

/// The routes of a VirtualService, as one server sees them.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub(crate) virtual_service: &'a VirtualServiceConfig,
    pub(crate) routes: Vec<Route>,
}

impl<'a> VirtualHosts<'a> {
    /// A VirtualService has these routes for these hosts. Two Gateways on one port may both have it: the same routes
    /// count once.
    pub(crate) fn add(
        &mut self,
        virtual_service: &'a VirtualServiceConfig,
        hosts: &BTreeSet<HostPattern>,
        routes: Vec<Route>,
    ) {
        let known = self.by_virtual_service.entry(virtual_service.rank).or_default();
        let same = known
            .iter()
            .copied()
            .find(|index| self.rules.get(*index).is_some_and(|rules| rules.routes == routes));
        let index = same.unwrap_or_else(|| {
            let index = self.rules.len();
            self.rules.push(Rules { virtual_service, routes });
            known.push(index);
            index
        });
        for host in hosts {
            let host = self.hosts.entry(host.clone()).or_default();
            // New ones need no search, and are nearly all.
            if same.is_none() || !host.rules.contains(&index) {
                host.rules.push(index);
            }
        }
    }

    /// All requests for these hosts go to HTTPS, also where no VirtualService is.
    pub(crate) fn redirect(&mut self, hosts: impl IntoIterator<Item = HostPattern>) {
        for host in hosts {
            self.hosts.entry(host).or_default().redirect = true;
        }
    }

    /// Requests for these hosts are this table's alone, also where no route is: they get 404, and no wider host takes
    /// them (the Gateway API's listener isolation).
    pub(crate) fn isolate(&mut self, hosts: impl IntoIterator<Item = HostPattern>) {
        for host in hosts.into_iter().filter(|host| *host != HostPattern::Any) {
            self.hosts.entry(host).or_default();
        }
    }

    /// The route table. Hosts with the same rules share a virtual host; it is named after the first of them.
    ///
    /// The routes of several VirtualServices follow each other, but those that take every request come last, so that
    /// they hide none (Istio).
    pub(crate) fn build(self, port: Port, redirect: HttpsRedirect, findings: &mut Findings) -> RouteTable {
        let mut groups: Vec<(Host, Vec<HostPattern>)> = Vec::new();
        let mut group_of: HashMap<Host, usize> = HashMap::new();
        for (domain, host) in self.hosts {
            if let Some((_, domains)) = group_of.get(&host).and_then(|index| groups.get_mut(*index)) {
                domains.push(domain);
            } else {
                group_of.insert(host.clone(), groups.len());
                groups.push((host, vec![domain]));
            }
        }
        let mut store = Store::new(self.rules, &groups);
        let virtual_hosts = groups
            .into_iter()
            .map(|(host, domains)| VirtualHost {
                name: domains.first().map(|domain| format!("{domain}:{port}")).unwrap_or_default(),
                domains,
                https_redirect: host.redirect.then_some(redirect),
                request_headers: HeaderOps::default(),
                response_headers: HeaderOps::default(),
                filters: RouteFilters::default(),
                routes: store.routes(&host.rules, findings),
            })
            .collect();
        RouteTable { virtual_hosts }
    }
}

/// Rules with the number of virtual hosts that still want them, so that the last one need not copy.
struct Store<'a>(Vec<(usize, Rules<'a>)>);

impl<'a> Store<'a> {
    fn new(rules: Vec<Rules<'a>>, groups: &[(Host, Vec<HostPattern>)]) -> Self {
        let mut store = Self(rules.into_iter().map(|rules| (0, rules)).collect());
        for index in groups.iter().flat_map(|(host, _)| &host.rules) {
            if let Some((wanted, _)) = store.0.get_mut(*index) {
                *wanted += 1;
            }
        }
        store
    }

    fn routes(&mut self, indices: &[usize], findings: &mut Findings) -> Vec<Route> {
        if indices.len() > 1 {
            let rules: Vec<_> =
                indices.iter().filter_map(|index| self.0.get(*index)).map(|(_, rules)| rules).collect();
            report_duplicates(&rules, findings);
        }
        let mut routes: Vec<Route> = Vec::new();
        let mut catch_alls: Vec<Route> = Vec::new();
        let mut seen = HashSet::new();
        for index in indices {
            // Two Gateways on one port may see a VirtualService a little differently; what they both see counts once.
            let again = self.0.get(*index).is_some_and(|(_, rules)| !seen.insert(rules.virtual_service.rank));
            for route in self.take(*index) {
                let list = if takes_all(&route) { &mut catch_alls } else { &mut routes };
                if !again || !list.contains(&route) {
                    list.push(route);
                }
            }
        }
        routes.append(&mut catch_alls);
        routes
    }

    fn take(&mut self, index: usize) -> Vec<Route> {
        match self.0.get_mut(index) {
            Some((1, rules)) => std::mem::take(&mut rules.routes),
            Some((wanted, rules)) => {
                *wanted = wanted.saturating_sub(1);
                rules.routes.clone()
            }
            None => Vec::new(),
        }
    }
}
