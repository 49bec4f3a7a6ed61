//! Copies of requests.

use serde::{Deserialize, Serialize};

use super::Destination;
use crate::value::{Percent, Percentage};

/// Where copies of requests go. Their responses are thrown away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HttpMirrorPolicy {
    /// Where to.
    pub destination: Destination,
    /// The share of requests; see [`Self::share`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentage: Option<Percentage>,
}

impl HttpMirrorPolicy {
    /// The share of requests: all of them if nothing is said.
    #[must_use]
    pub fn share(&self) -> Percent {
        self.percentage.map_or(Percent::ALL, |percentage| percentage.value)
    }
}
