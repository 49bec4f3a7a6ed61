//! What the upstream is told about the client's certificate: Envoy's `x-forwarded-client-cert`, with the elements that
//! Istio asks for at gateways (`Hash`, `Cert`, `Subject`, `URI`, `DNS`).

use std::fmt::Write as _;

use http::HeaderValue;
use postern_tls::{PeerCertificate, SubjectAltName};

/// The header's value; `None` if the certificate holds what no header can.
pub(super) fn describe(certificate: &PeerCertificate) -> Option<HeaderValue> {
    let mut out = String::with_capacity(2048);
    out.push_str("Hash=");
    out.push_str(certificate.hash());
    out.push_str(";Cert=\"");
    push_escaped(&mut out, &certificate.pem());
    out.push_str("\";Subject=\"");
    push_quoted(&mut out, certificate.subject());
    out.push('"');
    let sans = certificate.sans();
    for san in sans {
        if let SubjectAltName::Uri(uri) = san {
            out.push_str(";URI=");
            push_value(&mut out, uri);
        }
    }
    for san in sans {
        if let SubjectAltName::Dns(name) = san {
            out.push_str(";DNS=");
            push_value(&mut out, name);
        }
    }
    HeaderValue::from_str(&out).ok()
}

/// Percent-encodes all but the characters that need none (RFC 3986 section 2.3).
fn push_escaped(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Invariant: writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// A value, in quotes where it has what divides elements (Envoy). The client chose its names: without an authority that
/// vouches for them, one could be made to read as an element of its own.
fn push_value(out: &mut String, value: &str) {
    if value.contains([',', ';', '=', '"']) {
        out.push('"');
        push_quoted(out, value);
        out.push('"');
    } else {
        out.push_str(value);
    }
}

fn push_quoted(out: &mut String, text: &str) {
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair, SanType};

    use super::*;

    #[test]
    fn a_name_cannot_pass_for_another_element() {
        let value = |name| {
            let mut out = String::new();
            push_value(&mut out, name);
            out
        };
        assert_eq!(value("spiffe://a/ns/b"), "spiffe://a/ns/b");
        assert_eq!(value("spiffe://a;URI=spiffe://admin"), r#""spiffe://a;URI=spiffe://admin""#);
        assert_eq!(value(r#"a";By=x"#), r#""a\";By=x""#);
    }

    #[test]
    fn the_elements_are_those_of_istio() {
        let mut params = CertificateParams::new(vec!["client.example".into()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a \"client\"");
        params.subject_alt_names.push(SanType::URI("spiffe://example/ns/a/sa/b".try_into().unwrap()));
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let peer = PeerCertificate::new(&[certificate.der().clone()]).unwrap();
        let value = describe(&peer).unwrap();
        let value = value.to_str().unwrap();
        let start = format!("Hash={};Cert=\"-----BEGIN%20CERTIFICATE-----%0A", peer.hash());
        assert!(value.starts_with(&start), "{value}");
        assert!(value.ends_with(";URI=spiffe://example/ns/a/sa/b;DNS=client.example"), "{value}");
        // A quote in a name does not end the element; RFC 2253 has escaped it already, the header does so again.
        let subject = value.split(";Subject=").nth(1).unwrap();
        assert_eq!(subject.matches('"').count(), 2 + subject.matches("\\\"").count(), "{subject}");
    }
}
