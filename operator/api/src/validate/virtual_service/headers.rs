//! Rules about changes of headers.

use super::super::Findings;
use crate::istio::virtual_service::{HeaderOperations, Headers, HttpRoute};
use crate::place::Place;

pub(super) fn validate(headers: &Headers, at: &Place<'_>, findings: &mut Findings) {
    if let Some(request) = &headers.request {
        validate_operations(request, true, &at.field("request"), findings);
    }
    if let Some(response) = &headers.response {
        validate_operations(response, false, &at.field("response"), findings);
    }
}

fn validate_operations(
    operations: &HeaderOperations,
    may_set_authority: bool,
    at: &Place<'_>,
    findings: &mut Findings,
) {
    for (field, changes) in [("set", &operations.set), ("add", &operations.add)] {
        let at = at.field(field);
        for (name, value) in changes {
            let at = at.field(name);
            validate_name(name, may_set_authority, &at, findings);
            validate_value(value, &at, findings);
        }
    }
    let at = at.field("remove");
    for (index, name) in operations.remove.iter().enumerate() {
        validate_name(name, false, &at.index(index), findings);
    }
}

fn validate_name(name: &str, may_set_authority: bool, at: &Place<'_>, findings: &mut Findings) {
    if is_authority(name) {
        if !may_set_authority {
            findings
                .warn(at, format!("{name} can only be set or added, and only in requests; this is ignored"));
        }
    } else if !is_token(name) {
        findings.error(at, format!("{name:?} is not the name of a header that can be changed"));
    }
}

fn validate_value(value: &str, at: &Place<'_>, findings: &mut Findings) {
    let forbidden = |byte: u8| (byte < 0x20 && byte != b'\t') || byte == 0x7f;
    if value.bytes().any(forbidden) {
        findings.error(at, "a header's value must not hold control characters");
    }
    if !substitutions_end(value) {
        findings.error(at, format!("{value:?} has a \"%\" that begins no substitution; write \"%%\""));
    }
}

/// Whether each substitution (`%NAME%`, `%NAME(arguments)%`) has an end; `%%` is a plain percent sign.
fn substitutions_end(value: &str) -> bool {
    let mut rest = value;
    while let Some((_, after)) = rest.split_once('%') {
        if let Some(after) = after.strip_prefix('%') {
            rest = after;
            continue;
        }
        // A percent sign among the arguments is the arguments'.
        let after = match after.find(['(', '%']) {
            Some(index) if after[index..].starts_with('(') => match end_of_arguments(&after[index + 1..]) {
                Some(end) => end,
                None => return false,
            },
            _ => after,
        };
        match after.split_once('%') {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

/// What comes after the closing parenthesis; quoted text may hold one.
fn end_of_arguments(text: &str) -> Option<&str> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b')' if !quoted => return text.get(index + 1..),
            _ => {}
        }
    }
    None
}

/// The authority is set in one place.
pub(super) fn one_authority(rule: &HttpRoute, at: &Place<'_>, findings: &mut Findings) {
    let Some(request) = rule.headers.as_ref().and_then(|headers| headers.request.as_ref()) else { return };
    let rewritten = rule.rewrite.as_ref().is_some_and(|rewrite| rewrite.authority.is_some());
    let in_headers = request.set.keys().chain(request.add.keys()).filter(|name| is_authority(name)).count();
    if in_headers + usize::from(rewritten) > 1 {
        findings.warn(
            &at.field("headers").field("request"),
            "the authority is set more than once, by rewrite.authority or the headers host and :authority; one of them counts",
        );
    }
}

fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// Whether a text can be a header's name (RFC 9110, 5.6.2).
pub(super) fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn substitutions_have_an_end() {
        for value in [
            "",
            "foo",
            "%HOSTNAME%",
            "100%%",
            "prefix %HOSTNAME% suffix",
            "%REQ(:path)%",
            "%PER_REQUEST_STATE(\"a)%\")%",
            "%%%HOSTNAME%%%",
            r#"%START_TIME(%Y/%m)%"#,
        ] {
            assert!(substitutions_end(value), "{value}");
        }
        for value in ["%", "abc%123", "%START_TIME%%", "%REQ(a%", "%REQ(a)", "%%%"] {
            assert!(!substitutions_end(value), "{value}");
        }
    }
}
