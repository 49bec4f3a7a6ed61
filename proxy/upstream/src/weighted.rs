//! Choosing by weight.

use fastrand::Rng;

/// Chooses one of several entries with a probability in proportion to its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedChoice {
    /// The sum of the weights up to and including each entry's.
    cumulative: Box<[u64]>,
}

impl WeightedChoice {
    /// Over entries with these weights. Those of weight 0 are never chosen.
    #[must_use]
    pub fn new(weights: impl IntoIterator<Item = u32>) -> Self {
        let cumulative = weights
            .into_iter()
            .scan(0_u64, |sum, weight| {
                *sum += u64::from(weight);
                Some(*sum)
            })
            .collect();
        Self { cumulative }
    }

    /// The index of one of them; `None` when there are none, or all weights are 0.
    #[must_use]
    pub fn choose(&self, rng: &mut Rng) -> Option<usize> {
        match self.cumulative.as_ref() {
            [] | [0] => None,
            [_] => Some(0),
            [.., 0] => None,
            [.., total] => {
                let ticket = rng.u64(..*total);
                Some(self.cumulative.partition_point(|sum| *sum <= ticket))
            }
        }
    }

    /// How many entries there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.cumulative.len()
    }

    /// Are there none?
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cumulative.is_empty()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// Pearson's statistic of observed counts against the weights.
    fn chi_square(counts: &[u32], weights: &[u32]) -> f64 {
        let (n, total) = (f64::from(counts.iter().sum::<u32>()), f64::from(weights.iter().sum::<u32>()));
        counts
            .iter()
            .zip(weights)
            .filter(|(_, weight)| **weight > 0)
            .map(|(count, weight)| {
                let expected = n * f64::from(*weight) / total;
                (f64::from(*count) - expected).powi(2) / expected
            })
            .sum()
    }

    #[test]
    fn follows_the_weights() {
        let weights = [90, 0, 9, 1, 400];
        let choice = WeightedChoice::new(weights);
        let mut rng = Rng::with_seed(7);
        let mut counts = [0_u32; 5];
        for _ in 0..100_000 {
            counts[choice.choose(&mut rng).unwrap()] += 1;
        }
        assert_eq!(counts[1], 0);
        // 99.9 % of fair draws with 3 degrees of freedom stay below 16.3.
        assert!(chi_square(&counts, &weights) < 16.3, "{counts:?}");
    }

    #[test]
    fn nothing_to_choose_from() {
        let mut rng = Rng::with_seed(1);
        assert_eq!(WeightedChoice::new([]).choose(&mut rng), None);
        assert_eq!(WeightedChoice::new([0]).choose(&mut rng), None);
        assert_eq!(WeightedChoice::new([0, 0]).choose(&mut rng), None);
        assert_eq!(WeightedChoice::new([3]).choose(&mut rng), Some(0));
        assert_eq!(WeightedChoice::new([0, 1]).choose(&mut rng), Some(1));
    }
}
