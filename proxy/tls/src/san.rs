//! The names in a certificate (X.509 subjectAltName, RFC 5280 section 4.2.1.6).

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use x509_parser::prelude::{GeneralName, X509Certificate};

/// One subject alternative name. Kinds that are not here are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectAltName {
    /// A DNS name, perhaps with a wildcard as its first label.
    Dns(String),
    /// A URI, for example a SPIFFE ID.
    Uri(String),
    /// A mail address.
    Email(String),
    /// An IP address.
    Ip(IpAddr),
}

impl SubjectAltName {
    /// Is it the one that is wanted? As Envoy's exact match of a SAN of any kind: DNS names without regard to case,
    /// and a wildcard in the certificate stands for one label; everything else to the letter.
    pub(crate) fn is(&self, wanted: &str) -> bool {
        match self {
            Self::Dns(name) => dns_name_covers(name, wanted),
            Self::Uri(text) | Self::Email(text) => text == wanted,
            Self::Ip(address) => wanted.parse() == Ok(*address),
        }
    }

    fn of(name: &GeneralName<'_>) -> Option<Self> {
        match name {
            GeneralName::DNSName(name) => Some(Self::Dns((*name).to_owned())),
            GeneralName::URI(uri) => Some(Self::Uri((*uri).to_owned())),
            GeneralName::RFC822Name(address) => Some(Self::Email((*address).to_owned())),
            GeneralName::IPAddress(bytes) => ip(bytes).map(Self::Ip),
            _ => None,
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(text) | Self::Uri(text) | Self::Email(text) => f.write_str(text),
            Self::Ip(address) => address.fmt(f),
        }
    }
}

/// The names in a certificate; none when the extension is absent or broken.
pub(crate) fn subject_alt_names(certificate: &X509Certificate<'_>) -> Vec<SubjectAltName> {
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(SubjectAltName::of).collect(),
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn dns_name_covers(pattern: &str, name: &str) -> bool {
    let one_label = || {
        let suffix = pattern.strip_prefix("*.")?;
        let (label, rest) = name.split_once('.')?;
        Some(!label.is_empty() && rest.eq_ignore_ascii_case(suffix))
    };
    pattern.eq_ignore_ascii_case(name) || one_label().unwrap_or(false)
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

#[cfg(test)]
mod tests {
    use super::SubjectAltName;

    #[test]
    fn names_are_compared_as_envoy_does() {
        let dns = |name: &str| SubjectAltName::Dns(name.to_owned());
        assert!(dns("A.example.com").is("a.EXAMPLE.com"));
        assert!(dns("*.example.com").is("a.example.com"));
        assert!(dns("*.example.com").is("*.example.com"));
        assert!(!dns("*.example.com").is("a.b.example.com"));
        assert!(!dns("*.example.com").is("example.com"));
        assert!(!dns("*.example.com").is(".example.com"));
        assert!(!dns("a.example.com").is("*.example.com"));
        let uri = SubjectAltName::Uri("spiffe://Td/ns/a".to_owned());
        assert!(uri.is("spiffe://Td/ns/a") && !uri.is("spiffe://td/ns/a"));
        let ip = SubjectAltName::Ip("::1".parse().unwrap());
        assert!(ip.is("0:0:0:0:0:0:0:1") && !ip.is("127.0.0.1"));
    }
}
