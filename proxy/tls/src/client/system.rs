//! The authorities of the proxy's image.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{CertificateProblem, Fingerprint, LoadedAuthorities, TlsError};

/// What `SSL_CERT_FILE` and `SSL_CERT_DIR` name, or else the usual places of the system. Read when the first cluster
/// needs them, and then kept: an image does not change.
pub(super) fn authorities() -> Result<Arc<LoadedAuthorities>, TlsError> {
    static CACHE: Mutex<Option<Arc<LoadedAuthorities>>> = Mutex::new(None);
    // Held while reading, so that it happens once; only reloads come here.
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(authorities) = &*cache {
        return Ok(authorities.clone());
    }
    let read = Arc::new(read()?);
    *cache = Some(read.clone());
    Ok(read)
}

fn read() -> Result<LoadedAuthorities, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let problems: Vec<_> = found.errors.iter().map(ToString::to_string).collect();
        let nothing = || "there are none".to_owned();
        let text = if problems.is_empty() { nothing() } else { problems.join("; ") };
        return Err(TlsError::NoSystemAuthorities(text));
    }
    let content = Fingerprint::of_parts(found.certs.iter().map(|der| &**der));
    LoadedAuthorities::new(&found.certs, &[], content)
        .map_err(|problem: CertificateProblem| TlsError::NoSystemAuthorities(problem.to_string()))
}
