//! Names of subjects and issuers as text.

use x509_parser::{
    objects::{oid_registry, oid2abbrev},
    x509::{AttributeTypeAndValue, RelativeDistinguishedName, X509Name},
};

use crate::fingerprint::write_hex;

/// RFC 2253, as OpenSSL's `XN_FLAG_RFC2253` and so Envoy write it: the last part first, `,` between parts, `+` within one;
/// a value that is no text, and one whose type has no short name, as `#` and the hexadecimal DER.
pub(super) fn rfc2253(name: &X509Name<'_>) -> String {
    let mut parts: Vec<String> = name.iter_rdn().map(part).collect();
    parts.reverse();
    parts.join(",")
}

fn part(part: &RelativeDistinguishedName<'_>) -> String {
    part.iter().map(attribute).collect::<Vec<_>>().join("+")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    match (oid2abbrev(kind, oid_registry()), attribute.as_str()) {
        (Ok(short), Ok(value)) => format!("{short}={}", escape(value)),
        (short, _) => {
            let mut text = short.map_or_else(|_| kind.to_id_string(), str::to_owned) + "=#";
            // Invariant: writing to a String cannot fail.
            let _ = write_hex(&mut text, attribute.as_slice());
            text
        }
    }
}

/// RFC 2253 section 2.4; control characters as `\XX`, as OpenSSL does.
fn escape(value: &str) -> String {
    let last = value.chars().count().saturating_sub(1);
    let mut text = String::with_capacity(value.len());
    for (at, c) in value.chars().enumerate() {
        let special = matches!(c, ',' | '+' | '"' | '\\' | '<' | '>' | ';')
            || (at == 0 && matches!(c, '#' | ' '))
            || (at == last && c == ' ');
        if special {
            text.push('\\');
            text.push(c);
        } else if c.is_control() {
            let mut utf8 = [0; 4];
            for byte in c.encode_utf8(&mut utf8).bytes() {
                text.push_str(&format!("\\{byte:02X}"));
            }
        } else {
            text.push(c);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn special_characters_are_escaped() {
        assert_eq!(escape("a,b+c\"d\\e<f>g;h"), r#"a\,b\+c\"d\\e\<f\>g\;h"#);
        assert_eq!(escape("# # "), r"\# #\ ");
        assert_eq!(escape(" "), r"\ ");
        assert_eq!(escape("Zoë\n\u{85}"), r"Zoë\0A\C2\85");
        assert_eq!(escape(""), "");
    }
}
