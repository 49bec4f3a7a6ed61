//! Shared values by key, forgotten some time after their last user is gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A table of values that users hold `Arc`s of. A value is found again as long as it is in the
/// table; it leaves the table when nobody has held it for the retention time.
#[derive(Debug)]
pub(super) struct Interned<K, V> {
    slots: BTreeMap<K, Slot<V>>,
}

#[derive(Debug)]
struct Slot<V> {
    value: Arc<V>,
    unused_since: Option<Instant>,
}

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self { slots: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V> Interned<K, V> {
    /// The value for `key`, made if there is none.
    pub(super) fn get_or_insert(&mut self, key: &K, make: impl FnOnce() -> V) -> Arc<V> {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.unused_since = None;
            return Arc::clone(&slot.value);
        }
        let value = Arc::new(make());
        self.slots.insert(key.clone(), Slot { value: Arc::clone(&value), unused_since: None });
        value
    }

    /// Forgets the values that nobody but the table held at each sweep of the last `retention`, and
    /// returns them.
    pub(super) fn sweep(&mut self, now: Instant, retention: Duration) -> Vec<Arc<V>> {
        let mut removed = Vec::new();
        self.slots.retain(|_, slot| {
            // Under the table's lock no user can appear that is not counted: one comes either from
            // the table or from another user.
            if Arc::strong_count(&slot.value) > 1 {
                slot.unused_since = None;
                return true;
            }
            let unused_since = *slot.unused_since.get_or_insert(now);
            let keep = now.saturating_duration_since(unused_since) < retention;
            if !keep {
                removed.push(Arc::clone(&slot.value));
            }
            keep
        });
        removed
    }

    /// The values, in the order of their keys.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &Arc<V>)> {
        self.slots.iter().map(|(key, slot)| (key, &slot.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Duration = Duration::from_secs(60);

    #[test]
    fn a_value_in_use_is_never_forgotten() {
        let mut table = Interned::default();
        let held = table.get_or_insert(&"a", || 1);
        let start = Instant::now();
        assert!(table.sweep(start, RETENTION).is_empty());
        assert!(table.sweep(start + 10 * RETENTION, RETENTION).is_empty());
        drop(held);
        assert!(table.sweep(start + 11 * RETENTION, RETENTION).is_empty(), "the time begins to run");
        assert_eq!(*table.sweep(start + 12 * RETENTION, RETENTION)[0], 1);
        assert_eq!(table.iter().count(), 0);
    }

    #[test]
    fn a_value_that_comes_back_in_time_is_the_same() {
        let mut table = Interned::default();
        let first = Arc::downgrade(&table.get_or_insert(&"a", || 1));
        let start = Instant::now();
        table.sweep(start, RETENTION);
        let again = table.get_or_insert(&"a", || 2);
        assert!(Arc::ptr_eq(&again, &first.upgrade().unwrap()));
        drop(again);
        table.sweep(start + RETENTION, RETENTION);
        assert_eq!(table.iter().count(), 1, "the time began anew");
    }
}
