//! `status` of the Gateway API's objects.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A status as it stands. It is not taken apart: several controllers share the statuses of routes and policies, and
/// nothing of what another one wrote must be lost when Postern writes its own part.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GatewayApiStatus(pub Map<String, Value>);
