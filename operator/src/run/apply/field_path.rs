//! Paths of fields as server-side apply names them in conflicts.

use serde_json::Value;

/// `.spec.template.spec.containers[name="proxy"].image`
#[derive(Debug, Clone, PartialEq)]
pub(super) struct FieldPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// `.name`
    Field(String),
    /// `[name="proxy"]` or `[port=80,protocol="TCP"]`: the element of a list with these keys.
    Keys(Vec<(String, Value)>),
    /// `[="value"]`: the element of a set.
    Element(Value),
    /// `[0]`
    Index(usize),
}

impl FieldPath {
    /// Reads a path; `None` when it is none.
    pub(super) fn parse(mut text: &str) -> Option<Self> {
        let mut steps = Vec::new();
        while !text.is_empty() {
            let (step, rest) = match text.strip_prefix('[') {
                Some(inside) => bracket(inside)?,
                None => field(text.strip_prefix('.')?)?,
            };
            steps.push(step);
            text = rest;
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// Removes what the path names. Says whether it was there.
    pub(super) fn remove_from(&self, object: &mut Value) -> bool {
        let Some((last, parents)) = self.0.split_last() else { return false };
        let mut place = object;
        for step in parents {
            let Some(next) = step.find(place) else { return false };
            place = next;
        }
        match (last, place) {
            (Step::Field(name), Value::Object(fields)) => fields.remove(name).is_some(),
            (step, Value::Array(elements)) => {
                let index = step.position(elements);
                index.map(|index| elements.remove(index)).is_some()
            }
            _ => false,
        }
    }
}

impl Step {
    fn find<'a>(&self, place: &'a mut Value) -> Option<&'a mut Value> {
        match (self, place) {
            (Self::Field(name), Value::Object(fields)) => fields.get_mut(name),
            (step, Value::Array(elements)) => {
                let index = step.position(elements)?;
                elements.get_mut(index)
            }
            _ => None,
        }
    }

    fn position(&self, elements: &[Value]) -> Option<usize> {
        match self {
            Self::Field(_) => None,
            Self::Index(index) => (*index < elements.len()).then_some(*index),
            Self::Element(value) => elements.iter().position(|element| element == value),
            Self::Keys(keys) => elements.iter().position(|element| {
                // A key that is left out has its default, which is not known here: it does not tell elements apart.
                keys.iter().all(|(name, value)| element.get(name).is_none_or(|found| found == value))
                    && keys.iter().any(|(name, _)| element.get(name).is_some())
            }),
        }
    }
}

/// A name up to the next step. A dot within a name does not occur: such keys of maps are no fields of their own.
fn field(text: &str) -> Option<(Step, &str)> {
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    (!name.is_empty()).then(|| (Step::Field(name.to_owned()), rest))
}

fn bracket(text: &str) -> Option<(Step, &str)> {
    if let Some(value) = text.strip_prefix('=') {
        let (value, rest) = json(value)?;
        return Some((Step::Element(value), rest.strip_prefix(']')?));
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        let (index, rest) = text.split_once(']')?;
        return Some((Step::Index(index.parse().ok()?), rest));
    }
    let mut keys = Vec::new();
    let mut text = text;
    loop {
        let (name, value) = text.split_once('=')?;
        let (value, rest) = json(value)?;
        keys.push((name.to_owned(), value));
        match rest.strip_prefix(',') {
            Some(more) => text = more,
            None => return Some((Step::Keys(keys), rest.strip_prefix(']')?)),
        }
    }
}

/// The JSON value that a text begins with, and what follows.
fn json(text: &str) -> Option<(Value, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let end = values.byte_offset();
    Some((value, text.get(end..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn remove(path: &str, mut object: Value) -> (bool, Value) {
        let removed = FieldPath::parse(path).is_some_and(|path| path.remove_from(&mut object));
        (removed, object)
    }

    #[test]
    fn fields_and_elements_are_found() {
        let object = json!({"spec": {"replicas": 2, "containers": [{"name": "other", "image": "a"},
            {"name": "proxy", "image": "b"}], "ports": [{"port": 80}, {"port": 443, "protocol": "TCP"}],
            "finalizers": ["x", "y"]}});
        let without = |path, pointer: &str| {
            let (removed, object) = remove(path, object.clone());
            assert!(removed, "{path}");
            assert_eq!(object.pointer(pointer), None, "{path}");
            object
        };
        without(".spec.replicas", "/spec/replicas");
        let left = without(r#".spec.containers[name="proxy"].image"#, "/spec/containers/1/image");
        assert_eq!(left["spec"]["containers"][0]["image"], "a");
        without(r#".spec.ports[port=443,protocol="TCP"]"#, "/spec/ports/1");
        without(r#".spec.ports[port=80,protocol="TCP"].port"#, "/spec/ports/0/port");
        let left = without(r#".spec.finalizers[="x"]"#, "/spec/finalizers/1");
        assert_eq!(left["spec"]["finalizers"], json!(["y"]));
        without(".spec.containers[1]", "/spec/containers/1");
    }

    #[test]
    fn what_is_not_there_is_not_removed() {
        let object = json!({"spec": {"containers": []}});
        for path in [
            "",
            "spec",
            ".",
            ".spec.x",
            r#".spec.containers[name="proxy"].image"#,
            ".spec.containers[0]",
            ".spec[",
        ] {
            assert_eq!(remove(path, object.clone()), (false, object.clone()), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(path: String, more in r#"[.\[\]=,"a-z0-9]{0,20}"#) {
            FieldPath::parse(&path);
            FieldPath::parse(&more);
        }
    }
}
