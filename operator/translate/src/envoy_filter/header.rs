//! Header changes as Envoy writes them: `HeaderValueOption` and lists of names to remove.

use postern_snapshot::model::HeaderOps;

use super::field::Field;
use super::message::Message;
use super::refusal::Read;
use crate::virtual_service::headers::literal;

/// What happens where a header is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AppendAction {
    Append,
    Overwrite,
}

/// Reads `{kind}_headers_to_add` and `{kind}_headers_to_remove`.
pub(super) fn header_changes(message: &mut Message<'_>, kind: &str) -> Read<HeaderOps> {
    let mut ops = HeaderOps::default();
    if let Some(names) = message.take(&format!("{kind}_headers_to_remove"))? {
        for name in names.list()? {
            let lower = header_name(&name)?;
            if !ops.remove.contains(&lower) {
                ops.remove.push(lower);
            }
        }
    }
    if let Some(options) = message.take(&format!("{kind}_headers_to_add"))? {
        add(&options, &mut ops)?;
    }
    Ok(ops)
}

/// Reads a list of `HeaderValueOption`.
pub(super) fn add(options: &Field<'_>, ops: &mut HeaderOps) -> Read<()> {
    for option in options.list()? {
        let mut option = option.message()?;
        let mut header = option.need("header")?.message()?;
        let name = header_name(&header.need("key")?)?;
        let value = match header.take("value")? {
            Some(field) => header_value(&field)?,
            None => String::new(),
        };
        header.finish()?;
        let action = append_action(&mut option)?;
        let keep_empty = option.take("keep_empty_value")?.map_or(Ok(false), |field| field.bool())?;
        option.finish()?;
        // Envoy adds no header without a value unless it is told to.
        if value.is_empty() && !keep_empty {
            continue;
        }
        match action {
            AppendAction::Append => ops.add.push((name, value)),
            AppendAction::Overwrite => overwrite(ops, name, value),
        }
    }
    Ok(())
}

fn append_action(option: &mut Message<'_>) -> Read<AppendAction> {
    let append = option.take("append")?;
    let action = option.take("append_action")?;
    match (append, action) {
        (Some(append), Some(_)) => Err(append.refuse("Envoy refuses it beside append_action")),
        (Some(append), None) => {
            Ok(if append.bool()? { AppendAction::Append } else { AppendAction::Overwrite })
        }
        (None, Some(action)) => action.one_of(&[
            ("APPEND_IF_EXISTS_OR_ADD", 0, AppendAction::Append),
            ("OVERWRITE_IF_EXISTS_OR_ADD", 2, AppendAction::Overwrite),
        ]),
        (None, None) => Ok(AppendAction::Append),
    }
}

/// In lower case. `host` and what begins with a colon are no headers to Envoy.
fn header_name(field: &Field<'_>) -> Read<String> {
    let name = field.text()?;
    // RFC 9110 section 5.6.2.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) || name.eq_ignore_ascii_case("host") {
        return Err(field.refuse(format!("{name:?} is no header that can be changed")));
    }
    Ok(name.to_ascii_lowercase())
}

fn header_value(field: &Field<'_>) -> Read<String> {
    let value = field.text()?;
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(field.refuse("a header's value has no control characters"));
    }
    literal(value).ok_or_else(|| field.refuse("Postern does not fill in Envoy's %substitutions% yet"))
}

fn overwrite(ops: &mut HeaderOps, name: String, value: String) {
    ops.add.retain(|(other, _)| *other != name);
    ops.set.retain(|(other, _)| *other != name);
    ops.set.push((name, value));
}

/// Appends the lists of changes to those of the same level: headers are removed first, then set and added (Envoy).
pub(super) fn append(ops: &mut HeaderOps, more: &HeaderOps) {
    for name in &more.remove {
        if !ops.remove.contains(name) {
            ops.remove.push(name.clone());
        }
    }
    for (name, value) in &more.set {
        overwrite(ops, name.clone(), value.clone());
    }
    ops.add.extend(more.add.iter().cloned());
}

/// Carries out `more` after `ops`.
pub(super) fn then(ops: &mut HeaderOps, more: &HeaderOps) {
    let removed = |name: &String| more.remove.contains(name);
    ops.set.retain(|(name, _)| !removed(name));
    ops.add.retain(|(name, _)| !removed(name));
    append(ops, more);
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_api::finding::FieldPath;
    use serde_json::{Value, json};

    fn changes(value: &Value) -> Read<HeaderOps> {
        let mut message = Message::new(FieldPath::default(), value.as_object().unwrap());
        let ops = header_changes(&mut message, "request")?;
        message.finish()?;
        Ok(ops)
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn adds_sets_and_removes() {
        let ops = changes(&json!({
            "request_headers_to_remove": ["X-A", "x-a"],
            "request_headers_to_add": [
                { "header": { "key": "X-B", "value": "1" } },
                { "header": { "key": "x-c", "value": "2" }, "append": true },
                { "header": { "key": "x-d", "value": "50%%" }, "append": false },
                { "header": { "key": "x-c", "value": "3" }, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" },
                { "header": { "key": "x-none" } },
                { "header": { "key": "x-empty", "value": "" }, "keep_empty_value": true },
            ],
        }))
        .unwrap();
        assert_eq!(ops.remove, ["x-a"]);
        assert_eq!(ops.set, pairs(&[("x-d", "50%"), ("x-c", "3")]));
        assert_eq!(ops.add, pairs(&[("x-b", "1"), ("x-empty", "")]));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for option in [
            json!({ "header": { "key": ":path", "value": "/" } }),
            json!({ "header": { "key": "Host", "value": "a" } }),
            json!({ "header": { "key": "a b", "value": "a" } }),
            json!({ "header": { "key": "a", "value": "a\nb" } }),
            json!({ "header": { "key": "a", "value": "%REQ(x)%" } }),
            json!({ "header": { "key": "a", "raw_value": "YQ==" } }),
            json!({ "header": { "key": "a", "value": "a" }, "append_action": "ADD_IF_ABSENT" }),
            json!({ "header": { "key": "a", "value": "a" }, "append": true, "append_action": 0 }),
            json!({ "header": { "key": "a", "value": "a" }, "other": true }),
            json!({}),
            json!(1),
        ] {
            let value = json!({ "request_headers_to_add": [option] });
            assert!(changes(&value).is_err(), "{value}");
        }
    }

    #[test]
    fn later_changes_of_one_level_are_appended_and_of_another_level_follow() {
        let first = HeaderOps { remove: vec![], set: pairs(&[("a", "1")]), add: pairs(&[("b", "1")]) };
        let second =
            HeaderOps { remove: vec!["a".to_owned()], set: pairs(&[("b", "2")]), add: pairs(&[("c", "2")]) };
        let mut same = first.clone();
        append(&mut same, &second);
        assert_eq!(same.set, pairs(&[("a", "1"), ("b", "2")]), "removal comes first");
        assert_eq!(same.add, pairs(&[("c", "2")]));
        let mut after = first;
        then(&mut after, &second);
        assert_eq!((after.remove, after.set), (vec!["a".to_owned()], pairs(&[("b", "2")])));
    }
}
