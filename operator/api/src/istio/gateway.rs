//! `Gateway`: which ports an ingress opens, for which hosts, and with which TLS settings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::status::IstioStatus;
use crate::object::istio_object;
use crate::value::{Bind, Port, Protocol, ServerHost, is_false, non_empty};

istio_object! {
    /// The ports that an ingress opens. Gateways with the same selector share one ingress.
    #[derive(Default)]
    Gateway { spec: GatewaySpec, status: IstioStatus }
    plural: "gateways",
    versions: ["v1", "v1beta1", "v1alpha3"],
    parts: ["servers"],
}

/// The spec of a [`Gateway`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct GatewaySpec {
    /// What is listened on; at least one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub servers: Vec<Server>,
    /// The labels of the pods that this is for, all of them. Empty selects every gateway.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub selector: BTreeMap<String, String>,
}

/// One port for some hosts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Server {
    /// The port, as the Service has it.
    pub port: ServerPort,
    /// Where to listen, if not on all addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind: Option<Bind>,
    /// The hosts; at least one.
    pub hosts: Vec<ServerHost>,
    /// TLS settings: needed for HTTPS and TLS; on HTTP only `httpsRedirect` is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ServerTlsSettings>,
    /// A name for people; the default is `port.name`.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For sidecars; not implemented by Istio either.
    #[serde(default, deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub default_endpoint: Option<String>,
}

/// The port of a [`Server`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerPort {
    /// As written; see [`Self::port`].
    pub number: u16,
    /// What is spoken.
    pub protocol: Protocol,
    /// A label, unique in the Gateway.
    pub name: String,
    /// Not allowed in Gateways (only in ServiceEntries).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_port: Option<u16>,
}

impl ServerPort {
    /// The port. `None` for 0, which stands beside a Unix socket in `bind`.
    #[must_use]
    pub const fn port(&self) -> Option<Port> {
        Port::new(self.number)
    }
}

/// How a [`Server`] does TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServerTlsSettings {
    /// Answer every request in plain text with 301 to HTTPS.
    #[serde(skip_serializing_if = "is_false")]
    pub https_redirect: bool,
    /// As written; see [`Self::mode`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<TlsMode>,
    /// The path of the certificate (chain), in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub server_certificate: Option<String>,
    /// The path of the private key, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// The path of the certificates that may sign client certificates, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<String>,
    /// The path of the list of revoked client certificates, in the proxy's pod.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_crl: Option<String>,
    /// The Secret with certificate and key (and CA), in the namespace of the ingress's pods.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub credential_name: Option<String>,
    /// Up to two Secrets, one with an RSA and one with an ECDSA key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credential_names: Vec<String>,
    /// The Secret or ConfigMap with the CA for client certificates, apart from `credentialName`'s.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_cert_credential_name: Option<String>,
    /// Up to two certificates by their paths in the proxy's pod.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tls_certificates: Vec<TlsCertificate>,
    /// The names of which a client certificate must have one; none means any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subject_alt_names: Vec<String>,
    /// Base64 of SHA-256 over the public key (SPKI) of which a client certificate must match one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verify_certificate_spki: Vec<String>,
    /// Hex of SHA-256 over the client certificate (colons allowed), of which it must match one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verify_certificate_hash: Vec<String>,
    /// The oldest version of TLS; `TLS_AUTO` or nothing means 1.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_protocol_version: Option<TlsProtocol>,
    /// The newest version of TLS; `TLS_AUTO` or nothing means 1.3.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_protocol_version: Option<TlsProtocol>,
    /// Cipher suites by their names in OpenSSL, for TLS 1.2 and older. Unknown names are ignored with a
    /// warning.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cipher_suites: Vec<String>,
    /// Ask for a client certificate but take any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
}

impl ServerTlsSettings {
    /// The mode; PASSTHROUGH if it is left out.
    #[must_use]
    pub fn mode(&self) -> TlsMode {
        self.mode.unwrap_or(TlsMode::Passthrough)
    }

    /// The Secrets that are named, from `credentialName` or `credentialNames`.
    pub fn credentials(&self) -> impl Iterator<Item = &str> {
        self.credential_name.iter().chain(&self.credential_names).map(String::as_str)
    }

    /// The certificates in files, from `tlsCertificates` or the three single fields.
    #[must_use]
    pub fn certificate_files(&self) -> Vec<TlsCertificate> {
        if !self.tls_certificates.is_empty() {
            return self.tls_certificates.clone();
        }
        if self.server_certificate.is_none() && self.private_key.is_none() {
            return Vec::new();
        }
        vec![TlsCertificate {
            server_certificate: self.server_certificate.clone(),
            private_key: self.private_key.clone(),
            ca_certificates: self.ca_certificates.clone(),
        }]
    }
}

/// A certificate by its files in the proxy's pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct TlsCertificate {
    /// The path of the certificate (chain).
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub server_certificate: Option<String>,
    /// The path of the private key.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub private_key: Option<String>,
    /// The path of the certificates that may sign client certificates.
    #[serde(deserialize_with = "non_empty", skip_serializing_if = "Option::is_none")]
    pub ca_certificates: Option<String>,
}

/// What a [`Server`] does with TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsMode {
    /// Forward the bytes; the SNI chooses the route.
    Passthrough,
    /// Terminate TLS.
    Simple,
    /// Terminate TLS and demand a client certificate.
    Mutual,
    /// Forward the bytes to the service that the SNI itself names (between clusters of a mesh).
    AutoPassthrough,
    /// Like MUTUAL with the mesh's own certificates.
    IstioMutual,
    /// Terminate TLS and check a client certificate if there is one.
    OptionalMutual,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsProtocol {
    /// The default of the place.
    #[serde(rename = "TLS_AUTO")]
    Auto,
    /// TLS 1.0.
    #[serde(rename = "TLSV1_0")]
    V1_0,
    /// TLS 1.1.
    #[serde(rename = "TLSV1_1")]
    V1_1,
    /// TLS 1.2.
    #[serde(rename = "TLSV1_2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "TLSV1_3")]
    V1_3,
}
