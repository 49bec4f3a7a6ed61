//! The documents of a file, and where in it a field stands.

use postern_api::finding::FieldPath;
use serde::de::{Deserialize, DeserializeOwned, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::{Location, Spanned};

/// A place in a file. Both count from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

impl Place {
    fn of(location: Location) -> Option<Self> {
        (location != Location::UNKNOWN).then(|| Self { line: location.line(), column: location.column() })
    }
}

/// Why a file is no YAML.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) place: Option<Place>,
    pub(crate) message: String,
}

/// The documents of a YAML file; JSON is YAML. Empty ones are left out.
pub(crate) fn documents(text: &str) -> Result<Vec<Value>, SyntaxError> {
    read(text)
}

fn read<T: DeserializeOwned>(text: &str) -> Result<Vec<T>, SyntaxError> {
    let options = serde_saphyr::options! {
        // The files are the user's own, and may be large; what aliases can blow up stays limited.
        budget: None,
        emit_comments: false,
        with_snippet: false,
    };
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| SyntaxError {
        place: error.location().and_then(Place::of),
        message: message(&error),
    })
}

/// In one line, without the place.
fn message(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().render_with_formatter(&serde_saphyr::UserMessageFormatter);
    let first = text.lines().next().unwrap_or_default();
    let stated = error.location().map(|at| format!("line {}, column {}", at.line(), at.column()));
    let stripped = stated.and_then(|place| {
        let (before, after) = first.split_once(&place)?;
        let before = before.trim_end_matches("at ").trim_end_matches([' ', ':', ',']);
        Some(format!("{before}{after}"))
    });
    stripped.unwrap_or_else(|| first.to_owned())
}

/// Where everything in the documents of a file stands. It is read only when there is something to say.
#[derive(Debug, Default)]
pub(crate) struct Places(Vec<Spanned<Node>>);

/// A value without its content.
#[derive(Debug)]
enum Node {
    Fields(Vec<(Spanned<String>, Spanned<Self>)>),
    Elements(Vec<Spanned<Self>>),
    Scalar,
}

impl Places {
    /// Of a file that [`documents`] could read.
    pub(crate) fn of(text: &str) -> Self {
        Self(read(text).unwrap_or_default())
    }

    /// The place of a field of the object that stands `at` this place in a document, or if the field is not there, of
    /// what it would be in.
    pub(crate) fn find(&self, document: usize, at: &FieldPath, path: &FieldPath) -> Option<Place> {
        let root = self.0.get(document)?;
        let mut found = root.referenced;
        let mut node = &root.value;
        for step in Steps(at.as_str()).chain(Steps(path.as_str())) {
            let next = match (node, &step) {
                (Node::Fields(fields), Step::Field(name)) => fields
                    .iter()
                    .find(|(key, _)| key.value == *name)
                    .map(|(key, value)| (key.referenced, value)),
                (Node::Elements(elements), Step::Index(index)) => {
                    elements.get(*index).map(|element| (element.referenced, element))
                }
                _ => None,
            };
            let Some((place, value)) = next else { break };
            found = place;
            node = &value.value;
        }
        Place::of(found)
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

/// Scalars of every type are only places.
macro_rules! scalars {
    ($($visit:ident: $type:ty),*) => {
        $(fn $visit<E>(self, _: $type) -> Result<Node, E> {
            Ok(Node::Scalar)
        })*
    };
}

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("any value")
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_i128: i128, visit_u64: u64, visit_u128: u128, visit_f64: f64,
        visit_str: &str, visit_bytes: &[u8]);

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Scalar)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Node::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(element) = elements.next_element()? {
            nodes.push(element);
        }
        Ok(Node::Elements(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut nodes = Vec::new();
        while let Some(key) = fields.next_key()? {
            nodes.push((key, fields.next_value()?));
        }
        Ok(Node::Fields(nodes))
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, data: A) -> Result<Node, A::Error> {
        use serde::de::VariantAccess as _;
        let (IgnoredAny, variant) = data.variant()?;
        variant.newtype_variant::<IgnoredAny>()?;
        Ok(Node::Scalar)
    }
}

/// A step of a [`FieldPath`].
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Index(usize),
}

