//! Which GatewayClasses are Postern's.

use std::collections::{BTreeMap, BTreeSet};

use postern_api::finding::Level;
use postern_api::gateway_api::gateway_class::GatewayClass;
use postern_api::meta::{Generation, ObjectKey};

use super::denial::{Denial, condition};
use super::facts::ClassFacts;
use super::infrastructure::Infrastructure;
use super::mode::Mode;
use super::parameters;
use crate::at::At;
use crate::finding::{ConditionType, Findings, Problem, Reason};
use crate::status::reason;
use crate::world::{World, key_of};

/// `controllerName` of the GatewayClasses whose Gateways Postern runs.
pub const CONTROLLER_NAME: &str = "postern.dev/gateway-controller";

/// `status.supportedFeatures` of a GatewayClass: the names of `sigs.k8s.io/gateway-api/pkg/features` v1.6 that the
/// translation, the contract and the proxy carry out. Sorted, as the API asks.
pub const SUPPORTED_FEATURES: [&str; 48] = [
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayInfrastructure",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
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
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

/// Postern's GatewayClasses, by name.
pub(super) struct Classes<'a>(BTreeMap<&'a str, Class<'a>>);

struct Class<'a> {
    object: &'a GatewayClass,
    mode: Mode,
    infrastructure: Result<Infrastructure, Denial>,
}

impl<'a> Classes<'a> {
    pub(super) fn new(world: &'a World) -> Self {
        let ours = world.gateway_classes.iter().filter_map(|(name, class)| {
            let mode = Mode::of(&class.spec.controller_name)?;
            let infrastructure =
                parameters::of_class(class, world).and_then(|found| Infrastructure::read(found, mode));
            Some((name.as_str(), Class { object: class.as_ref(), mode, infrastructure }))
        });
        Self(ours.collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Who serves the Gateways of the class of this name, and what it says about them. `None`: it is not Postern's.
    pub(super) fn infrastructure(&self, name: &str) -> Option<(Mode, Result<&Infrastructure, &Denial>)> {
        let class = self.0.get(name)?;
        Some((class.mode, class.infrastructure.as_ref()))
    }

    pub(super) fn facts(&self) -> BTreeMap<ObjectKey, ClassFacts> {
        let facts = self.0.iter().map(|(name, class)| {
            let message = match class.mode {
                Mode::Serving => "its Gateways are served by Postern",
                Mode::Translating => "its Gateways are translated to Istio's objects, for who reads those",
            };
            let accepted = class.infrastructure.as_ref().map(|_| ()).map_err(Denial::clone);
            let condition = condition(ConditionType::Accepted, &accepted, reason::ACCEPTED, message);
            let generation = Generation::of(class.object);
            let facts = ClassFacts { generation, mode: class.mode, conditions: vec![condition] };
            (ObjectKey::new::<GatewayClass>("", *name), facts)
        });
        facts.collect()
    }

    /// Says what is wrong with them.
    pub(super) fn report(&self, findings: &mut Findings) {
        for (name, class) in &self.0 {
            match &class.infrastructure {
                Ok(infrastructure) => infrastructure.report(findings),
                Err(denial) => {
                    let key = ObjectKey::new::<GatewayClass>("", *name);
                    let problem = denial.problem(ConditionType::Accepted);
                    findings.at_path(&key, parameters::path_of_class(), Level::Error, problem);
                }
            }
        }
    }
}

/// Says of Gateways that their class does not exist. One of another controller is none of Postern's business.
pub(super) fn report_unknown(world: &World, findings: &mut Findings) {
    let mut told = BTreeSet::new();
    for gateway in world.kubernetes_gateways.iter() {
        let name = &gateway.spec.gateway_class_name;
        if world.gateway_classes.contains_key(name) || !told.insert(key_of(gateway.as_ref())) {
            continue;
        }
        let key = key_of(gateway.as_ref());
        let at = At::object(&key);
        let at = at.field("spec");
        let message = format!("there is no GatewayClass {name}, so nobody serves this Gateway");
        findings.warn(&at.field("gatewayClassName"), Problem::accepted(Reason::InvalidParameters, message));
    }
}
