//! One write of one status.

use std::sync::Arc;
use std::time::Duration;

use kube::api::{DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use postern_api::meta::ObjectKey;
use postern_translate::ConditionType;
use postern_translate::status::{Condition, find_condition};
use serde_json::{Map, Value, json};

use crate::error_chain::Chain;
use crate::run::apply::{FIELD_MANAGER, is_conflict, is_not_found};
use crate::run::clients::is_not_leading;
use crate::run::state::Subject;

/// What failed is tried again after this.
const RETRY: Duration = Duration::from_secs(1);
/// Of another version of the object the watch tells; should it not, this long is waited.
const NEWER: Duration = Duration::from_millis(100);

/// A status to write.
pub(super) struct Write {
    pub(super) key: ObjectKey,
    pub(super) subject: Arc<Subject>,
    /// The version of the object that is written over.
    pub(super) version: String,
    /// The status of that version.
    pub(super) before: Value,
    pub(super) conditions: Vec<Condition>,
    /// The fields that change.
    pub(super) patch: Map<String, Value>,
}

/// What came of it.
pub(super) struct Written {
    pub(super) write: Write,
    /// The object's new version, and its status. Or, if another try makes sense, after how long.
    pub(super) result: Result<(String, Value), Option<Duration>>,
}

impl Write {
    /// Does it say for the first time that the object is served?
    pub(super) fn is_good_news(conditions: &[Condition], before: &Value) -> bool {
        let was = find_condition(before, ConditionType::Programmed).is_some_and(|it| it["status"] == "True");
        !was && conditions.iter().any(|it| it.type_ == ConditionType::Programmed && it.holds)
    }

    /// Writes it.
    pub(super) async fn send(self, client: Client) -> Written {
        let api: Api<DynamicObject> = match self.key.namespace.as_str() {
            "" => Api::all_with(client, &self.subject.api),
            namespace => Api::namespaced_with(client, namespace, &self.subject.api),
        };
        let patch = json!({"metadata": {"resourceVersion": self.version}, "status": self.patch});
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let result = match api.patch_status(&self.key.name, &parameters, &Patch::Merge(patch)).await {
            Ok(object) => {
                let status = object.data.get("status").cloned().unwrap_or_default();
                Ok((object.metadata.resource_version.unwrap_or_default(), status))
            }
            Err(error) if is_not_found(&error) || is_not_leading(&error) => Err(None),
            Err(error) if is_conflict(&error) => Err(Some(NEWER)),
            Err(error) => {
                tracing::warn!(key = %self.key, error = %Chain(&error), "cannot write a status");
                Err(Some(RETRY))
            }
        };
        Written { write: self, result }
    }
}
