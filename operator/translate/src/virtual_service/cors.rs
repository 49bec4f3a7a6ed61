//! `corsPolicy` → the policy of a route.

use postern_api::istio::virtual_service::CorsPolicy;
use postern_snapshot::model;

use super::match_::string_match;

/// What pages of other origins may do.
pub(super) fn cors_policy(from: &CorsPolicy) -> model::CorsPolicy {
    model::CorsPolicy {
        allow_origins: from.origins().iter().map(string_match).collect(),
        allow_methods: from.allow_methods.clone(),
        allow_headers: from.allow_headers.clone(),
        expose_headers: from.expose_headers.clone(),
        max_age: from.max_age.map(|age| age.get().as_secs()),
        allow_credentials: from.allow_credentials.unwrap_or_default(),
        ignore_unmatched_preflights: !from.forwards_unmatched_preflights(),
    }
}
