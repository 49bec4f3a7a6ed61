//! The endpoints of one cluster at one time, and the choice among them.

use std::{net::SocketAddr, sync::Arc};

use fastrand::Rng;
use postern_snapshot::model;

use crate::{Endpoint, Tried, balance::Balance, outlier::Monitors};

/// So many draws by the cluster's own rule, before all members are looked at.
const DRAWS: usize = 3;

/// An immutable set; a change makes a new one.
#[derive(Debug, Default)]
pub(crate) struct EndpointSet {
    /// What it was made from, to see at the next reload that nothing changed.
    source: Vec<model::Endpoint>,
    members: Box<[Arc<Endpoint>]>,
    balance: Balance,
    /// Empty without outlier detection.
    monitors: Monitors,
    /// Istio's `minHealthPercent`.
    min_health_percent: u32,
}

/// How good an endpoint would be for a request, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fitness {
    Good,
    SetAside,
    Ejected,
    Tried,
}

impl EndpointSet {
    /// `find` gives the endpoint of an address, a former one if there is one.
    pub(crate) fn new(
        source: &[model::Endpoint],
        settings: &model::Cluster,
        before: &Self,
        mut find: impl FnMut(SocketAddr) -> Arc<Endpoint>,
    ) -> Self {
        let how = settings.load_balancing;
        let address = |endpoint: &model::Endpoint| SocketAddr::new(endpoint.address, endpoint.port.number());
        let members: Box<[_]> = source.iter().map(|endpoint| find(address(endpoint))).collect();
        let detection = settings.outlier_detection.as_ref();
        let monitored = detection.map_or(&[][..], |_| &members);
        Self {
            monitors: Monitors::new(monitored.iter().map(|endpoint| endpoint.id()), &before.monitors),
            min_health_percent: detection.map_or(0, |settings| settings.min_health_percent),
            members,
            balance: Balance::new(how, source.iter().map(|endpoint| endpoint.weight.unwrap_or(1))),
            source: source.to_vec(),
        }
    }

    /// What it was made from.
    pub(crate) fn source(&self) -> &[model::Endpoint] {
        &self.source
    }

    /// What outlier detection knows of them.
    pub(crate) const fn monitors(&self) -> &Monitors {
        &self.monitors
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.members.iter()
    }

    /// How many there are.
    pub(crate) const fn len(&self) -> usize {
        self.members.len()
    }

    /// The next endpoint: by the cluster's rule one that was not tried and is neither set aside nor ejected; failing that
    /// one that is set aside (it may be well again, and there is nothing better), or ejected; failing that one that was
    /// tried.
    pub(crate) fn choose(&self, rng: &mut Rng, tried: &Tried) -> Option<&Arc<Endpoint>> {
        let heeds_ejections = !self.monitors.is_panic(self.min_health_percent);
        let fitness = |index: usize, endpoint: &Endpoint| {
            if tried.contains(endpoint.id()) {
                Fitness::Tried
            } else if heeds_ejections && self.monitors.is_ejected(index) {
                Fitness::Ejected
            } else if endpoint.is_set_aside() {
                Fitness::SetAside
            } else {
                Fitness::Good
            }
        };
        for _ in 0..DRAWS {
            let index = self
                .balance
                .next(rng, |index| self.members.get(index).map_or(u32::MAX, |member| member.active()))?;
            let endpoint = self.members.get(index)?;
            if fitness(index, endpoint) == Fitness::Good {
                return Some(endpoint);
            }
        }
        self.fittest(rng, fitness)
    }

