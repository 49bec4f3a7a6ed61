//! One field of a [`Message`], and what it can be read as.

use std::time::Duration;

use postern_api::finding::FieldPath;
use serde_json::Value;

use super::message::Message;
use super::refusal::{Read, Refusal};

/// The longest duration of protobuf, in seconds (about 10,000 years).
const MAX_SECONDS: u64 = 315_576_000_000;

/// A value and its place. It is never null.
#[derive(Clone, Debug)]
pub(super) struct Field<'v> {
    path: FieldPath,
    value: &'v Value,
}

impl<'v> Field<'v> {
    pub(super) const fn new(path: FieldPath, value: &'v Value) -> Self {
        Self { path, value }
    }

    pub(super) const fn path(&self) -> &FieldPath {
        &self.path
    }

    /// As it is.
    pub(super) const fn value(&self) -> &'v Value {
        self.value
    }

    pub(super) fn refuse(&self, why: impl Into<String>) -> Refusal {
        Refusal::new(self.path.clone(), why)
    }

    /// Nobody knows this field.
    pub(super) fn unknown(&self) -> Refusal {
        self.refuse("Postern does not honour this field")
    }

    fn expected(&self, what: &str) -> Refusal {
        self.refuse(format!("it must be {what}"))
    }

    /// Does it say what protobuf takes for nothing?
    pub(super) fn is_default(&self) -> bool {
        match self.value {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty() || text == "0",
            Value::Array(list) => list.is_empty(),
            Value::Object(fields) => fields.is_empty(),
        }
    }

    pub(super) fn bool(&self) -> Read<bool> {
        self.value.as_bool().ok_or_else(|| self.expected("true or false"))
    }

    /// Also as a text, or with decimals that are zero.
    pub(super) fn u32(&self) -> Read<u32> {
        let number = match self.value {
            Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.and_then(|number| u32::try_from(number).ok());
        number.ok_or_else(|| self.expected("a whole number from 0 to 4294967295"))
    }

    /// A number within a range.
    pub(super) fn within(&self, range: std::ops::RangeInclusive<u32>) -> Read<u32> {
        let number = self.u32()?;
        if range.contains(&number) {
            return Ok(number);
        }
        Err(self.refuse(format!("{number} is not from {} to {}", range.start(), range.end())))
    }

    pub(super) fn text(&self) -> Read<&'v str> {
        self.value.as_str().ok_or_else(|| self.expected("a text"))
    }

    /// Protobuf's form: seconds with up to nine decimals and an `s`. Not negative. The snapshot has milliseconds; what is
    /// between them is rounded up, so that it never becomes 0, which means something else.
    pub(super) fn duration(&self) -> Read<Duration> {
        let expected = || self.expected("a duration in seconds that is not negative, such as 15s or 0.5s");
        let nanos = self.value.as_str().and_then(nanoseconds).ok_or_else(expected)?;
        let millis = u64::try_from(nanos.div_ceil(1_000_000)).map_err(|_| expected())?;
        Ok(Duration::from_millis(millis))
    }

    pub(super) fn message(&self) -> Read<Message<'v>> {
        let fields = self.value.as_object().ok_or_else(|| self.expected("a message"))?;
        Ok(Message::new(self.path.clone(), fields))
    }

    pub(super) fn list(&self) -> Read<Vec<Self>> {
        let list = self.value.as_array().ok_or_else(|| self.expected("a list"))?;
        Ok(list.iter().enumerate().map(|(index, value)| Self::new(self.path.index(index), value)).collect())
    }

    /// The entries of a map.
    pub(super) fn map(&self) -> Read<Vec<(&'v str, Self)>> {
        let fields = self.value.as_object().ok_or_else(|| self.expected("a map"))?;
        Ok(fields.iter().map(|(key, value)| (key.as_str(), Self::new(self.path.field(key), value))).collect())
    }

    /// A value of an enum, by its name or its number.
    pub(super) fn one_of<T: Copy>(&self, values: &[(&str, u32, T)]) -> Read<T> {
        let found = match self.value {
            Value::String(text) => values.iter().find(|(name, _, _)| name == text),
            Value::Number(_) => {
                let number = self.u32()?;
                values.iter().find(|(_, value, _)| *value == number)
            }
            _ => None,
        };
        found.map(|(_, _, value)| *value).ok_or_else(|| {
            let names: Vec<_> = values.iter().map(|(name, _, _)| *name).collect();
            self.refuse(format!("Postern honours {} here", names.join(", ")))
        })
    }
}

/// A number without decimals, if it is one.
fn whole(number: f64) -> Option<u64> {
    let in_range = (0.0..=f64::from(u32::MAX)).contains(&number);
    // Invariant: within the range of u32 the conversion is exact.
    (in_range && number.fract() == 0.0).then_some(number as u64)
}

fn nanoseconds(text: &str) -> Option<u128> {
    let text = text.strip_suffix('s')?;
    let (seconds, decimals) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(decimals) || decimals.len() > 9 {
        return None;
    }
    let seconds: u64 = seconds.parse().ok().filter(|seconds| *seconds <= MAX_SECONDS)?;
    let nanos: u128 = format!("{decimals:0<9}").parse().ok()?;
    Some(u128::from(seconds) * 1_000_000_000 + nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn field(value: &Value) -> Field<'_> {
        Field::new(FieldPath::default().field("f"), value)
    }

    #[test]
    fn durations_are_seconds() {
        let read = |text: &str| field(&json!(text)).duration().ok().map(|span| span.as_millis());
        assert_eq!(read("1.5s"), Some(1500));
        assert_eq!(read("0s"), Some(0));
        assert_eq!(read("60s"), Some(60_000));
        assert_eq!(read("0.000000001s"), Some(1));
        assert_eq!(read("315576000000s"), Some(315_576_000_000_000));
        for bad in ["", "s", "1", "1m", "1.5", "-1s", ".5s", "1.0000000001s", "315576000001s", "1s ", "+1s"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert!(field(&json!(5)).duration().is_err());
    }

    #[test]
    fn numbers_may_be_texts() {
        for value in [json!(4), json!("4"), json!(4.0)] {
            assert_eq!(field(&value).u32().unwrap(), 4, "{value}");
        }
        for value in [json!(-1), json!(1.5), json!("x"), json!(4_294_967_296_u64), json!(true), json!({})] {
            assert!(field(&value).u32().is_err(), "{value}");
        }
        assert!(field(&json!(0)).within(1..=5).is_err());
    }

    #[test]
    fn enums_have_names_and_numbers() {
        let values = [("HUNDRED", 0, 'h'), ("MILLION", 2, 'm')];
        assert_eq!(field(&json!("MILLION")).one_of(&values).unwrap(), 'm');
        assert_eq!(field(&json!(0)).one_of(&values).unwrap(), 'h');
        assert!(field(&json!("TEN_THOUSAND")).one_of(&values).is_err());
        assert!(field(&json!(1)).one_of(&values).is_err());
    }
}
