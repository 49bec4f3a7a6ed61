//! `status` of Istio's objects (`meta/v1alpha1` of Istio's API).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::meta::Generation;

/// What became of an object. Istio itself writes `validationMessages` only when its analysis is switched
/// on; Postern writes `conditions`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IstioStatus {
    /// The state, one entry for each type.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<IstioCondition>,
    /// Findings of Istio's analysis.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validation_messages: Vec<AnalysisMessageBase>,
    /// The generation that all of this speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Generation>,
}

/// One aspect of an object's state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct IstioCondition {
    /// The aspect, `Programmed`.
    #[serde(rename = "type")]
    pub type_: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When this was looked at last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_probe_time: Option<Time>,
    /// When `status` changed last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
    /// Why, in one word, for programs.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The generation that this condition speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<Generation>,
}

/// A finding of Istio's analysis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct AnalysisMessageBase {
    /// Which finding.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub type_: Option<AnalysisMessageType>,
    /// How bad it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<AnalysisLevel>,
    /// Where it is explained.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub documentation_url: String,
}

/// The name of a finding of Istio's analysis.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnalysisMessageType {
    /// In words, `SchemaValidationError`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// As a code, `IST0106`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
}

/// How bad a finding of Istio's analysis is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum AnalysisLevel {
    /// Not set.
    Unknown,
    /// Does not work.
    Error,
    /// May not work.
    Warning,
    /// Works.
    Info,
}