    /// A random one of the fittest. Looks at all of them.
    fn fittest(
        &self,
        rng: &mut Rng,
        fitness_of: impl Fn(usize, &Endpoint) -> Fitness,
    ) -> Option<&Arc<Endpoint>> {
        let mut best: Option<(Fitness, &Arc<Endpoint>)> = None;
        let mut equals = 0;
        for (index, endpoint) in self.iter().enumerate() {
            let this = fitness_of(index, endpoint);
            match best {
                Some((fitness, _)) if this > fitness => continue,
                Some((fitness, _)) if this == fitness => equals += 1,
                _ => equals = 1,
            }
            if rng.usize(..equals) == 0 {
                best = Some((this, endpoint));
            }
        }
        best.map(|(_, endpoint)| endpoint)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::{collections::HashSet, time::Duration};

    use postern_snapshot::model::{LoadBalancing, OutlierDetection};

    use super::*;
    use crate::{Outcome, Transport};

    fn settings(how: LoadBalancing) -> model::Cluster {
        model::Cluster {
            origin: String::new(),
            service: model::ServiceIdentity::default(),
            protocol: model::UpstreamProtocol::Http1,
            load_balancing: how,
            connect_timeout: Duration::from_secs(1),
            tls: None,
            circuit_breakers: model::CircuitBreakers::default(),
            outlier_detection: Some(OutlierDetection {
                max_ejection_percent: 100,
                ..OutlierDetection::default()
            }),
        }
    }

    fn set(members: u8, how: LoadBalancing) -> EndpointSet {
        let source: Vec<_> = (1..=members)
            .map(|i| model::Endpoint {
                address: [10, 0, 0, i].into(),
                port: postern_snapshot::Port::new(80).unwrap(),
                weight: None,
            })
            .collect();
        let transport = Transport::plaintext_for_tests();
        EndpointSet::new(&source, &settings(how), &EndpointSet::default(), |address| {
            Arc::new(Endpoint::new(address, Arc::clone(&transport)))
        })
    }

    fn chosen(set: &EndpointSet, tried: &Tried) -> HashSet<SocketAddr> {
        let mut rng = Rng::with_seed(5);
        (0..200).map(|_| set.choose(&mut rng, tried).unwrap().address()).collect()
    }

    const ALL: [LoadBalancing; 3] =
        [LoadBalancing::LeastRequest, LoadBalancing::RoundRobin, LoadBalancing::Random];

    #[test]
    fn passes_over_what_was_tried() {
        for how in ALL {
            let set = set(3, how);
            let mut tried = Tried::new();
            let first = Arc::clone(set.iter().next().unwrap());
            tried.add(first.id());
            let chosen = chosen(&set, &tried);
            assert_eq!(chosen.len(), 2);
            assert!(!chosen.contains(&first.address()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passes_over_what_is_set_aside_until_its_time_is_over() {
        for how in ALL {
            let set = set(3, how);
            let first = Arc::clone(set.iter().next().unwrap());
            first.set_aside();
            assert!(!chosen(&set, &Tried::new()).contains(&first.address()));
            tokio::time::advance(Duration::from_millis(1001)).await;
            assert_eq!(chosen(&set, &Tried::new()).len(), 3);
        }
    }

    #[test]
    fn uses_all_when_all_are_set_aside_or_tried() {
        for how in ALL {
            let set = set(4, how);
            set.iter().for_each(|endpoint| endpoint.set_aside());
            assert_eq!(chosen(&set, &Tried::new()).len(), 4);
            let mut tried = Tried::new();
            set.iter().take(3).for_each(|endpoint| tried.add(endpoint.id()));
            assert_eq!(chosen(&set, &tried).len(), 1, "what is set aside goes before what was tried");
            set.iter().for_each(|endpoint| tried.add(endpoint.id()));
            assert_eq!(chosen(&set, &tried).len(), 4);
        }
    }

    #[test]
    fn passes_over_what_is_ejected_unless_all_are() {
        for how in ALL {
            let set = set(3, how);
            let detection = settings(how).outlier_detection.unwrap();
            let fail = |endpoint: &Arc<Endpoint>| {
                (0..5).for_each(|_| set.monitors().report(endpoint.id(), Outcome::Status(500), &detection));
            };
            let first = set.iter().next().unwrap();
            fail(first);
            assert_eq!(chosen(&set, &Tried::new()).len(), 2);
            assert!(!chosen(&set, &Tried::new()).contains(&first.address()));
            set.iter().for_each(fail);
            assert_eq!(chosen(&set, &Tried::new()).len(), 3);
        }
    }
}
