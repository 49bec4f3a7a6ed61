//! One watch.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DynamicObject, PartialObjectMeta};
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client};
use tokio::sync::mpsc;

use super::feed::{Content, Feed, Key};
use crate::error_chain::Chain;
use crate::run::metrics::Metrics;

/// A kind that the cluster does not know is asked for again after this long.
const ABSENT_INTERVAL: Duration = Duration::from_secs(2);
/// A watch that failed begins anew after this, then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_millis(100);
/// But never later than this: when the API server is back, changes are waited for.
const LONGEST_RETRY: Duration = Duration::from_secs(2);

/// Something that a watch tells, with the number of the watch.
#[derive(Debug)]
pub(in crate::run) enum Change {
    /// All objects; what is not here is gone.
    All(usize, Vec<(Key, Content)>),
    /// This object is new or changed.
    Applied(usize, Key, Box<Content>),
    /// This object is gone.
    Deleted(usize, Key),
    /// The cluster does not know the kind (yet): there are none.
    Absent(usize),
}

/// A watch that is to run.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) index: usize,
    pub(super) feed: Feed,
    /// None: all of them.
    pub(super) namespace: Option<String>,
    pub(super) metrics: Arc<Metrics>,
}

/// How long to wait before a watch is begun anew.
#[derive(Debug)]
struct Retry(Duration);

impl Default for Retry {
    fn default() -> Self {
        Self(FIRST_RETRY)
    }
}

impl Iterator for Retry {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let next = self.0;
        self.0 = (next * 2).min(LONGEST_RETRY);
        Some(next)
    }
}

impl Backoff for Retry {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

type Events = BoxStream<'static, Result<watcher::Event<DynamicObject>, watcher::Error>>;

impl Watch {
    /// Tells all changes, until nobody listens.
    pub(super) async fn run(self, client: Client, changes: mpsc::UnboundedSender<Change>) {
        let mut told_absent = false;
        while !changes.is_closed() {
            match self.follow(&client, &changes).await {
                Ended::NobodyListens => return,
                Ended::KindIsAbsent => {
                    if !std::mem::replace(&mut told_absent, true) {
                        tracing::info!(
                            kind = self.feed.kind,
                            group = self.feed.group,
                            "the cluster does not have this kind; waiting for it"
                        );
                    }
                    let _ = changes.send(Change::Absent(self.index));
                    tokio::time::sleep(ABSENT_INTERVAL).await;
                }
            }
        }
    }

    async fn follow(&self, client: &Client, changes: &mpsc::UnboundedSender<Change>) -> Ended {
        let mut stream = self.events(client);
        let mut initial = Vec::new();
        while let Some(event) = stream.next().await {
            let change = match event {
                Ok(watcher::Event::Init) => {
                    initial.clear();
                    continue;
                }
                Ok(watcher::Event::InitApply(object)) => {
                    initial.extend(self.read(object));
                    continue;
                }
                Ok(watcher::Event::InitDone) => Change::All(self.index, std::mem::take(&mut initial)),
                Ok(watcher::Event::Apply(object)) => match self.read(object) {
                    Some((key, content)) => Change::Applied(self.index, key, Box::new(content)),
                    None => continue,
                },
                Ok(watcher::Event::Delete(object)) => {
                    Change::Deleted(self.index, self.feed.key(&object.metadata))
                }
                Err(error) => {
                    if may_be_absent(&error) && self.is_absent(client).await {
                        return Ended::KindIsAbsent;
                    }
                    tracing::warn!(kind = self.feed.kind, error = %Chain(&error), "a watch failed; trying again");
                    self.metrics.watch_failed(self.feed.kind);
                    continue;
                }
            };
            if changes.send(change).is_err() {
                return Ended::NobodyListens;
            }
        }
        Ended::NobodyListens
    }

    /// kube backs off between failures, and starts anew after a 410.
    fn events(&self, client: &Client) -> Events {
        let resource = self.feed.resource();
        let api: Api<DynamicObject> = match &self.namespace {
            None => Api::all_with(client.clone(), &resource),
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        let mut config = watcher::Config::default();
        if let Some(labels) = self.feed.labels() {
            config = config.labels(&labels);
        }
        if let Some(fields) = self.feed.fields {
            config = config.fields(fields);
        }
        if self.feed.metadata_only {
            let bare = |meta: PartialObjectMeta<DynamicObject>| DynamicObject {
                types: None,
                metadata: meta.metadata,
                data: serde_json::Value::Null,
            };
            let api: Api<PartialObjectMeta<DynamicObject>> = match &self.namespace {
                None => Api::all_with(client.clone(), &resource),
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            };
            let stream = watcher(api, config).backoff(Retry::default());
            return stream.map_ok(move |event| map_event(event, bare)).boxed();
        }
        watcher(api, config).backoff(Retry::default()).boxed()
    }

    /// Is the kind really not there? An API server that starts, or a namespace that it does not know yet, may also say
    /// "not found". All ingresses would be taken down if that was believed.
    async fn is_absent(&self, client: &Client) -> bool {
        if !self.feed.is_custom() {
            return false;
        }
        let name = format!("{}.{}", self.feed.plural, self.feed.group);
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        match definitions.get_metadata_opt(&name).await {
            Ok(definition) => definition.is_none(),
            Err(error) => {
                tracing::warn!(kind = self.feed.kind, error = %Chain(&error), "cannot see whether the kind is there");
                false
            }
        }
    }

    fn read(&self, object: DynamicObject) -> Option<(Key, Content)> {
        let key = self.feed.key(&object.metadata);
        Some((key, self.feed.content(object)?))
    }
}

fn map_event<A, B>(event: watcher::Event<A>, map: impl Fn(A) -> B) -> watcher::Event<B> {
    match event {
        watcher::Event::Apply(object) => watcher::Event::Apply(map(object)),
        watcher::Event::Delete(object) => watcher::Event::Delete(map(object)),
        watcher::Event::Init => watcher::Event::Init,
        watcher::Event::InitApply(object) => watcher::Event::InitApply(map(object)),
        watcher::Event::InitDone => watcher::Event::InitDone,
    }
}

/// Why a watch ended.
enum Ended {
    NobodyListens,
    KindIsAbsent,
}

/// Did the API server say that there is no such path? To a list it says so with a status 404. A watch that was there before goes
/// on where it was, and kube reads the answer to that, which is the line "404 page not found", as an event.
fn may_be_absent(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 404)
        }
        watcher::Error::WatchFailed(error) => matches!(error, kube::Error::SerdeError(_)),
        _ => false,
    }
}
