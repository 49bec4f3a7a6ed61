//! A message of Envoy's API in protobuf's JSON form, read strictly: what nobody asked for is a refusal.
//!
//! The form (protobuf, "ProtoJSON format"): fields are called by their own name (`max_tokens`) or in camel case
//! (`maxTokens`); `null` is as if the field were not there; numbers may be texts; wrapped values (`UInt32Value`,
//! `BoolValue`) are written as what they wrap; a duration is a text of seconds (`1.5s`). Istio reads patches so.

use postern_api::finding::FieldPath;
use serde_json::{Map, Value};

use super::field::Field;
use super::refusal::{Note, Read, Refusal};

/// A message whose fields are taken out one by one. What is left at the end is not honoured.
#[derive(Debug)]
pub(super) struct Message<'v> {
    path: FieldPath,
    left: Vec<(&'v str, &'v Value)>,
}

impl<'v> Message<'v> {
    pub(super) fn new(path: FieldPath, fields: &'v Map<String, Value>) -> Self {
        let left = fields.iter().filter(|(_, value)| !value.is_null());
        Self { path, left: left.map(|(name, value)| (name.as_str(), value)).collect() }
    }

    /// One without fields.
    pub(super) const fn empty(path: FieldPath) -> Self {
        Self { path, left: Vec::new() }
    }

    /// Where it is in the object.
    pub(super) const fn path(&self) -> &FieldPath {
        &self.path
    }

    /// The field of this name, which is written in snake case. Both forms of a name at once are refused, as protobuf
    /// does.
    pub(super) fn take(&mut self, name: &str) -> Read<Option<Field<'v>>> {
        let camel = camel_case(name);
        let mut found = None;
        let mut twice = None;
        let path = &self.path;
        self.left.retain(|(key, value)| {
            if *key != name && *key != camel {
                return true;
            }
            let field = Field::new(path.field(key), value);
            if found.is_none() {
                found = Some(field);
            } else {
                twice = Some(field);
            }
            false
        });
        match twice {
            Some(field) => Err(field.refuse(format!("{name} is there in two forms"))),
            None => Ok(found),
        }
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Read<Field<'v>> {
        let found = self.take(name)?;
        found.ok_or_else(|| Refusal::new(self.path.field(name), "it is missing, and Envoy needs it"))
    }

    /// A field that may say anything, as nobody can tell from outside what it says.
    pub(super) fn ignore(&mut self, name: &str, why: &'static str, notes: &mut Vec<Note>) -> Read<()> {
        if let Some(field) = self.take(name)? {
            notes.push(Note { path: field.path().clone(), why });
        }
        Ok(())
    }

    /// A field that is honoured only where it says what is the case anyway: `false`, 0, or nothing.
    pub(super) fn only_default(&mut self, name: &str) -> Read<()> {
        let Some(field) = self.take(name)? else { return Ok(()) };
        if field.is_default() { Ok(()) } else { Err(field.unknown()) }
    }

    /// Everything must have been taken.
    pub(super) fn finish(self) -> Read<()> {
        match self.left.first() {
            None => Ok(()),
            Some((key, value)) => Err(Field::new(self.path.field(key), value).unknown()),
        }
    }
}

/// Protobuf's JSON name of a field: letters after an underscore are capital, underscores go.
fn camel_case(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut capital = false;
    for c in name.chars() {
        if c == '_' {
            capital = true;
        } else {
            camel.push(if capital { c.to_ascii_uppercase() } else { c });
            capital = false;
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn message(value: &Value) -> Message<'_> {
        Message::new(FieldPath::default().field("value"), value.as_object().unwrap())
    }

    #[test]
    fn fields_have_two_names() {
        let value = json!({ "max_tokens": 1, "fillInterval": "1s", "accept_http_10": true });
        let mut message = message(&value);
        assert_eq!(message.take("max_tokens").unwrap().unwrap().u32().unwrap(), 1);
        assert_eq!(message.take("fill_interval").unwrap().unwrap().path().as_str(), "value.fillInterval");
        assert_eq!(camel_case("accept_http_10"), "acceptHttp10");
        assert!(message.take("max_tokens").unwrap().is_none(), "once only");
        let refusal = message.finish().unwrap_err();
        assert_eq!(refusal.path.as_str(), "value.accept_http_10");
    }

    #[test]
    fn both_names_at_once_are_refused() {
        let value = json!({ "max_tokens": 1, "maxTokens": 2 });
        assert!(message(&value).take("max_tokens").is_err());
    }

    #[test]
    fn null_is_nothing() {
        let value = json!({ "status": null });
        let mut message = message(&value);
        assert!(message.take("status").unwrap().is_none());
        assert!(message.need("status").is_err());
        message.finish().unwrap();
    }

    #[test]
    fn other_spellings_are_other_fields() {
        let value = json!({ "MaxTokens": 1 });
        let mut message = message(&value);
        assert!(message.take("max_tokens").unwrap().is_none());
        assert!(message.finish().is_err());
    }
}
