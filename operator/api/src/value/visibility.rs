//! Who may see an object: the entries of `exportTo`.

use std::fmt;
use std::str::FromStr;

use super::is_dns_label;

/// One entry of `exportTo` of a VirtualService, DestinationRule or ServiceEntry.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Visibility {
    /// `*`: every namespace. An `exportTo` that is left out means this too, unless the mesh says else.
    Public,
    /// `.`: the namespace of the object.
    Own,
    /// `~`: nobody.
    Nobody,
    /// The namespace of this name.
    Namespace(String),
}

/// A text that is no visibility.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a visibility; it must be \"*\", \".\", \"~\" or the name of a namespace")]
pub struct VisibilityError(String);

impl Visibility {
    /// Whether an object of namespace `own` with this entry is seen in namespace `namespace`.
    #[must_use]
    pub fn reaches(&self, own: &str, namespace: &str) -> bool {
        match self {
            Self::Public => true,
            Self::Own => own == namespace,
            Self::Nobody => false,
            Self::Namespace(name) => name == namespace,
        }
    }
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Public => "*",
            Self::Own => ".",
            Self::Nobody => "~",
            Self::Namespace(name) => name,
        })
    }
}

impl FromStr for Visibility {
    type Err = VisibilityError;

    fn from_str(text: &str) -> Result<Self, VisibilityError> {
        match text {
            "*" => Ok(Self::Public),
            "." => Ok(Self::Own),
            "~" => Ok(Self::Nobody),
            name if is_dns_label(name) => Ok(Self::Namespace(name.to_owned())),
            other => Err(VisibilityError(other.to_owned())),
        }
    }
}

super::string_serde!(Visibility);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn reaches_what_it_names() {
        let reaches = |text: &str, namespace| text.parse::<Visibility>().unwrap().reaches("shop", namespace);
        assert!(reaches("*", "istio-system"));
        assert!(reaches(".", "shop"));
        assert!(!reaches(".", "istio-system"));
        assert!(reaches("istio-system", "istio-system"));
        assert!(!reaches("~", "shop"));
        assert!("a/b".parse::<Visibility>().is_err());
    }
}
