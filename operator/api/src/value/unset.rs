//! Values that mean "not set", as in protobuf.

use serde::{Deserialize as _, Deserializer};

/// Reads an optional text; the empty one is absent, as protobuf (and so Istio) cannot tell them apart.
/// Charts often render `credentialName: ""`.
pub(crate) fn non_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Whether a boolean need not be written.
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}
