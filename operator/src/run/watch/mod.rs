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

#[cfg(test)]
pub(super) mod tests {
    use kube::api::DynamicObject;

    use super::feed::{Feed, feeds};
    use super::{Content, Key};

    /// The watch of a kind; of Services there are two: that of the World, and that of ingresses.
    fn feed(kind: &str) -> Feed {
        let (kind, managed) = kind.strip_suffix(" of an ingress").map_or((kind, false), |kind| (kind, true));
        let is = |feed: &Feed| {
            feed.kind == kind
                && feed.labels().is_some_and(|labels| !labels.starts_with('!')) == managed
                && !feed.group.starts_with("gateway.")
        };
        feeds().into_iter().find(is).unwrap()
    }

    pub(in crate::run) fn key(kind: &str, object: &DynamicObject) -> Key {
        feed(kind).key(&object.metadata)
    }

    pub(in crate::run) fn content(kind: &str, object: DynamicObject) -> Content {
        feed(kind).content(object).unwrap()
    }

    #[test]
    fn what_postern_publishes_is_no_input() {
        for kind in ["Secret", "ConfigMap"] {
            assert_eq!(feed(kind).labels().as_deref(), Some("!postern.dev/ingress"));
        }
        assert_eq!(feed("Service").labels(), None);
    }

    #[test]
    fn a_missing_kind_is_only_believed_where_it_can_be_missing() {
        for (kind, custom) in
            [("Gateway", true), ("IngressGateway", true), ("EndpointSlice", false), ("Pod", false)]
        {
            assert_eq!(feed(kind).is_custom(), custom, "{kind}");
        }
        let mut gateway_api = feeds().into_iter().filter(|feed| feed.group.starts_with("gateway."));
        assert!(gateway_api.all(|feed| feed.is_custom()));
    }
}
