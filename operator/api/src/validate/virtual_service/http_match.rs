//! Rules about matches of requests.

use std::collections::BTreeMap;

use crate::istio::virtual_service::{HttpMatchRequest, StringMatch, ValueMatch};
use crate::place::Place;
use crate::validate::{Findings, common};
use crate::value::is_dns_label;

pub(super) fn validate(request: &HttpMatchRequest, at: &Place<'_>, findings: &mut Findings) {
    // An empty prefix matches every path; elsewhere it is a mistake.
    if let Some(StringMatch::Regex(expression)) = &request.uri {
        common::regex(expression, &at.field("uri").field("regex"), findings);
    }
    let texts = [("scheme", &request.scheme), ("method", &request.method), ("authority", &request.authority)];
    for (field, text) in texts {
        if let Some(text) = text {
            validate_text(text, &at.field(field), findings);
        }
    }
    validate_headers(&request.headers, &at.field("headers"), findings);
    validate_headers(&request.without_headers, &at.field("withoutHeaders"), findings);
    let parameters = at.field("queryParams");
    for (name, value) in &request.query_params {
        validate_value(value, &parameters.field(name), findings);
    }
    common::labels(&request.source_labels, &at.field("sourceLabels"), findings);
    if let Some(namespace) = &request.source_namespace
        && !is_dns_label(namespace)
    {
        findings
            .error(&at.field("sourceNamespace"), format!("{namespace:?} cannot be the name of a namespace"));
    }
}

fn validate_headers(headers: &BTreeMap<String, ValueMatch>, at: &Place<'_>, findings: &mut Findings) {
    const PSEUDO_HEADERS: [&str; 5] = [":method", ":scheme", ":authority", ":path", ":status"];
    for (name, value) in headers {
        let at = at.field(name);
        let allowed = PSEUDO_HEADERS.contains(&name.as_str())
            || name.starts_with("@request.auth.claims")
            || super::headers::is_token(name);
        if !allowed {
            findings.error(&at, format!("{name:?} is not the name of a header"));
        }
        validate_value(value, &at, findings);
    }
}

fn validate_value(value: &ValueMatch, at: &Place<'_>, findings: &mut Findings) {
    match value {
        // Istio takes `*`, which is no regular expression, as "present".
        ValueMatch::Present => {}
        ValueMatch::Value(StringMatch::Regex(expression)) if expression == "*" => {}
        ValueMatch::Value(text) => validate_text(text, at, findings),
    }
}

fn validate_text(text: &StringMatch, at: &Place<'_>, findings: &mut Findings) {
    match text {
        StringMatch::Exact(_) => {}
        StringMatch::Prefix(prefix) => {
            if prefix.is_empty() {
                findings.error(&at.field("prefix"), "a prefix must not be empty");
            }
        }
        StringMatch::Regex(expression) => common::regex(expression, &at.field("regex"), findings),
    }
}
