//! Rules for HTTP.

use serde::{Deserialize, Serialize};

use super::{
    CorsPolicy, Delegate, Destination, Headers, HttpDirectResponse, HttpFaultInjection, HttpMatchRequest,
    HttpMirrorPolicy, HttpRedirect, HttpRetry, HttpRewrite, HttpRouteDestination,
};
use crate::value::{Duration, Percent, Percentage, non_empty};

/// One rule: which requests, and what is done with them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct HttpRoute {
    /// A name for access logs.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which requests: one of these must match; none means all.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub match_: Vec<HttpMatchRequest>,
    /// Forward to one of these, by weight.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<HttpRouteDestination>,
    /// Answer with a redirect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect: Option<HttpRedirect>,
    /// Answer with a fixed response.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direct_response: Option<HttpDirectResponse>,
    /// Let another VirtualService decide.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegate: Option<Delegate>,
    /// Change path or authority before forwarding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<HttpRewrite>,
    /// The limit for the whole request, retries included; none (or 0) is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// When to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<HttpRetry>,
    /// Faults to inject.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<HttpFaultInjection>,
    /// Where a copy of the request goes. Not beside `mirrors`; see [`Self::all_mirrors`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Destination>,
    /// Where copies of the request go.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<HttpMirrorPolicy>,
    /// Deprecated: the share of requests of which `mirror` gets a copy, in whole percent.
    #[serde(alias = "mirror_percent", skip_serializing_if = "Option::is_none")]
    pub mirror_percent: Option<u32>,
    /// The share of requests of which `mirror` gets a copy; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mirror_percentage: Option<Percentage>,
    /// Cross-origin resource sharing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors_policy: Option<CorsPolicy>,
    /// Changes of headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Headers>,
}

/// What an [`HttpRoute`] does with a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HttpAction<'a> {
    /// Let another VirtualService decide.
    Delegate(&'a Delegate),
    /// Answer with a redirect.
    Redirect(&'a HttpRedirect),
    /// Answer with a fixed response.
    DirectResponse(&'a HttpDirectResponse),
    /// Forward to one of these; there is at least one.
    Route(&'a [HttpRouteDestination]),
}

impl HttpRoute {
    /// What is done. If several are set, which validation reports, the first of delegate, redirect,
    /// directResponse and route counts, as in Istio. `None` if none is set.
    #[must_use]
    pub fn action(&self) -> Option<HttpAction<'_>> {
        if let Some(delegate) = &self.delegate {
            return Some(HttpAction::Delegate(delegate));
        }
        if let Some(redirect) = &self.redirect {
            return Some(HttpAction::Redirect(redirect));
        }
        if let Some(response) = &self.direct_response {
            return Some(HttpAction::DirectResponse(response));
        }
        (!self.route.is_empty()).then_some(HttpAction::Route(&self.route))
    }

    /// The copies to make: `mirror` with its share, or `mirrors`.
    #[must_use]
    pub fn all_mirrors(&self) -> Vec<HttpMirrorPolicy> {
        let Some(destination) = &self.mirror else {
            return self.mirrors.clone();
        };
        let percentage = self.mirror_percentage.or_else(|| {
            let percent = Percent::try_from(f64::from(self.mirror_percent?)).ok()?;
            Some(Percentage { value: percent })
        });
        vec![HttpMirrorPolicy { destination: destination.clone(), percentage }]
    }
}
