//! Rules about cross-origin resource sharing.

use super::super::{Findings, common};
use super::headers::is_token;
use crate::istio::virtual_service::{CorsPolicy, StringMatch};
use crate::place::Place;

/// The methods that Istio allows; `*` is all.
const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"];

pub(super) fn validate(policy: &CorsPolicy, at: &Place<'_>, findings: &mut Findings) {
    if !policy.allow_origin.is_empty() {
        findings.deprecated(&at.field("allowOrigin"), "allowOrigin is deprecated; write allowOrigins");
    }
    let origins = at.field("allowOrigins");
    for (index, origin) in policy.allow_origins.iter().enumerate() {
        let at = origins.index(index);
        match origin {
            StringMatch::Regex(expression) => common::regex(expression, &at.field("regex"), findings),
            StringMatch::Exact(text) | StringMatch::Prefix(text) => {
                if text.is_empty() {
                    findings.error(&at, "an origin must not be empty");
                }
            }
        }
    }
    let methods = at.field("allowMethods");
    for (index, method) in policy.allow_methods.iter().enumerate() {
        if !METHODS.contains(&method.as_str()) {
            let known = METHODS.join(", ");
            findings.error(
                &methods.index(index),
                format!("{method:?} is not a method that can be allowed; it must be one of {known}"),
            );
        }
    }
    let headers = [("allowHeaders", &policy.allow_headers), ("exposeHeaders", &policy.expose_headers)];
    for (field, names) in headers {
        let at = at.field(field);
        for (index, name) in names.iter().enumerate() {
            // `*` is a token too.
            if !is_token(name) {
                findings.error(&at.index(index), format!("{name:?} is not the name of a header"));
            }
        }
    }
    common::duration(policy.max_age, &at.field("maxAge"), findings);
    if policy.max_age.is_some_and(|age| age.get().subsec_nanos() != 0) {
        findings.error(&at.field("maxAge"), "the answer's age is in whole seconds");
    }
}
