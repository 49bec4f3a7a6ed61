//! What all objects of this crate have in common.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;

use crate::validate::Validate;

/// An object of an API that is not Kubernetes' core: Istio's networking API, the Gateway API, or Postern's own. All have
/// metadata, a spec, and a status.
///
/// With `k8s_openapi`'s two traits below it, kube takes each of these for a `kube::Resource`; this crate
/// need not depend on kube.
pub trait ApiObject:
    k8s_openapi::Resource + k8s_openapi::Metadata<Ty = ObjectMeta> + DeserializeOwned + Validate
{
    /// What the user wants.
    type Spec;

    /// All API versions of the kind. Their schemas are the same; [`k8s_openapi::Resource::VERSION`] is
    /// the one to ask the API server for.
    const VERSIONS: &'static [&'static str];

    /// The fields of the spec that fail alone: what has an error is dropped, of a list the element, and the rest of the
    /// object is kept. An error anywhere else costs the object.
    const PARTS: &'static [&'static str];

    /// What the user wants.
    fn spec(&self) -> &Self::Spec;
}

/// An [`ApiObject`] that has a namespace: all of Istio's, and nearly all others.
pub trait IstioObject:
    ApiObject + k8s_openapi::Resource<Scope = k8s_openapi::NamespaceResourceScope>
{
}

impl<T> IstioObject for T where
    T: ApiObject + k8s_openapi::Resource<Scope = k8s_openapi::NamespaceResourceScope>
{
}

/// Defines the struct of an Istio kind with its spec and status, its place in the API, and serde for the
/// whole object. With `group` before `plural`, of a kind of that API group; with
/// `scope` before that, of one that may have no namespace; with `kind`
/// before `spec`, of one whose name is not that of the struct.
macro_rules! istio_object {
    (
        $(#[$doc:meta])*
        $object:ident { spec: $spec:ident, status: $status:ident }
        plural: $($rest:tt)*
    ) => {
        crate::object::istio_object! {
            $(#[$doc])*
            $object { spec: $spec, status: $status }
            group: "networking.istio.io",
            plural: $($rest)*
        }
    };
    (
        $(#[$doc:meta])*
        $object:ident { spec: $spec:ident, status: $status:ident }
        group: $($rest:tt)*
    ) => {
        crate::object::istio_object! {
            $(#[$doc])*
            $object { spec: $spec, status: $status }
            scope: NamespaceResourceScope,
            group: $($rest)*
        }
    };
    (
        $(#[$doc:meta])*
        $object:ident { spec: $spec:ident, status: $status:ident }
        scope: $($rest:tt)*
    ) => {
        crate::object::istio_object! {
            $(#[$doc])*
            $object { kind: stringify!($object), spec: $spec, status: $status }
            scope: $($rest)*
        }
    };
    (
        $(#[$doc:meta])*
        $object:ident { kind: $kind:expr, spec: $spec:ident, status: $status:ident }
        scope: $scope:ident,
        group: $group:literal,
        plural: $plural:literal,
        versions: [$version:literal $(, $other:literal)*],
        parts: $parts:expr $(,)?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $object {
            /// Name, namespace, labels, and the rest of what every object has.
            pub metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
            /// What the user wants.
            pub spec: $spec,
            /// What became of it.
            pub status: Option<$status>,
        }

        impl k8s_openapi::Resource for $object {
            const API_VERSION: &'static str = concat!($group, "/", $version);
            const GROUP: &'static str = $group;
            const KIND: &'static str = $kind;
            const VERSION: &'static str = $version;
            const URL_PATH_SEGMENT: &'static str = $plural;
            type Scope = k8s_openapi::$scope;
        }

        impl k8s_openapi::ListableResource for $object {
            const LIST_KIND: &'static str = concat!($kind, "List");
        }

        impl k8s_openapi::Metadata for $object {
            type Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

            fn metadata(&self) -> &Self::Ty {
                &self.metadata
            }

            fn metadata_mut(&mut self) -> &mut Self::Ty {
                &mut self.metadata
            }
        }

        impl crate::object::ApiObject for $object {
            type Spec = $spec;
            const VERSIONS: &'static [&'static str] = &[$version $(, $other)*];
            const PARTS: &'static [&'static str] = &$parts;

            fn spec(&self) -> &$spec {
                &self.spec
            }
        }

        impl serde::Serialize for $object {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeStruct as _;
                let fields = if self.status.is_some() { 5 } else { 4 };
                let mut object = serializer.serialize_struct(stringify!($object), fields)?;
                object.serialize_field("apiVersion", <Self as k8s_openapi::Resource>::API_VERSION)?;
                object.serialize_field("kind", <Self as k8s_openapi::Resource>::KIND)?;
                object.serialize_field("metadata", &self.metadata)?;
                object.serialize_field("spec", &self.spec)?;
                match &self.status {
                    Some(status) => object.serialize_field("status", status)?,
                    None => object.skip_field("status")?,
                }
                object.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $object {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // The items of a list have neither kind nor version; `parse` checks them where they are.
                #[derive(serde::Deserialize)]
                struct Fields {
                    #[serde(default, rename = "apiVersion")]
                    _api_version: serde::de::IgnoredAny,
                    #[serde(default, rename = "kind")]
                    _kind: serde::de::IgnoredAny,
                    #[serde(default)]
                    metadata: k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta,
                    spec: $spec,
                    status: Option<$status>,
                }
                let fields = Fields::deserialize(deserializer)?;
                Ok(Self {
                    metadata: fields.metadata,
                    spec: fields.spec,
                    status: fields.status,
                })
            }
        }
    };
}
pub(crate) use istio_object;