/// The steps of a path's text: `spec.servers[0]`, `labels["a.b/c"]`.
struct Steps<'a>(&'a str);

impl Iterator for Steps<'_> {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if let Some(bracket) = self.0.strip_prefix('[') {
            let mut quoted = serde_json::Deserializer::from_str(bracket).into_iter::<Value>();
            let step = match quoted.next()?.ok()? {
                Value::String(name) => Step::Field(name),
                Value::Number(index) => Step::Index(usize::try_from(index.as_u64()?).ok()?),
                _ => return None,
            };
            self.0 = bracket.get(quoted.byte_offset()..)?.strip_prefix(']')?;
            return Some(step);
        }
        let rest = self.0.strip_prefix('.').unwrap_or(self.0);
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        self.0 = rest;
        (!name.is_empty()).then(|| Step::Field(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
# A comment.
kind: Gateway
metadata:
  labels: {\"a.b/c\": x}
---
---
kind: List
items:
- spec:
    servers:
    - port: 80
      hosts:
      - a.com
      - b.com
";

    fn path(steps: &str) -> FieldPath {
        Steps(steps).fold(FieldPath::default(), |path, step| match step {
            Step::Field(name) => path.field(&name),
            Step::Index(index) => path.index(index),
        })
    }

    #[test]
    fn documents_without_content_are_left_out() {
        let documents = documents(TEXT).unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1]["items"][0]["spec"]["servers"][0]["port"], 80);
        assert_eq!(super::documents("# nothing\n").unwrap(), [] as [Value; 0]);
        assert_eq!(super::documents("").unwrap(), [] as [Value; 0]);
    }

    #[test]
    fn fields_are_found_and_missing_ones_are_where_they_would_be() {
        let places = Places::of(TEXT);
        let line =
            |document, steps: &str| places.find(document, &FieldPath::default(), &path(steps)).unwrap().line;
        assert_eq!(line(0, ""), 2);
        assert_eq!(line(0, "metadata"), 3);
        assert_eq!(line(0, r#"metadata.labels["a.b/c"]"#), 4);
        assert_eq!(line(0, "metadata.name"), 3);
        assert_eq!(line(1, "items[0].spec.servers"), 10);
        assert_eq!(line(1, "items[0].spec.servers[0]"), 11);
        assert_eq!(line(1, "items[0].spec.servers[0].port"), 11);
        assert_eq!(line(1, "items[0].spec.servers[0].hosts[1]"), 14);
        assert_eq!(line(1, "items[0].spec.servers[0].tls.mode"), 11);
        assert_eq!(places.find(2, &FieldPath::default(), &FieldPath::default()), None);
        let in_item = places.find(1, &path("items[0]"), &path("spec.servers[0].hosts")).unwrap();
        assert_eq!(in_item.line, 12);
    }

    #[test]
    fn errors_have_a_place_and_one_line() {
        let error = documents("kind: Gateway\nspec:\n  servers: [\n").unwrap_err();
        assert!(error.place.is_some_and(|place| place.line >= 3), "{error:?}");
        assert!(!error.message.contains("line"), "{error:?}");
        let error = documents("a: 1\nb: 2\na: 3\n").unwrap_err();
        assert_eq!(error.place, Some(Place { line: 3, column: 1 }), "{error:?}");
        assert!(error.message.contains("duplicate"), "{error:?}");
    }

    #[test]
    fn aliases_cannot_blow_up() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..10 {
            let before = format!("*a{}", n - 1);
            bomb += &format!("a{n}: &a{n} [{}]\n", [before.as_str(); 10].join(", "));
        }
        assert!(documents(&bomb).is_err());
    }

    proptest! {
        #[test]
        fn a_path_is_read_as_it_is_written(names in prop::collection::vec("[a-z./\"\\\\ ]{1,6}", 1..4), index in 0..9usize) {
            let written = names.iter().fold(FieldPath::default(), |path, name| path.field(name).index(index));
            prop_assert_eq!(path(written.as_str()), written);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[a-z:\\-{}\\[\\]&*#\"' \n]{0,60}") {
            let _ = documents(&text);
            let _ = Places::of(&text);
        }
    }
}
