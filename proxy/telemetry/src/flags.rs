//! Envoy's response flags: short and long names, and sets of them.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// Defines the flags in Envoy's order, which is the order in which a set of them is printed.
macro_rules! response_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $short:literal, $long:literal;)*) => {
        /// One additional detail about a response or a connection, as in Envoy's access log
        /// (`%RESPONSE_FLAGS%`): those that this proxy can produce.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum ResponseFlag {
            $($(#[$doc])* #[doc = concat!("(`", $short, "`)")] $name = $bit,)*
        }

        impl ResponseFlag {
            /// All flags, in Envoy's order.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Envoy's abbreviation, such as `UH`.
            #[must_use]
            pub const fn short(self) -> &'static str {
                match self { $(Self::$name => $short,)* }
            }

            /// Envoy's long name, such as `NoHealthyUpstream`.
            #[must_use]
            pub const fn long(self) -> &'static str {
                match self { $(Self::$name => $long,)* }
            }
        }
    };
}

response_flags! {
    /// No endpoint of the cluster can be used.
    NoHealthyUpstream = 0, "UH", "NoHealthyUpstream";
    /// The upstream did not answer in time.
    UpstreamRequestTimeout = 1, "UT", "UpstreamRequestTimeout";
    /// The proxy itself reset the stream.
    LocalReset = 2, "LR", "LocalReset";
    /// The upstream reset the stream.
    UpstreamRemoteReset = 3, "UR", "UpstreamRemoteReset";
    /// No connection to the upstream could be made.
    UpstreamConnectionFailure = 4, "UF", "UpstreamConnectionFailure";
    /// The upstream closed the connection in the middle of a request.
    UpstreamConnectionTermination = 5, "UC", "UpstreamConnectionTermination";
    /// A circuit breaker of the cluster was open.
    UpstreamOverflow = 6, "UO", "UpstreamOverflow";
    /// No route, or for a connection no filter chain, matched.
    NoRouteFound = 7, "NR", "NoRouteFound";
    /// A fault injection delayed the request.
    DelayInjected = 8, "DI", "DelayInjected";
    /// A fault injection aborted the request.
    FaultInjected = 9, "FI", "FaultInjected";
    /// A local rate limit refused the request.
    RateLimited = 10, "RL", "RateLimited";
    /// External authorization denied the request.
    UnauthorizedExternalService = 11, "UAEX", "UnauthorizedExternalService";
    /// The client closed its connection before the response was complete.
    DownstreamConnectionTermination = 12, "DC", "DownstreamConnectionTermination";
    /// All retries, or connection attempts, were used up.
    UpstreamRetryLimitExceeded = 13, "URX", "UpstreamRetryLimitExceeded";
    /// The stream was idle for too long.
    StreamIdleTimeout = 14, "SI", "StreamIdleTimeout";
    /// The request broke the HTTP protocol.
    DownstreamProtocolError = 15, "DPE", "DownstreamProtocolError";
    /// The request reached the route's longest stream duration.
    UpstreamMaxStreamDurationReached = 16, "UMSDR", "UpstreamMaxStreamDurationReached";
    /// The request or connection lasted longer than a connection may.
    DurationTimeout = 17, "DT", "DurationTimeout";
    /// The response broke the HTTP protocol.
    UpstreamProtocolError = 18, "UPE", "UpstreamProtocolError";
    /// The route names a cluster that does not exist.
    NoClusterFound = 19, "NC", "NoClusterFound";
    /// The proxy is short of a resource (connections, memory) and shed the request.
    OverloadManager = 20, "OM", "OverloadManagerTerminated";
    /// The name of the upstream could not be resolved.
    DnsResolutionFailed = 21, "DF", "DnsResolutionFailed";
    /// The client reset the stream.
    DownstreamRemoteReset = 22, "DR", "DownstreamRemoteReset";
}

/// A set of [`ResponseFlag`]s.
///
/// `Display` prints it as Envoy's `%RESPONSE_FLAGS%`: `-` when empty, else short names in Envoy's
/// order with commas between. The alternate form (`{:#}`) prints long names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct ResponseFlags(u32);

impl ResponseFlags {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of one flag.
    #[must_use]
    pub const fn of(flag: ResponseFlag) -> Self {
        Self(1 << flag as u8)
    }

    /// This set and `flag`.
    #[must_use]
    pub const fn with(self, flag: ResponseFlag) -> Self {
        Self(self.0 | Self::of(flag).0)
    }

    /// Adds `flag`.
    pub const fn insert(&mut self, flag: ResponseFlag) {
        self.0 |= Self::of(flag).0;
    }

    /// Whether `flag` is in the set.
    #[must_use]
    pub const fn contains(self, flag: ResponseFlag) -> bool {
        self.0 & Self::of(flag).0 != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The flags in the set, in Envoy's order.
    pub fn iter(self) -> impl Iterator<Item = ResponseFlag> {
        ResponseFlag::ALL.iter().copied().filter(move |flag| self.contains(*flag))
    }

    /// The set as bits, for use as a key within one process.
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }
}

impl From<ResponseFlag> for ResponseFlags {
    fn from(flag: ResponseFlag) -> Self {
        Self::of(flag)
    }
}

impl BitOr for ResponseFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for ResponseFlags {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Display for ResponseFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (index, flag) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(if f.alternate() { flag.long() } else { flag.short() })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_flag_prints_a_dash() {
        assert_eq!(ResponseFlags::NONE.to_string(), "-");
        assert_eq!(format!("{:#}", ResponseFlags::NONE), "-");
    }

    #[test]
    fn several_flags_print_in_envoys_order_whatever_the_order_of_insertion() {
        let mut flags = ResponseFlags::of(ResponseFlag::UpstreamRetryLimitExceeded);
        flags.insert(ResponseFlag::UpstreamConnectionFailure);
        assert_eq!(flags.to_string(), "UF,URX");
        assert_eq!(format!("{flags:#}"), "UpstreamConnectionFailure,UpstreamRetryLimitExceeded");
    }

    #[test]
    fn each_flag_has_a_bit_and_names_of_its_own() {
        let bits: HashSet<u32> = ResponseFlag::ALL.iter().map(|f| ResponseFlags::of(*f).bits()).collect();
        let short: HashSet<&str> = ResponseFlag::ALL.iter().map(|f| f.short()).collect();
        let long: HashSet<&str> = ResponseFlag::ALL.iter().map(|f| f.long()).collect();
        assert_eq!(bits.len(), ResponseFlag::ALL.len());
        assert_eq!(short.len(), ResponseFlag::ALL.len());
        assert_eq!(long.len(), ResponseFlag::ALL.len());
    }

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set = ResponseFlags::of(ResponseFlag::NoRouteFound) | ResponseFlag::RateLimited.into();
        assert!(set.contains(ResponseFlag::NoRouteFound));
        assert!(set.contains(ResponseFlag::RateLimited));
        assert!(!set.contains(ResponseFlag::LocalReset));
        assert_eq!(set.iter().count(), 2);
    }
}
