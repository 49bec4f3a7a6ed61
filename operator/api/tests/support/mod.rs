//! That docs/support.md has a row for each field of the schemas, and no row for anything else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::schema::{Crd, samples};

const KINDS: [&str; 5] = ["Gateway", "VirtualService", "DestinationRule", "ServiceEntry", "EnvoyFilter"];

#[test]
fn each_field_has_a_row() {
    let rows = rows();
    assert_eq!(rows.keys().map(String::as_str).collect::<BTreeSet<_>>(), KINDS.into());
    for kind in KINDS {
        let documented: BTreeSet<String> = rows[kind].iter().map(|row| row.field.clone()).collect();
        let fields = fields(kind);
        let missing: Vec<_> = fields.difference(&documented).collect();
        assert!(missing.is_empty(), "docs/support.md has no row for these fields of {kind}: {missing:#?}");
        let unknown: Vec<_> = documented.difference(&fields).collect();
        assert!(unknown.is_empty(), "docs/support.md has rows for no field of {kind}: {unknown:#?}");
    }
}

#[test]
fn each_row_says_something_and_names_a_test_that_exists() {
    let golden = root().join("operator/translate/tests/golden");
    for row in rows().values().flatten() {
        assert!(!row.what.is_empty(), "{} says nothing", row.field);
        if row.test != "–" {
            let input = golden.join(row.test.trim_matches('`')).join("input.yaml");
            assert!(input.is_file(), "{}: there is no {}", row.field, input.display());
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let golden = root().join("operator/translate/tests/golden");
    let text = fs::read_to_string(root().join("docs/support.md")).unwrap();
    let last_cells = text.lines().filter_map(|line| line.strip_suffix(" |")?.rsplit_once("| "));
    let tests = last_cells.filter_map(|(_, cell)| cell.strip_prefix('`')?.strip_suffix('`'));
    let mut count = 0;
    for test in tests {
        assert!(golden.join(test).join("input.yaml").is_file(), "there is no test {test}");
        count += 1;
    }
    assert!(count > 100, "only {count} tests are named");
}

struct Row {
    field: String,
    what: String,
    test: String,
}

/// The rows of the tables, by the headings of the kinds.
fn rows() -> BTreeMap<String, Vec<Row>> {
    let text = fs::read_to_string(root().join("docs/support.md")).unwrap();
    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut kind = String::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            kind = heading.to_owned();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", field, what, test, ""] = cells.as_slice()
            && let Some(field) = field.strip_prefix('`').and_then(|field| field.strip_suffix('`'))
        {
            let row = Row { field: field.to_owned(), what: (*what).into(), test: (*test).into() };
            rows.entry(kind.clone()).or_default().push(row);
        }
    }
    rows
}

/// The fields of a kind's spec that hold no other fields, as the table writes them.
fn fields(kind: &str) -> BTreeSet<String> {
    let crd = Crd::of(kind);
    let properties: BTreeSet<String> =
        crd.versions.values().flat_map(samples).map(|sample| sample.property).collect();
    let holds_others = |property: &str| {
        let is_within = |other: &String| {
            other.strip_prefix(property).is_some_and(|rest| rest.starts_with(['.', '[', '{']))
        };
        properties.iter().any(is_within)
    };
    let leaves =
        properties.iter().filter(|property| property.starts_with("spec.") && !holds_others(property));
    leaves.map(|property| row_of(property)).collect()
}

/// The row that tells of a property.
fn row_of(property: &str) -> String {
    const POLICY: &str = "spec.trafficPolicy.";
    let mut field = property.replace("spec.subsets[].trafficPolicy.", POLICY);
    // Ports have four of the settings that the whole has.
    if let Some(rest) = field.strip_prefix("spec.trafficPolicy.portLevelSettings[].")
        && !rest.starts_with("port.")
    {
        field = format!("{POLICY}{rest}");
    }
    let text_match = [
        "uri",
        "scheme",
        "method",
        "authority",
        "headers{}",
        "withoutHeaders{}",
        "queryParams{}",
        "allowOrigins[]",
    ];
    let wrapped = [("exact", &text_match[..]), ("prefix", &text_match), ("regex", &text_match)];
    if let Some((holder, last)) = field.rsplit_once('.') {
        let is_text = wrapped
            .iter()
            .any(|(name, holders)| *name == last && holders.iter().any(|text| holder.ends_with(text)));
        let is_percentage = last == "value" && holder.ends_with("ercentage");
        let is_port = last == "number" && holder.ends_with(".port") && !holder.contains("servers");
        if is_text || is_percentage || is_port {
            field = holder.to_owned();
        }
    }
    while let Some(shorter) = field.strip_suffix("[]").or_else(|| field.strip_suffix("{}")) {
        field = shorter.to_owned();
    }
    field
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
