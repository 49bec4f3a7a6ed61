//! Events at the objects that they are about, as `kubectl describe` shows them. They are a courtesy: when there are too
//! many, or one cannot be written, nothing waits for them.

use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use postern_api::meta::ObjectKey;
use postern_translate::status::{Condition, find_condition, reason};
use serde_json::Value;
use tokio::sync::mpsc;

use super::state::Subject;
use crate::error_chain::Chain;

/// So many wait to be written; more are dropped.
const WAITING: usize = 200;
/// Between two of them: fifty in a second are more than anybody reads.
const PAUSE: Duration = Duration::from_millis(20);
/// A note has at most this many bytes (events.k8s.io/v1).
const LONGEST_NOTE: usize = 1024;

/// Takes events.
#[derive(Clone, Debug)]
pub(super) struct Events(mpsc::Sender<(Event, ObjectReference)>);

impl Events {
    /// Starts to write them.
    pub(super) fn start(client: Client, instance: &str) -> Self {
        let (sender, mut events) = mpsc::channel::<(Event, ObjectReference)>(WAITING);
        let reporter = Reporter { controller: "postern".to_owned(), instance: Some(instance.to_owned()) };
        let recorder = Recorder::new(client, reporter);
        tokio::spawn(async move {
            while let Some((event, reference)) = events.recv().await {
                if let Err(error) = recorder.publish(&event, &reference).await {
                    tracing::debug!(error = %Chain(&error), "cannot write an event");
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self(sender)
    }

    /// Something happened that is as it should be.
    pub(super) fn tell(&self, key: &ObjectKey, subject: &Subject, reason: &str, note: &str) {
        self.send(key, subject, EventType::Normal, reason, note);
    }

    /// What a status says that it did not say before.
    pub(super) fn conditions(
        &self,
        key: &ObjectKey,
        subject: &Subject,
        before: &Value,
        conditions: &[Condition],
    ) {
        for condition in conditions.iter().filter(|condition| is_news(condition, before)) {
            let type_ = if condition.holds { EventType::Normal } else { EventType::Warning };
            self.send(key, subject, type_, &condition.reason, &condition.message);
        }
    }

    fn send(&self, key: &ObjectKey, subject: &Subject, type_: EventType, reason: &str, note: &str) {
        let event = Event {
            type_,
            reason: reason.to_owned(),
            note: Some(cut(note)),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let reference = ObjectReference {
            api_version: Some(subject.api.api_version.clone()),
            kind: Some(key.kind.name.to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(subject.uid.clone()),
            ..ObjectReference::default()
        };
        // Full: whoever reads so many will not miss this one.
        let _ = self.0.try_send((event, reference));
    }
}

/// Of what is well, only that it is served is told; of what is not, each reason once.
fn is_news(condition: &Condition, before: &Value) -> bool {
    use postern_translate::ConditionType::Programmed;
    let same = find_condition(before, condition.type_).is_some_and(|said| {
        said["status"] == if condition.holds { "True" } else { "False" } && said["reason"] == condition.reason
    });
    let worth_it = if condition.holds {
        condition.type_ == Programmed
    } else {
        ![reason::PENDING, reason::NOT_USED].contains(&condition.reason.as_str())
    };
    worth_it && !same
}

fn cut(note: &str) -> String {
    let end = note.floor_char_boundary(LONGEST_NOTE);
    note.get(..end).unwrap_or_default().to_owned()
}
