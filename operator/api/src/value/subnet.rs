//! Addresses and blocks of addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// A block of addresses in CIDR notation (`10.0.0.0/8`), or one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subnet(IpNet);

/// A text that is no block of addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a subnet; write an IP address or a block such as 10.0.0.0/8")]
pub struct SubnetError(String);

impl Subnet {
    /// The block; of one address with its full prefix length.
    #[must_use]
    pub const fn get(self) -> IpNet {
        self.0
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.prefix_len() == self.0.max_prefix_len() { self.0.addr().fmt(f) } else { self.0.fmt(f) }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let block =
            if text.contains('/') { text.parse().ok() } else { text.parse::<IpAddr>().ok().map(IpNet::from) };
        block.map(Self).ok_or_else(|| SubnetError(text.to_owned()))
    }
}

super::string_serde!(Subnet);

/// Where a Gateway's server listens, if not on all addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bind {
    /// On this address; `0.0.0.0` and `::` are all of a family.
    Ip(IpAddr),
    /// On a Unix socket: an absolute path, or an abstract name that begins with `@`.
    Unix(String),
}

/// A text that is no place to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address to listen on; write an IP address, unix:///path/to/socket or unix://@abstract"
)]
pub struct BindError(String);

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix://{path}"),
        }
    }
}

impl FromStr for Bind {
    type Err = BindError;

    fn from_str(text: &str) -> Result<Self, BindError> {
        let error = || BindError(text.to_owned());
        let Some(path) = text.strip_prefix("unix://") else {
            return text.parse().map(Self::Ip).map_err(|_| error());
        };
        let abstract_name = path.starts_with('@') && path.len() > 1;
        let absolute_file = path.starts_with('/') && !path.ends_with('/');
        if abstract_name || absolute_file { Ok(Self::Unix(path.to_owned())) } else { Err(error()) }
    }
}

super::string_serde!(Bind);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn subnets_are_blocks_or_addresses() {
        let written = |text: &str| text.parse::<Subnet>().map(|subnet| subnet.to_string());
        assert_eq!(written("10.0.0.0/8").unwrap(), "10.0.0.0/8");
        assert_eq!(written("10.1.2.3").unwrap(), "10.1.2.3");
        assert_eq!(written("2001:db8::/32").unwrap(), "2001:db8::/32");
        for text in ["", "10.0.0.0/33", "example.com", "10.0.0/8", "10.0.0.0/8/9"] {
            assert!(written(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn binds_are_addresses_or_unix_sockets() {
        assert_eq!("::1".parse(), Ok(Bind::Ip(IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]))));
        assert_eq!("unix:///run/a.sock".parse(), Ok(Bind::Unix("/run/a.sock".to_owned())));
        assert_eq!("unix://@a".parse(), Ok(Bind::Unix("@a".to_owned())));
        for text in ["", "unix://", "unix://a", "unix:///a/", "unix://@", "localhost"] {
            assert!(text.parse::<Bind>().is_err(), "{text:?}");
        }
    }
}
