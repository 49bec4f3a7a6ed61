//! Places in the JSON of an object.

use crate::finding::FieldPath;

/// One step into a JSON value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    /// Into an object, by its field (or a map, by its key).
    Field(String),
    /// Into a list.
    Index(usize),
}

/// The way to a place in a JSON value.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SourcePath(pub(super) Vec<Step>);

impl SourcePath {
    pub(super) fn to_field_path(&self) -> FieldPath {
        self.0.iter().fold(FieldPath::default(), |path, step| match step {
            Step::Field(name) => path.field(name),
            Step::Index(index) => path.index(*index),
        })
    }

    /// Whether this is the top-level field of this name, or lies in it.
    pub(super) fn is_within_field(&self, name: &str) -> bool {
        matches!(self.0.first(), Some(Step::Field(first)) if first == name)
    }

    pub(super) fn last_field(&self) -> Option<&str> {
        match self.0.last() {
            Some(Step::Field(name)) => Some(name),
            _ => None,
        }
    }

    pub(super) fn is_child_of(&self, parent: &Self) -> bool {
        self.0.split_last().is_some_and(|(_, parents)| parents == parent.0)
    }

    pub(super) fn child(&self, name: &str) -> Self {
        let mut child = self.clone();
        child.0.push(Step::Field(name.to_owned()));
        child
    }
}

impl From<&serde_path_to_error::Path> for SourcePath {
    fn from(path: &serde_path_to_error::Path) -> Self {
        use serde_path_to_error::Segment;
        // Enum variants are not places in the JSON; what is unknown ends the path.
        Self(
            path.iter()
                .take_while(|segment| !matches!(segment, Segment::Unknown))
                .filter_map(|segment| match segment {
                    Segment::Seq { index } => Some(Step::Index(*index)),
                    Segment::Map { key } => Some(Step::Field(key.clone())),
                    Segment::Enum { .. } | Segment::Unknown => None,
                })
                .collect(),
        )
    }
}

impl From<&serde_ignored::Path<'_>> for SourcePath {
    fn from(path: &serde_ignored::Path<'_>) -> Self {
        use serde_ignored::Path;
        let mut steps = Vec::new();
        let mut rest = path;
        loop {
            rest = match rest {
                Path::Root => break,
                Path::Seq { parent, index } => {
                    steps.push(Step::Index(*index));
                    parent
                }
                Path::Map { parent, key } => {
                    steps.push(Step::Field(key.clone()));
                    parent
                }
                Path::Some { parent } | Path::NewtypeStruct { parent } | Path::NewtypeVariant { parent } => {
                    parent
                }
            };
        }
        steps.reverse();
        Self(steps)
    }
}
