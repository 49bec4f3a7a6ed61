//! What is said about an object in its status: pure, like the rest of this crate.
//!
//! [`status_of`] takes one object with what was found about it, and the ingresses as they run, and gives its conditions
//! and the change of its status that says so, or none when it says so already.
//!
//! The conditions are the Gateway API's, on Istio's kinds:
//! - `Accepted`: the object is valid. With an error in a part of it, and the rest served, it stays `True`, with reason
//!   `PartiallyInvalid`, as a Gateway API Gateway's does with `ListenersNotValid`.
//! - `ResolvedRefs`: everything that it names exists. One error makes it `False`, as at a Gateway API route.
//! - `Programmed`: every proxy that should serve it does, and refuses nothing of it. That is told by the proxies
//!   ([`ProxyAck`]), never guessed from what was written.
//!
//! One writer, and no other writer's words are lost: conditions of other types stay as and where they are, and fields
//! that are not Postern's are not in the patch.

mod conditions;
mod findings;
mod gateway_api;
mod ingress_gateway;
mod istio;
mod programmed;
mod proxy;
pub mod reason;
mod translated;
mod validation;

use std::collections::BTreeSet;

use k8s_openapi::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use postern_api::istio::gateway::Gateway;
use postern_api::meta::{Kind, ObjectKey};
use postern_api::postern::ingress_gateway::IngressGateway;
use postern_snapshot::manifest::Hash;
use serde_json::{Map, Value};

use crate::finding::{ConditionType, Finding};
use crate::ingress::IngressName;
use crate::plan::Plan;

pub use conditions::find as find_condition;
pub use gateway_api::{Running, gateway_api_status_of};
pub use proxy::{Proxy, ProxyAck};
pub use translated::TranslatedView;

/// An object whose status is to be written.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Which object.
    pub key: &'a ObjectKey,
    /// Its generation, which all conditions speak of.
    pub generation: i64,
    /// Its status as it is now; `Null` if there is none.
    pub status: &'a Value,
    /// What was found about it.
    pub findings: &'a [Finding],
    /// The round in which this object, by its uid, had this generation first; see [`Proxy::round`].
    pub since: u64,
    /// When this operator saw this generation first, the status said that proxies serve it ([`claims_programmed`]): then
    /// a snapshot from before this operator's time counts too.
    pub claimed: bool,
}

impl Subject<'_> {
    fn is<T: Resource>(&self) -> bool {
        self.key.kind == Kind::of::<T>()
    }
}

/// An ingress as it runs.
#[derive(Clone, Debug)]
pub struct IngressView<'a> {
    /// Which.
    pub name: &'a IngressName,
    /// What it is to be.
    pub plan: &'a Plan,
    /// Of the snapshot that its proxies should serve. `None`: there is none yet.
    pub hash: Option<Hash>,
    /// All of that snapshot is where the proxies find it.
    pub published: bool,
    /// What could not be written.
    pub problems: &'a [ApplyProblem],
    /// The `IngressGateway` with its settings.
    pub settings: Option<&'a ObjectKey>,
    /// The Gateways that belong to it, also those of which nothing can be served.
    pub gateways: &'a BTreeSet<ObjectKey>,
    /// Of its Service.
    pub addresses: &'a [String],
    /// The number of pods that there should be.
    pub wanted: usize,
    /// The proxies that are ready and not about to end: those that get traffic.
    pub proxies: &'a [Proxy],
}

/// Something of an ingress that could not be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyProblem {
    /// What was to be written.
    pub object: ObjectKey,
    /// The field that somebody else owns, as far as it is about one.
    pub path: Option<String>,
    /// The field's owner: a field manager.
    pub owner: Option<String>,
    /// What the API server said, or what is too large.
    pub message: String,
}

/// What is said about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Postern's conditions, as they are to be.
    pub conditions: Vec<Condition>,
    /// The fields of `status` that have to change, for a JSON merge patch (RFC 7396). `None`: nothing has to.
    pub patch: Option<Map<String, Value>>,
    /// Nothing is wrong: some proxies only have not said yet that they serve it, so another status will follow soon.
    pub waiting: bool,
}

impl Status {
    /// The condition of this type, if this object has it.
    #[must_use]
    pub fn condition(&self, type_: ConditionType) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

/// One aspect of an object's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which aspect.
    pub type_: ConditionType,
    /// `True` or `False`.
    pub holds: bool,
    /// Why, in one word, for programs: a [`Reason`](crate::Reason), or one of [`reason`].
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl Condition {
    pub(crate) fn new(
        type_: ConditionType,
        holds: bool,
        reason: impl std::fmt::Display,
        message: impl Into<String>,
    ) -> Self {
        Self { type_, holds, reason: reason.to_string(), message: message.into() }
    }
}

/// What is to be said about an object of Istio's or of Postern's own; of the Gateway API's see
/// [`gateway_api_status_of`]. `now` is the time of conditions that change; it is written in whole seconds.
#[must_use]
pub fn status_of(subject: &Subject<'_>, ingresses: &[IngressView<'_>], now: &Time) -> Status {
    if subject.is::<IngressGateway>() {
        ingress_gateway::status(subject, ingresses, now)
    } else {
        istio::status(subject, ingresses, subject.is::<Gateway>(), now)
    }
}

/// Whether a status says that all proxies serve this generation of its object.
#[must_use]
pub fn claims_programmed(status: &Value, generation: i64) -> bool {
    conditions::find(status, ConditionType::Programmed)
        .is_some_and(|condition| conditions::holds(condition, generation))
}
