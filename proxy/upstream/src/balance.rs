//! Which member of a set is next.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use fastrand::Rng;
use postern_snapshot::model::LoadBalancing;

use crate::WeightedChoice;

/// A round of the weighted round robin has no more turns than this; finer differences of weight are rounded.
const MOST_TURNS: u64 = 4096;

/// A way to choose, prepared for the weights of one set.
#[derive(Debug, Default)]
pub(crate) struct Balance {
    order: Order,
    /// How many members there are.
    members: usize,
    /// `None`: all weigh the same.
    weights: Option<Weights>,
}

#[derive(Debug, Default)]
enum Order {
    #[default]
    LeastRequest,
    Random,
    /// Whose turn it is. Shared by all workers, so that they do not all start with the same one.
    RoundRobin(AtomicUsize),
}

#[derive(Debug)]
struct Weights {
    each: Box<[u32]>,
    choice: WeightedChoice,
    /// Members in the order of their turns, for the round robin.
    turns: Box<[u32]>,
}

impl Balance {
    /// For members with these weights; 0 counts as 1 (Istio).
    pub(crate) fn new(how: LoadBalancing, weights: impl IntoIterator<Item = u32>) -> Self {
        let each: Box<[u32]> = weights.into_iter().map(|weight| weight.max(1)).collect();
        let equal = each.windows(2).all(|pair| matches!(pair, [a, b] if a == b));
        let round_robin = how == LoadBalancing::RoundRobin;
        Self {
            members: each.len(),
            order: match how {
                LoadBalancing::LeastRequest => Order::LeastRequest,
                LoadBalancing::Random => Order::Random,
                LoadBalancing::RoundRobin => Order::RoundRobin(AtomicUsize::new(fastrand::usize(..=0xffff))),
            },
            weights: (!equal).then(|| Weights {
                choice: WeightedChoice::new(each.iter().copied()),
                turns: if round_robin { turns(&each) } else { Box::default() },
                each,
            }),
        }
    }

    /// The index of the next member, given how many requests each has under way. `None`: there are no members.
    pub(crate) fn next(&self, rng: &mut Rng, active: impl Fn(usize) -> u32) -> Option<usize> {
        match (self.members, &self.order) {
            (0, _) => None,
            (1, _) => Some(0),
            (_, Order::LeastRequest) => self.less_loaded(rng, active),
            (_, Order::Random) => self.random(rng),
            (members, Order::RoundRobin(cursor)) => {
                let turn = cursor.fetch_add(1, Relaxed);
                match &self.weights {
                    None => Some(turn % members),
                    Some(weights) => {
                        let member = weights.turns.get(turn % weights.turns.len().max(1))?;
                        usize::try_from(*member).ok()
                    }
                }
            }
        }
    }

    fn random(&self, rng: &mut Rng) -> Option<usize> {
        match &self.weights {
            None => Some(rng.usize(..self.members)),
            Some(weights) => weights.choice.choose(rng),
        }
    }

    /// The power of two choices. Weights count twice: heavy members are drawn more often, and carry more requests
    /// before they count as busier. Idle members are chosen in proportion to their weights, as Envoy does.
    fn less_loaded(&self, rng: &mut Rng, active: impl Fn(usize) -> u32) -> Option<usize> {
        let Some(weights) = &self.weights else {
            let first = rng.usize(..self.members);
            let second = (first + rng.usize(1..self.members)) % self.members;
            return Some(if active(second) < active(first) { second } else { first });
        };
        let first = weights.choice.choose(rng)?;
        let second = weights.choice.choose(rng)?;
        let load = |member: usize, of: usize| {
            u64::from(active(member)) * u64::from(weights.each.get(of).copied().unwrap_or(1))
        };
        // active / weight, compared without a division
        Some(if load(second, first) < load(first, second) { second } else { first })
    }
}

/// One round: each member as often as it weighs, evenly spread (earliest deadline first).
fn turns(weights: &[u32]) -> Box<[u32]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total: u64 = weights.iter().map(|weight| u64::from(weight / divisor)).sum();
    let scaled = |weight: u32| -> u64 {
        let weight = u64::from(weight / divisor);
        if total <= MOST_TURNS { weight } else { (weight * MOST_TURNS / total).max(1) }
    };
    let mut deadlines: Vec<(u64, u32)> = Vec::new();
    for (member, weight) in (0_u32..).zip(weights) {
        let shares = scaled(*weight);
        // The k-th of n turns is due in the middle of the k-th n-th of the round.
        deadlines.extend((0..shares).map(|k| (((2 * k + 1) << 32) / (2 * shares), member)));
    }
    deadlines.sort_unstable();
    deadlines.into_iter().map(|(_, member)| member).collect()
}

const fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn counts(balance: &Balance, members: usize, draws: usize) -> Vec<usize> {
        let mut rng = Rng::with_seed(11);
        let mut counts = vec![0; members];
        for _ in 0..draws {
            counts[balance.next(&mut rng, |_| 0).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn round_robin_gives_each_its_share_in_every_round() {
        let balance = Balance::new(LoadBalancing::RoundRobin, [50, 10, 20]);
        assert_eq!(counts(&balance, 3, 8 * 10), [50, 10, 20]);
        assert_eq!(counts(&Balance::new(LoadBalancing::RoundRobin, [7, 7, 7]), 3, 30), [10, 10, 10]);
    }

    #[test]
    fn round_robin_spreads_the_turns_of_a_heavy_member() {
        let order = turns(&[3, 1]);
        assert_eq!(order.len(), 4);
        let light = order.iter().position(|member| *member == 1).unwrap();
        assert!((1..=2).contains(&light), "not at an end: {order:?}");
    }

    #[test]
    fn a_round_is_bounded_and_nobody_is_left_out() {
        let weights = [u32::MAX, 1, u32::MAX / 2];
        let order = turns(&weights);
        assert!(order.len() <= 4096 + 3);
        assert!(order.contains(&1));
    }

    #[test]
    fn idle_members_are_chosen_by_weight() {
        for how in [LoadBalancing::LeastRequest, LoadBalancing::Random] {
            let counts = counts(&Balance::new(how, [1, 2, 7]), 3, 100_000);
            for (count, share) in counts.iter().zip([10_000_i64, 20_000, 70_000]) {
                let off = i64::try_from(*count).unwrap() - share;
                assert!(off.abs() < 700, "{how:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn nobody_is_nobody() {
        for how in [LoadBalancing::LeastRequest, LoadBalancing::Random, LoadBalancing::RoundRobin] {
            assert_eq!(Balance::new(how, []).next(&mut Rng::with_seed(1), |_| 0), None);
            assert_eq!(Balance::new(how, [0]).next(&mut Rng::with_seed(1), |_| 0), Some(0));
        }
    }

    /// The highest load per weight when requests arrive and never leave.
    fn worst(how: LoadBalancing, weights: &[u32], requests: u32, seed: u64) -> f64 {
        let balance = Balance::new(how, weights.iter().copied());
        let mut rng = Rng::with_seed(seed);
        let active = RefCell::new(vec![0_u32; weights.len()]);
        for _ in 0..requests {
            let member = balance.next(&mut rng, |i| active.borrow()[i]).unwrap();
            active.borrow_mut()[member] += 1;
        }
        let active = active.into_inner();
        let loads = active.iter().zip(weights);
        loads.map(|(n, weight)| f64::from(*n) / f64::from(*weight)).fold(0.0, f64::max)
    }

    proptest! {
        /// Two choices keep the fullest member within a constant of the mean, however many requests there are.
        #[test]
        fn least_request_levels(members in 2_usize..40, seed: u64, weighted: bool) {
            let weights: Vec<u32> =
                (0_u32..).take(members).map(|i| if weighted { 1 + i % 3 } else { 1 }).collect();
            let total: u32 = weights.iter().sum();
            let mean = 200.0;
            let load = worst(LoadBalancing::LeastRequest, &weights, total * 200, seed);
            prop_assert!(load < mean + 12.0, "{load}");
        }

        #[test]
        fn every_choice_is_a_member(weights in proptest::collection::vec(any::<u32>(), 1..50), seed: u64) {
            for how in [LoadBalancing::LeastRequest, LoadBalancing::Random, LoadBalancing::RoundRobin] {
                let balance = Balance::new(how, weights.iter().copied());
                let mut rng = Rng::with_seed(seed);
                for _ in 0..100 {
                    prop_assert!(balance.next(&mut rng, |i| u32::try_from(i).unwrap()).unwrap() < weights.len());
                }
            }
        }
    }
}
