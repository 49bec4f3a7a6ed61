//! Which object, and which state of it.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer, Serialize};

/// A kind of object: the API group and the name of the kind. Versions of one kind are the same kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The name, `VirtualService`.
    pub name: &'static str,
    /// The API group, `networking.istio.io`; empty for Kubernetes' core.
    pub group: &'static str,
}

impl Kind {
    /// The kind of a type.
    #[must_use]
    pub const fn of<T: k8s_openapi::Resource>() -> Self {
        Self { name: T::KIND, group: T::GROUP }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The identity of an object. It is written `Gateway istio-system/web-gateway`, and without a namespace
/// for kinds that have none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectKey {
    /// The kind.
    pub kind: Kind,
    /// The namespace; empty if the kind has none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// The identity of an object of type `T` with this namespace and name.
    #[must_use]
    pub fn new<T: k8s_openapi::Resource>(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Self { kind: Kind::of::<T>(), namespace: namespace.into(), name: name.into() }
    }

    /// The identity of an object.
    #[must_use]
    pub fn of<T: k8s_openapi::Metadata<Ty = ObjectMeta>>(object: &T) -> Self {
        let metadata = object.metadata();
        Self::new::<T>(
            metadata.namespace.clone().unwrap_or_default(),
            metadata.name.clone().unwrap_or_default(),
        )
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}

/// `metadata.generation`: the count of changes of an object's spec. 0 if the object was read from a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Generation(pub i64);

impl Generation {
    /// The generation of an object.
    #[must_use]
    pub fn of<T: k8s_openapi::Metadata<Ty = ObjectMeta>>(object: &T) -> Self {
        Self(object.metadata().generation.unwrap_or_default())
    }
}

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Istio writes 64-bit integers as protobuf's JSON does, as text; the schema allows both.
impl<'de> Deserialize<'de> for Generation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a generation is an integer, or one as text")]
        enum Form {
            Number(i64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => text.parse().map(Self).map_err(|_| {
                serde::de::Error::custom(format!("{text:?} is not a generation; it must be an integer"))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::istio::gateway::Gateway;
    use k8s_openapi::api::core::v1::Namespace;

    #[test]
    fn keys_read_like_kubectl() {
        let key = ObjectKey::new::<Gateway>("istio-system", "web-gateway");
        assert_eq!(key.to_string(), "Gateway istio-system/web-gateway");
        assert_eq!(ObjectKey::new::<Namespace>("", "shop").to_string(), "Namespace shop");
        assert_eq!(key.kind.group, "networking.istio.io");
    }

    #[test]
    fn generations_are_numbers_or_text() {
        let read = |json: &str| serde_json::from_str::<Generation>(json);
        assert_eq!(read("7").unwrap(), Generation(7));
        assert_eq!(read("\"7\"").unwrap(), Generation(7));
        assert!(read("\"x\"").is_err());
        assert!(read("true").is_err());
    }
}
