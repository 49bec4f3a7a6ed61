//! `spec.proxy`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::value::non_empty;

/// Settings of the proxies of an ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct ProxySettings {
    /// Threads that serve traffic. Default: one for each core that a pod may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub workers: Option<u16>,
    /// What to log: `trace`, `debug`, `info`, `warn`, `error` or `off`, and then, for parts of the program, the same
    /// again: `info,postern_engine=debug`. Default `info`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 512),
        regex(
            pattern = r"^$|^(trace|debug|info|warn|error|off)(,[a-z0-9_]+(::[a-z0-9_]+)*=(trace|debug|info|warn|error|off))*$"
        )
    )]
    pub log_level: Option<String>,
    /// The access log: `off`, `text` (Envoy's default format), `istio` (Istio's default format), `json` (Istio's
    /// JSON format), or a format of your own with Envoy's command operators. Default `off`.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub access_log: Option<String>,
    /// For how many seconds a pod that is to end lets open connections go on. Default 25.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86400))]
    pub drain_seconds: Option<u32>,
    /// For how many seconds before that it still accepts new connections, until everybody knows that it ends.
    /// Default 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3600))]
    pub drain_delay_seconds: Option<u32>,
    /// How many proxies in front of the ingress are trusted to have set `x-forwarded-for`. Default 0: the address of
    /// whoever connects is the client's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub trusted_hops: Option<u32>,
}

impl ProxySettings {
    /// Seconds that open connections get; 25 if they are left out.
    #[must_use]
    pub fn drain_seconds(&self) -> u32 {
        self.drain_seconds.unwrap_or(25)
    }

    /// Seconds before that, in which connections are still accepted; 5 if they are left out.
    #[must_use]
    pub fn drain_delay_seconds(&self) -> u32 {
        self.drain_delay_seconds.unwrap_or(5)
    }
}
