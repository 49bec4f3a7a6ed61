//! Certificates, keys and authorities, parsed and checked once per reload.

mod authorities;
mod certificate;
mod pem;
mod warning;

use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use postern_snapshot::{
    CaName, CertificateName,
    model::{Certificates, Keys},
};

pub(crate) use self::authorities::check_validity;
pub use self::{
    authorities::LoadedAuthorities,
    certificate::{LoadedCertificate, Validity},
    warning::{CertificateWarning, WarningKind},
};
use crate::CertificateProblem;

/// The certificates and authorities of one snapshot that are fit for use.
#[derive(Debug, Clone, Default)]
pub struct CertificateStore {
    certificates: HashMap<CertificateName, Named<LoadedCertificate>>,
    authorities: HashMap<CaName, Named<LoadedAuthorities>>,
}

#[derive(Debug)]
struct Named<T> {
    origin: String,
    loaded: Arc<T>,
}

// By hand: a derived one would want `T: Clone`.
impl<T> Clone for Named<T> {
    fn clone(&self) -> Self {
        Self { origin: self.origin.clone(), loaded: self.loaded.clone() }
    }
}

/// What a report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A certificate to show.
    Certificate(CertificateName),
    /// A bundle of authorities to trust, or its revocation lists.
    Authorities(CaName),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Certificate(name) => write!(f, "certificate {name}"),
            Self::Authorities(name) => write!(f, "authorities {name}"),
        }
    }
}

/// What is used in place of what was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Instead {
    /// Nothing: what needs it fails.
    Nothing,
    /// The last good one under the same name.
    Previous,
    /// The same, without the piece that is wrong (a staple, some certificates of a bundle).
    Rest,
}

/// A certificate or a bundle of authorities that is not used as it is in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{subject} ({origin}): {problem}{}", match instead {
    Instead::Nothing => "",
    Instead::Previous => "; the last good one stays in use",
    Instead::Rest => "; the rest is used",
})]
pub struct RefusedCertificate {
    /// Which one.
    pub subject: Subject,
    /// The object that holds it: `Secret/istio-system/tls-secret`.
    pub origin: String,
    /// Why.
    #[source]
    pub problem: CertificateProblem,
    /// What happens now.
    pub instead: Instead,
}

impl CertificateStore {
    /// Parses and checks everything. This reads the files that `certificates` names (at most
    /// [`MAX_FILE_BYTES`](Self::MAX_FILE_BYTES) each), the only I/O of this crate besides the system's authorities.
    ///
    /// One bad certificate costs only itself: it is reported, and when `previous` holds a good one under the same
    /// name, that one stays. What did not change since `previous` is shared with it, not parsed again. An expired
    /// certificate is used; see [`warnings`](Self::warnings).
    #[must_use]
    pub fn build(
        certificates: &Certificates,
        keys: &Keys,
        previous: Option<&Self>,
    ) -> (Self, Vec<RefusedCertificate>) {
        let mut store = Self::default();
        let mut refused = Vec::new();
        for (name, certificate) in &certificates.certificates {
            let last = previous.and_then(|store| store.certificates.get(name));
            let loaded = certificate::load(&certificate.source, keys, last.map(|named| &named.loaded));
            let flaw = loaded.as_ref().ok().and_then(|loaded| loaded.flaw().cloned());
            let subject = || Subject::Certificate(name.clone());
            let outcome = Outcome { loaded, flaw, last, origin: &certificate.origin };
            outcome.settle(name, subject, &mut store.certificates, &mut refused);
        }
        for (name, bundle) in &certificates.authorities {
            let last = previous.and_then(|store| store.authorities.get(name));
            let loaded = authorities::load(bundle, last.map(|named| &named.loaded));
            let flaw = loaded.as_ref().ok().and_then(|loaded| loaded.flaw().cloned());
            let subject = || Subject::Authorities(name.clone());
            let outcome = Outcome { loaded, flaw, last, origin: &bundle.origin };
            outcome.settle(name, subject, &mut store.authorities, &mut refused);
        }
        (store, refused)
    }

