//! Messages of any type: Envoy's `typed_config`.

use super::field::Field;
use super::message::Message;
use super::refusal::Read;

/// A message that says what type it is of.
#[derive(Debug)]
pub(super) struct Any<'v> {
    /// `envoy.extensions.filters.http.buffer.v3.Buffer`
    pub(super) type_name: &'v str,
    /// Its fields.
    pub(super) message: Message<'v>,
}

impl<'v> Any<'v> {
    /// Reads `typed_config`: the type's URL in `@type`, and beside it the fields; or a `TypedStruct`, which has the type
    /// in `type_url` and the fields in `value`.
    pub(super) fn of(field: &Field<'v>) -> Read<Self> {
        let mut message = field.message()?;
        let type_name = type_name(&message.need("@type")?)?;
        if !["udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"].contains(&type_name) {
            return Ok(Self { type_name, message });
        }
        let type_name = self::type_name(&message.need("type_url")?)?;
        let value = message.take("value")?;
        let path = message.path().field("value");
        message.finish()?;
        let message = match value {
            Some(value) => value.message()?,
            None => Message::empty(path),
        };
        Ok(Self { type_name, message })
    }
}

/// What is behind the last slash of a type's URL (`type.googleapis.com/...`), as protobuf reads it.
fn type_name<'v>(url: &Field<'v>) -> Read<&'v str> {
    let text = url.text()?;
    match text.rsplit_once('/') {
        Some((_, name)) if !name.is_empty() => Ok(name),
        _ => Err(url.refuse(format!("{text:?} is no type; it is type.googleapis.com/ and the type's name"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_api::finding::FieldPath;
    use serde_json::json;

    #[test]
    fn the_type_is_beside_the_fields_or_around_them() {
        let plain = json!({ "@type": "type.googleapis.com/a.B", "x": 1 });
        let wrapped = json!({
            "@type": "type.googleapis.com/udpa.type.v1.TypedStruct",
            "typeUrl": "type.googleapis.com/a.B",
            "value": { "x": 1 },
        });
        for (value, place) in [(&plain, "x"), (&wrapped, "value.x")] {
            let mut any = Any::of(&Field::new(FieldPath::default(), value)).unwrap();
            assert_eq!(any.type_name, "a.B");
            let x = any.message.take("x").unwrap().unwrap();
            assert_eq!((x.u32().unwrap(), x.path().as_str()), (1, place));
            any.message.finish().unwrap();
        }
    }

    #[test]
    fn what_has_no_type_is_refused() {
        for value in [
            json!({ "x": 1 }),
            json!({ "@type": "a.B" }),
            json!({ "@type": 1 }),
            json!([]),
            json!({ "@type": "type.googleapis.com/xds.type.v3.TypedStruct", "value": {} }),
            json!({ "@type": "t/xds.type.v3.TypedStruct", "type_url": "t/a.B", "value": {}, "more": 1 }),
        ] {
            assert!(Any::of(&Field::new(FieldPath::default(), &value)).is_err(), "{value}");
        }
    }
}
