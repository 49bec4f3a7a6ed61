//! Places of fields, made without allocation on the way down; only a finding writes one out.

use crate::finding::FieldPath;

/// A field's place: a chain on the stack from the field up to the whole object.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// The whole object.
    Object,
    /// A field, or an entry of a map, of what is above.
    Field(&'a Self, &'a str),
    /// An element of a list that is above.
    Index(&'a Self, usize),
}

impl<'a> Place<'a> {
    pub(crate) const fn field(&'a self, name: &'a str) -> Self {
        Self::Field(self, name)
    }

    pub(crate) const fn index(&'a self, index: usize) -> Self {
        Self::Index(self, index)
    }

    pub(crate) fn path(&self) -> FieldPath {
        match self {
            Self::Object => FieldPath::default(),
            Self::Field(above, name) => above.path().field(name),
            Self::Index(above, index) => above.path().index(*index),
        }
    }
}