    /// The largest file that is read.
    pub const MAX_FILE_BYTES: u64 = pem::MAX_FILE_BYTES;

    /// Takes over from `previous` what listeners or clusters still refer to but this snapshot no longer holds (a
    /// Secret was deleted before its Gateway), and reports it.
    pub fn keep_absent<'a>(
        &mut self,
        previous: &Self,
        certificates: impl IntoIterator<Item = &'a CertificateName>,
        authorities: impl IntoIterator<Item = &'a CaName>,
    ) -> Vec<RefusedCertificate> {
        let mut kept = Vec::new();
        for name in certificates {
            if let Some(named) = take_over(&mut self.certificates, &previous.certificates, name) {
                kept.push(absent(Subject::Certificate(name.clone()), named));
            }
        }
        for name in authorities {
            if let Some(named) = take_over(&mut self.authorities, &previous.authorities, name) {
                kept.push(absent(Subject::Authorities(name.clone()), named));
            }
        }
        kept
    }

    /// The certificate of this name, if it is fit for use.
    #[must_use]
    pub fn certificate(&self, name: &CertificateName) -> Option<&Arc<LoadedCertificate>> {
        self.certificates.get(name).map(|named| &named.loaded)
    }

    /// The authorities of this name, if they are fit for use.
    #[must_use]
    pub fn authorities(&self, name: &CaName) -> Option<&Arc<LoadedAuthorities>> {
        self.authorities.get(name).map(|named| &named.loaded)
    }

    /// All certificates with their origins, in no particular order; for metrics and the admin interface.
    pub fn certificates(&self) -> impl Iterator<Item = (&CertificateName, &str, &LoadedCertificate)> {
        self.certificates.iter().map(|(name, named)| (name, named.origin.as_str(), &*named.loaded))
    }
}

/// What came of loading one certificate or bundle.
struct Outcome<'a, T> {
    loaded: Result<Arc<T>, CertificateProblem>,
    /// What is wrong with it although it is used.
    flaw: Option<CertificateProblem>,
    last: Option<&'a Named<T>>,
    origin: &'a str,
}

impl<T> Outcome<'_, T> {
    fn settle<N: Clone + Eq + Hash>(
        self,
        name: &N,
        subject: impl Fn() -> Subject,
        into: &mut HashMap<N, Named<T>>,
        refused: &mut Vec<RefusedCertificate>,
    ) {
        let origin = self.origin.to_owned();
        let (used, problem) = match self.loaded {
            Ok(loaded) => {
                let used = Some(Named { origin: origin.clone(), loaded });
                (used, self.flaw.map(|flaw| (flaw, Instead::Rest)))
            }
            Err(problem) => {
                let instead = if self.last.is_some() { Instead::Previous } else { Instead::Nothing };
                (self.last.cloned(), Some((problem, instead)))
            }
        };
        if let Some((problem, instead)) = problem {
            refused.push(RefusedCertificate { subject: subject(), origin, problem, instead });
        }
        if let Some(named) = used {
            into.insert(name.clone(), named);
        }
    }
}

fn take_over<'a, N: Clone + Eq + Hash, T>(
    into: &mut HashMap<N, Named<T>>,
    from: &'a HashMap<N, Named<T>>,
    name: &N,
) -> Option<&'a Named<T>> {
    if into.contains_key(name) {
        return None;
    }
    let named = from.get(name)?;
    into.insert(name.clone(), named.clone());
    Some(named)
}

fn absent<T>(subject: Subject, named: &Named<T>) -> RefusedCertificate {
    RefusedCertificate {
        subject,
        origin: named.origin.clone(),
        problem: CertificateProblem::Absent,
        instead: Instead::Previous,
    }
}
