//! The objects in the documents of a file.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use kube::api::DynamicObject;
use postern_api::finding::{FieldPath, Level};
use postern_api::meta::ObjectKey;
use postern_api::parse::Parsed;
use postern_snapshot::manifest::Hash;
use postern_translate::WorldObject;
use serde::Serialize;
use serde_json::{Value, json};

use super::Problem;
use super::documents::{self, Places, SyntaxError};
use super::kinds::{self, KindReader, Treatment};

/// An object that was read from a file.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: ObjectKey,
    pub(crate) origin: Origin,
    /// Of the whole object, as it stands in the file.
    pub(crate) content: Hash,
    pub(crate) parsed: Parsed<WorldObject>,
}

impl Object {
    /// An object of a cluster; `origin` is its name in the place of a file.
    pub(crate) fn of_cluster(reader: &KindReader, object: DynamicObject, origin: &Arc<Path>) -> Self {
        let content = Hash::of(object.data.to_string().as_bytes());
        let (key, parsed) = reader.read_object(object);
        let origin = Origin { file: Arc::clone(origin), document: 0, at: FieldPath::default() };
        Self { key, origin, content, parsed }
    }
}

/// Where an object stands.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) file: Arc<Path>,
    /// Which document of the file, from 0; those without content do not count.
    pub(crate) document: usize,
    /// Where in the document: empty, or an item of a List.
    pub(crate) at: FieldPath,
}

/// An object of any kind, also one that is not read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct ObjectName {
    pub(crate) kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl From<&ObjectKey> for ObjectName {
    fn from(key: &ObjectKey) -> Self {
        Self { kind: key.kind.to_string(), namespace: key.namespace.clone(), name: key.name.clone() }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.namespace.as_str(), self.name.as_str()) {
            ("", "") => f.write_str(&self.kind),
            ("", name) => write!(f, "{} {name}", self.kind),
            (namespace, name) => write!(f, "{} {namespace}/{name}", self.kind),
        }
    }
}

/// Files have no `metadata.generation`; this counts in the place of an API server: 1 at first, and one more with each
/// content that differs from the one before.
#[derive(Debug)]
pub(crate) struct Generations(BTreeMap<ObjectKey, (Hash, i64)>);

impl Generations {
    pub(crate) const fn new() -> Self {
        Self(BTreeMap::new())
    }

    fn count(&mut self, key: &ObjectKey, content: Hash) -> i64 {
        let (known, generation) = self.0.entry(key.clone()).or_insert((content, 1));
        if *known != content {
            *known = content;
            *generation += 1;
        }
        *generation
    }
}

/// Reads the objects of one file.
pub(crate) struct ObjectReader<'a> {
    file: &'a Arc<Path>,
    text: &'a str,
    generations: &'a mut Generations,
    objects: Vec<Arc<Object>>,
    problems: Vec<Problem>,
    places: Option<Places>,
}

impl<'a> ObjectReader<'a> {
    pub(crate) const fn new(file: &'a Arc<Path>, text: &'a str, generations: &'a mut Generations) -> Self {
        Self { file, text, generations, objects: Vec::new(), problems: Vec::new(), places: None }
    }

    pub(crate) fn read(mut self) -> (Vec<Arc<Object>>, Vec<Problem>) {
        match documents::documents(self.text) {
            Ok(documents) => {
                for (index, document) in documents.into_iter().enumerate() {
                    self.value(index, FieldPath::default(), document, None);
                }
            }
            Err(SyntaxError { place, message }) => self.problems.push(Problem {
                file: Arc::clone(self.file),
                place,
                object: None,
                path: FieldPath::default(),
                level: Level::Error,
                message,
            }),
        }
        (self.objects, self.problems)
    }

    /// An object, or a list of objects. Items of typed lists may leave out their type.
    fn value(&mut self, document: usize, at: FieldPath, mut value: Value, item_type: Option<(&str, &str)>) {
        let text = |field: &str| value.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        let declared = text("apiVersion").zip(text("kind"));
        let Some((api_version, kind)) = declared.or(item_type) else {
            let missing = if text("kind").is_none() { "kind" } else { "apiVersion" };
            let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
            let object =
                ObjectName { kind: "object".to_owned(), namespace: String::new(), name: name.to_owned() };
            let message = format!("this is no Kubernetes object: it has no {missing}");
            let place = FieldPath::default().field(missing);
            self.problem(document, &at, Some(object), place, Level::Error, message);
            return;
        };
        let (api_version, kind) = (api_version.to_owned(), kind.to_owned());
        if let Some(item_kind) = kind.strip_suffix("List")
            && let Some(Value::Array(items)) = value.get_mut("items").map(Value::take)
        {
            let item_type = (!item_kind.is_empty()).then_some((api_version.as_str(), item_kind));
            for (index, item) in items.into_iter().enumerate() {
                self.value(document, at.field("items").index(index), item, item_type);
            }
            return;
        }
        let name = name_of(&value, &kind);
        match kinds::treatment(&api_version, &kind) {
            Treatment::Skip => {}
            Treatment::Tell(level, message) => {
                self.problem(document, &at, Some(name), FieldPath::default(), level, message);
            }
            Treatment::Read(reader) => {
                if value.get("apiVersion").is_none() {
                    value["apiVersion"] = json!(api_version);
                }
                self.object(Origin { file: Arc::clone(self.file), document, at }, reader, name, value);
            }
        }
    }

    fn object(&mut self, origin: Origin, reader: KindReader, name: ObjectName, mut value: Value) {
        if name.name.is_empty() {
            let path = FieldPath::default().field("metadata").field("name");
            let message = "the object has no name".to_owned();
            self.problem(origin.document, &origin.at, Some(name), path, Level::Error, message);
            return;
        }
        let namespace = match (reader.namespaced, name.namespace.as_str()) {
            (false, _) => "",
            (true, "") => "default",
            (true, namespace) => namespace,
        };
        let key = ObjectKey { kind: reader.kind, namespace: namespace.to_owned(), name: name.name.clone() };
        let content = Hash::of(value.to_string().as_bytes());
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("generation".to_owned(), json!(self.generations.count(&key, content)));
        }
        let parsed = (reader.read)(value);
        self.objects.push(Arc::new(Object { key, origin, content, parsed }));
    }

    fn problem(
        &mut self,
        document: usize,
        at: &FieldPath,
        object: Option<ObjectName>,
        path: FieldPath,
        level: Level,
        message: String,
    ) {
        let places = self.places.get_or_insert_with(|| Places::of(self.text));
        let place = places.find(document, at, &path);
        self.problems.push(Problem { file: Arc::clone(self.file), place, object, path, level, message });
    }
}

/// What an object calls itself.
fn name_of(value: &Value, kind: &str) -> ObjectName {
    let metadata = |field: &str| {
        let text = value.get("metadata").and_then(|metadata| metadata.get(field)).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    ObjectName { kind: kind.to_owned(), namespace: metadata("namespace"), name: metadata("name") }
}
