//! Objects by namespace and name.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Objects of one kind by namespace and name; searched without a key of one's own.
#[derive(Debug)]
pub(crate) struct Table<T> {
    namespaces: BTreeMap<String, BTreeMap<String, Arc<T>>>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { namespaces: BTreeMap::new() }
    }
}

impl<T> Table<T> {
    /// A later one of the same name takes the place of an earlier one.
    pub(crate) fn insert(&mut self, namespace: String, name: String, object: Arc<T>) {
        self.namespaces.entry(namespace).or_default().insert(name, object);
    }

    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<&Arc<T>> {
        self.namespaces.get(namespace)?.get(name)
    }

    /// By namespace, then by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<T>> {
        self.namespaces.values().flat_map(BTreeMap::values)
    }
}
