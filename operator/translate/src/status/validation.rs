//! `validationMessages`: findings that `istioctl analyze` has a code for.

use std::collections::BTreeMap;

use postern_api::finding::Level;
use postern_api::istio::status::{AnalysisLevel, AnalysisMessageBase, AnalysisMessageType};

use crate::finding::Finding;

/// Where Istio explains its codes.
const DOCUMENTATION: &str = "https://istio.io/latest/docs/reference/config/analysis";

/// One for each code, with the worst level.
pub(super) fn messages(findings: &[Finding]) -> Vec<AnalysisMessageBase> {
    let mut codes: BTreeMap<&str, Level> = BTreeMap::new();
    for finding in findings {
        let Some(code) = finding.code else { continue };
        let level = codes.entry(code).or_insert(finding.level);
        *level = (*level).max(finding.level);
    }
    codes.into_iter().map(|(code, level)| message(code, level)).collect()
}

fn message(code: &str, level: Level) -> AnalysisMessageBase {
    AnalysisMessageBase {
        type_: Some(AnalysisMessageType { name: name(code).to_owned(), code: code.to_owned() }),
        level: Some(match level {
            Level::Error => AnalysisLevel::Error,
            Level::Warning => AnalysisLevel::Warning,
            Level::Info => AnalysisLevel::Info,
        }),
        documentation_url: format!("{DOCUMENTATION}/{}/", code.to_ascii_lowercase()),
    }
}

/// Istio's name for a code (`pkg/config/analysis/msg/messages.yaml`).
fn name(code: &str) -> &'static str {
    match code {
        "IST0002" => "Deprecated",
        "IST0101" => "ReferencedResourceNotFound",
        "IST0106" => "SchemaValidationError",
        "IST0112" => "VirtualServiceDestinationPortSelectorRequired",
        "IST0130" => "VirtualServiceUnreachableRule",
        "IST0131" => "VirtualServiceIneffectiveMatch",
        "IST0132" => "VirtualServiceHostNotFoundInGateway",
        "IST0133" => "SchemaWarning",
        "IST0145" => "ConflictingGateways",
        "IST0149" => "JwtClaimBasedRoutingWithoutRequestAuthN",
        "IST0161" => "InvalidGatewayCredential",
        _ => "",
    }
}
