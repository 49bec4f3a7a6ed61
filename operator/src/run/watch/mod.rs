//! Kubernetes API → what was read: one watch for each kind. What one of them cannot read harms only the object; what
//! fails is tried again, for ever.

mod feed;
mod stream;

use std::sync::Arc;

use kube::Client;
use tokio::sync::mpsc;

use super::metrics::Metrics;
use feed::feeds;
pub(super) use feed::{About, Content, Key};
pub(super) use stream::Change;
use stream::Watch;

/// Starts all watches. They end when nobody listens any more.
pub(super) fn start(
    client: &Client,
    namespaces: &[String],
    metrics: &Arc<Metrics>,
    changes: &mpsc::UnboundedSender<Change>,
) -> usize {
    let mut count = 0;
    for feed in feeds() {
        let scopes: Vec<Option<String>> = if feed.namespaced && !namespaces.is_empty() {
            namespaces.iter().cloned().map(Some).collect()
        } else {
            vec![None]
        };
        for namespace in scopes {
            let watch = Watch { index: count, feed, namespace, metrics: Arc::clone(metrics) };
            count += 1;
            tokio::spawn(watch.run(client.clone(), changes.clone()));
        }
    }
    count
}
