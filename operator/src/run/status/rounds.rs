//! Which round of translation a snapshot is of.

use std::collections::{BTreeMap, VecDeque};

use postern_snapshot::manifest::Hash;
use postern_translate::IngressName;

/// So many snapshots of an ingress are remembered. A proxy that serves an older one is hopelessly late.
const REMEMBERED: usize = 64;

/// The last rounds that gave each of the newest snapshots.
#[derive(Debug, Default)]
pub(super) struct Rounds(BTreeMap<IngressName, VecDeque<(Hash, u64)>>);

impl Rounds {
    /// This round gave this snapshot.
    pub(super) fn note(&mut self, ingress: &IngressName, hash: Hash, round: u64) {
        let snapshots = self.0.entry(ingress.clone()).or_default();
        snapshots.retain(|(known, _)| *known != hash);
        snapshots.push_back((hash, round));
        if snapshots.len() > REMEMBERED {
            snapshots.pop_front();
        }
    }

    /// Forgets the ingresses that are not there any more.
    pub(super) fn retain(&mut self, is_there: impl Fn(&IngressName) -> bool) {
        self.0.retain(|name, _| is_there(name));
    }

    /// The last round that gave this snapshot; `None`: it is older than what is remembered.
    pub(super) fn of(&self, ingress: &IngressName, hash: Hash) -> Option<u64> {
        self.0.get(ingress)?.iter().find(|(known, _)| *known == hash).map(|(_, round)| *round)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_round_counts_and_the_oldest_snapshot_is_forgotten() {
        let ingress = IngressName { namespace: "istio-system".to_owned(), name: "edge".to_owned() };
        let hash = |number: u64| Hash::of(&number.to_be_bytes());
        let mut rounds = Rounds::default();
        for round in 0..64 {
            rounds.note(&ingress, hash(round), round);
        }
        rounds.note(&ingress, hash(0), 64);
        assert_eq!(rounds.of(&ingress, hash(0)), Some(64), "the same snapshot again");
        rounds.note(&ingress, hash(99), 65);
        assert_eq!(rounds.of(&ingress, hash(1)), None);
        assert_eq!(rounds.of(&ingress, hash(2)), Some(2));
        rounds.retain(|_| false);
        assert_eq!(rounds.of(&ingress, hash(2)), None);
    }
}
