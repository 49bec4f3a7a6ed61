//! Pods that were told of a snapshot and do not serve it: they are told again.
//!
//! Kubelet gets the change of a pod and the change of a ConfigMap by two watches. When it sees the nudge first, it finds
//! the old ConfigMap, and looks again only after a minute.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_snapshot::manifest::Hash;
use tokio::time::Instant;

use super::proxies::PodKey;

/// A pod is told again after this, then after twice as long, and so on.
const FIRST: Duration = Duration::from_millis(1200);
/// But never later than this.
const LONGEST: Duration = Duration::from_secs(30);

/// Who is late.
#[derive(Debug, Default)]
pub(super) struct Late(BTreeMap<PodKey, Wait>);

#[derive(Debug)]
struct Wait {
    hash: Hash,
    told_again: u32,
    at: Instant,
    after: Duration,
}

impl Late {
    /// These pods do not serve the snapshot that they were told of, and no others. Gives those to tell again now, with
    /// how often that was.
    pub(super) fn look(&mut self, late: &BTreeMap<PodKey, Hash>, now: Instant) -> Vec<(PodKey, Hash, u32)> {
        self.0.retain(|pod, wait| late.get(pod) == Some(&wait.hash));
        let mut due = Vec::new();
        for (pod, hash) in late {
            let new = || Wait { hash: *hash, told_again: 0, at: now + FIRST, after: FIRST };
            let wait = self.0.entry(pod.clone()).or_insert_with(new);
            if wait.at <= now {
                wait.told_again += 1;
                wait.after = (wait.after * 2).min(LONGEST);
                wait.at = now + wait.after;
                due.push((pod.clone(), *hash, wait.told_again));
            }
        }
        due
    }

    /// When to look again at the latest.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.values().map(|wait| wait.at).min()
    }
}

#[cfg(test)]
mod tests {
    use postern_translate::IngressName;

    use super::*;

    #[test]
    fn who_stays_late_is_told_again_less_and_less_often() {
        let ingress = IngressName { namespace: "istio-system".to_owned(), name: "edge".to_owned() };
        let pod: PodKey = (ingress, "edge-1".to_owned());
        let started = Instant::now();
        let mut late = Late::default();
        let hash = Hash::of(b"one");
        let is_late = BTreeMap::from([(pod, hash)]);
        let mut told = Vec::new();
        for tenths in 0..100 {
            let due = late.look(&is_late, started + Duration::from_millis(tenths * 100));
            told.extend(due.into_iter().map(|(_, _, again)| (tenths, again)));
        }
        assert_eq!(told, [(12, 1), (36, 2), (84, 3)]);
        assert!(late.next().is_some());
        assert_eq!(late.look(&BTreeMap::new(), started), []);
        assert_eq!(late.next(), None);
        assert_eq!(late.look(&is_late, started + LONGEST), [], "it is late anew, for another reason");
    }
}
