//! Values that have a syntax or a range of their own, parsed once, when the object is read.

mod duration;
mod gateway_name;
mod host;
mod number;
mod protocol;
mod subnet;
mod unset;
mod visibility;

pub use duration::{Duration, DurationError};
pub use gateway_name::{GatewayName, GatewayNameError};
pub use host::{HostError, HostNamespace, HostPattern, ServerHost, is_dns_label};
pub use number::{Percent, PercentError, Percentage, Port, PortError};
pub use protocol::{Protocol, ProtocolError};
pub use subnet::{Bind, BindError, Subnet, SubnetError};
pub(crate) use unset::{is_false, non_empty};
pub use visibility::{Visibility, VisibilityError};

/// How the error ends of a value of which one field must be set, and none is.
pub(crate) const NONE_WAS_GOT: &str = "is needed, and none was got";

/// Serialises through `Display` and deserialises through `FromStr`, whose error names what was got and
/// what is allowed.
macro_rules! string_serde {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use string_serde;
