//! PEM text, from the snapshot or from files.

use std::{borrow::Cow, fs, io::Read, path::Path};

use postern_snapshot::model::PemSource;
use rustls_pki_types::pem::{self, PemObject};

use crate::{CertificateProblem, Piece};

/// The largest file that is read. Public bundles have a quarter of a MiB; revocation lists may have some.
pub(super) const MAX_FILE_BYTES: u64 = 4 << 20;

/// The text of a source.
pub(super) fn text(source: &PemSource, piece: Piece) -> Result<Cow<'_, [u8]>, CertificateProblem> {
    match source {
        PemSource::Inline(text) => Ok(Cow::Borrowed(text.as_bytes())),
        PemSource::File(path) => read(path, piece).map(Cow::Owned),
    }
}

/// The content of a regular file; anything else (a pipe, say) could block or never end.
pub(super) fn read(path: &Path, piece: Piece) -> Result<Vec<u8>, CertificateProblem> {
    let unreadable =
        |problem: String| CertificateProblem::Unreadable { piece, path: path.to_owned(), problem };
    let failed = |error: std::io::Error| unreadable(error.to_string());
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(unreadable("not a regular file".to_owned()));
    }
    let mut content = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut content))
        .map_err(failed)?;
    if content.len() as u64 > MAX_FILE_BYTES {
        return Err(unreadable(format!("larger than {MAX_FILE_BYTES} bytes")));
    }
    Ok(content)
}

/// All sections of one kind; at least one, or it is an error.
pub(super) fn sections<T: PemObject>(text: &[u8], piece: Piece) -> Result<Vec<T>, CertificateProblem> {
    let sections =
        T::pem_slice_iter(text).collect::<Result<Vec<_>, _>>().map_err(|e| malformed(&e, piece))?;
    if sections.is_empty() { Err(malformed(&pem::Error::NoItemsFound, piece)) } else { Ok(sections) }
}

/// The first section of one kind.
pub(super) fn section<T: PemObject>(text: &[u8], piece: Piece) -> Result<T, CertificateProblem> {
    T::from_pem_slice(text).map_err(|error| malformed(&error, piece))
}

/// The words are ours: the error quotes the line it stumbled over, which can hold a key whose line breaks were lost.
fn malformed(error: &pem::Error, piece: Piece) -> CertificateProblem {
    let problem = match error {
        pem::Error::MissingSectionEnd { .. } => "PEM without an END line",
        pem::Error::IllegalSectionStart { .. } => "PEM with a broken BEGIN line",
        pem::Error::Base64Decode(_) => "PEM whose content is not base64",
        pem::Error::NoItemsFound if piece == Piece::Key => {
            "no PEM section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY (encrypted keys are not supported)"
        }
        pem::Error::NoItemsFound => "no PEM section of this kind",
        _ => "not PEM",
    };
    CertificateProblem::Malformed { piece, problem }
}
