//! The parts `certificates` and `keys`: they change when a certificate is renewed.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{CaName, CertificateName, KeyId};

/// The part `certificates`: chains and authorities, nothing secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Certificates {
    /// What the proxy shows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub certificates: BTreeMap<CertificateName, Certificate>,
    /// What it trusts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub authorities: BTreeMap<CaName, CaBundle>,
}

/// A certificate to show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// The object that refers to it or holds it, for the status: `Secret/istio-system/tls-secret`.
    pub origin: String,
    /// Where chain and key are.
    pub source: CertificateSource,
}

/// Where a chain and its key are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificateSource {
    /// Here, and in the part `keys`.
    #[serde(rename_all = "camelCase")]
    Inline {
        /// PEM, the leaf first.
        chain: String,
        /// Which key.
        key: KeyId,
        /// Base64 of a DER OCSP response to staple (Secret key `tls.ocsp-staple`).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ocsp_staple: Option<String>,
    },
    /// In files of the proxy's pod (Istio's `serverCertificate`, `privateKey`). Read at reload.
    #[serde(rename_all = "camelCase")]
    Files {
        /// PEM, the leaf first.
        chain: PathBuf,
        /// PEM.
        key: PathBuf,
    },
}

/// Authorities to trust.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CaBundle {
    /// The object that holds it, for the status.
    pub origin: String,
    /// PEM certificates, or the path of a file with them.
    pub certificates: PemSource,
    /// PEM revocation lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<PemSource>,
}

/// PEM text, here or in a file of the proxy's pod.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PemSource {
    /// The text.
    Inline(String),
    /// Where it is. Read at reload.
    File(PathBuf),
}

/// The part `keys`: PEM private keys. Its `Debug` shows none of them.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keys(pub BTreeMap<KeyId, String>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
