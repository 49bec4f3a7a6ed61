//! The watches: one a kind. What one of them cannot read harms only the object; what fails is tried again, for ever.

use std::{fmt, time::Duration};

use futures_util::{StreamExt, TryStreamExt};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{WatchStreamExt, watcher},
};
use postern_api::meta::ObjectKey;
use postern_api::parse::Parsed;
use postern_translate::WorldObject;
use tokio::sync::mpsc;

use super::store::{Change, KindIndex, Objects};
use crate::kinds::KindReader;

/// A kind that the cluster does not know is asked for again after this long.
const ABSENT_INTERVAL: Duration = Duration::from_secs(5);

/// Where objects of a kind are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Scope {
    /// In all namespaces.
    All,
    /// In this one.
    Namespace(String),
}

/// One watch.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) index: KindIndex,
    pub(super) reader: KindReader,
    pub(super) scope: Scope,
}

impl Watch {
    /// Tells all changes, until nobody listens.
    pub(super) async fn run(self, client: Client, changes: mpsc::UnboundedSender<Change>) {
        let mut told_absent = false;
        while !changes.is_closed() {
            match self.follow(&client, &changes).await {
                Ended::NobodyListens => return,
                Ended::KindIsAbsent => {
                    if !std::mem::replace(&mut told_absent, true) {
                        tracing::info!(kind = %self.reader.kind, "the cluster does not have this kind; waiting for it");
                    }
                    let _ = changes.send(Change::Absent(self.index));
                    tokio::time::sleep(ABSENT_INTERVAL).await;
                }
            }
        }
    }

    async fn follow(&self, client: &Client, changes: &mpsc::UnboundedSender<Change>) -> Ended {
        // kube backs off between failures, from a second to half a minute, and starts anew after a 410.
        let stream = watcher(self.api(client), watcher::Config::default()).default_backoff();
        let mut stream = std::pin::pin!(stream.into_stream());
        let mut initial = Objects::new();
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
                    Some((key, parsed)) => Change::Applied(self.index, key, Box::new(parsed)),
                    None => continue,
                },
                Ok(watcher::Event::Delete(object)) => Change::Deleted(self.index, self.key(&object)),
                Err(error) if is_absent(&error) => return Ended::KindIsAbsent,
                Err(error) => {
                    tracing::warn!(kind = %self.reader.kind, error = %Chain(&error), "a watch failed; trying again");
                    continue;
                }
            };
            if changes.send(change).is_err() {
                return Ended::NobodyListens;
            }
        }
        Ended::NobodyListens
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let kind = self.reader.kind;
        let resource = ApiResource::from_gvk_with_plural(
            &GroupVersionKind::gvk(kind.group, self.reader.version, kind.name),
            self.reader.plural,
        );
        match &self.scope {
            Scope::All => Api::all_with(client.clone(), &resource),
            Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        }
    }

    fn key(&self, object: &DynamicObject) -> ObjectKey {
        ObjectKey {
            kind: self.reader.kind,
            namespace: object.metadata.namespace.clone().unwrap_or_default(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }

    fn read(&self, object: DynamicObject) -> Option<(ObjectKey, Parsed<WorldObject>)> {
        let key = self.key(&object);
        match serde_json::to_value(object) {
            Ok(value) => Some((key, (self.reader.read)(value))),
            Err(error) => {
                tracing::error!(%key, %error, "an object cannot be read");
                None
            }
        }
    }
}

/// Why a watch ended.
enum Ended {
    NobodyListens,
    KindIsAbsent,
}

/// Does the API server not know the kind? Listing it is 404 then.
fn is_absent(error: &watcher::Error) -> bool {
    let error = match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => error,
        _ => return false,
    };
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

/// An error with what lies beneath it: kube's own text often stops at "ServiceError".
pub(super) struct Chain<'a>(pub(super) &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}
