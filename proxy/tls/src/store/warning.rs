//! Certificates that are used but will not please clients.

use std::time::SystemTime;

use super::{CertificateStore, Subject};

/// A certificate that is used although clients will refuse it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} ({origin}) {kind}")]
pub struct CertificateWarning {
    /// Which one.
    pub subject: Subject,
    /// The object that holds it.
    pub origin: String,
    /// What is the matter.
    pub kind: WarningKind,
}

/// What is the matter with a certificate that is used all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WarningKind {
    /// Its time is over.
    #[error("expired at {0} (seconds since 1970)")]
    Expired(i64),
    /// Its time has not come.
    #[error("is not valid before {0} (seconds since 1970)")]
    NotYetValid(i64),
}

impl CertificateStore {
    /// The certificates that are outside of their time at `now`, sorted by name.
    #[must_use]
    pub fn warnings(&self, now: SystemTime) -> Vec<CertificateWarning> {
        let now = match now.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            Err(_) => 0,
        };
        let mut outside: Vec<_> = self
            .certificates
            .iter()
            .filter_map(|(name, named)| {
                let validity = named.loaded.validity()?;
                let kind = if now > validity.not_after {
                    WarningKind::Expired(validity.not_after)
                } else if now < validity.not_before {
                    WarningKind::NotYetValid(validity.not_before)
                } else {
                    return None;
                };
                Some((name, named, kind))
            })
            .collect();
        outside.sort_by_key(|(name, ..)| *name);
        outside
            .into_iter()
            .map(|(name, named, kind)| CertificateWarning {
                subject: Subject::Certificate(name.clone()),
                origin: named.origin.clone(),
                kind,
            })
            .collect()
    }
}
