//! Why a patch is not honoured, or something in it is not.

use postern_api::finding::FieldPath;

/// Why a patch is refused as a whole. A patch of which a part is not understood is not applied in part: half of a
/// security setting is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The field that is at fault, in the object.
    pub(super) path: FieldPath,
    /// What is wrong with it, for a person.
    pub(super) why: String,
}

impl Refusal {
    pub(super) fn new(path: FieldPath, why: impl Into<String>) -> Self {
        Self { path, why: why.into() }
    }
}

/// Something in a patch that is honoured without effect on what anybody sees, such as the size of a work buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    /// The field.
    pub(super) path: FieldPath,
    /// Why it changes nothing.
    pub(super) why: &'static str,
}

/// What came of reading something of a patch.
pub(super) type Read<T> = Result<T, Refusal>;
