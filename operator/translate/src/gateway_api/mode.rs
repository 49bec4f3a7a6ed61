//! Who serves the Gateways of a class. There are two controllers, so that a class of one can be told from a class of the
//! other.

use super::class::{CONTROLLER_NAME, SUPPORTED_FEATURES};

/// `controllerName` of the GatewayClasses whose Gateways are written as Istio's objects, for Istio's own ingress or
/// another one that reads them.
pub const TRANSLATOR_NAME: &str = "postern.dev/istio-translator";

/// `status.supportedFeatures` of a GatewayClass of [`TRANSLATOR_NAME`]: the names of `sigs.k8s.io/gateway-api/pkg/features`
/// v1.6 that Istio's API can carry, whatever the ingress is that reads it. Sorted, as the API asks.
pub const TRANSLATED_FEATURES: [&str; 33] = [
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryConnectionError",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
];

/// Who serves the Gateways of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Postern, each by an ingress of its own.
    Serving,
    /// Somebody who reads the objects of Istio that Postern writes for them.
    Translating,
}

impl Mode {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Serving, Self::Translating];

    /// That of the classes with this `controllerName`. `None`: another controller's.
    #[must_use]
    pub fn of(controller_name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.controller_name() == controller_name)
    }

    /// `controllerName` of its classes, and of what is said in statuses that several controllers share.
    #[must_use]
    pub const fn controller_name(self) -> &'static str {
        match self {
            Self::Serving => CONTROLLER_NAME,
            Self::Translating => TRANSLATOR_NAME,
        }
    }

    /// `status.supportedFeatures` of its classes.
    #[must_use]
    pub const fn supported_features(self) -> &'static [&'static str] {
        match self {
            Self::Serving => &SUPPORTED_FEATURES,
            Self::Translating => &TRANSLATED_FEATURES,
        }
    }
}
