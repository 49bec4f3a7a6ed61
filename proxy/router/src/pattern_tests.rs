use proptest::prelude::*;

use super::*;

fn pattern(source: &str) -> Pattern {
    Pattern::new(source).unwrap()
}

fn beginnings(source: &str) -> Vec<String> {
    pattern(source).prefixes().iter().map(|text| String::from_utf8_lossy(text).into_owned()).collect()
}

fn inner(source: &str) -> Option<String> {
    pattern(source).inner.map(|finder| String::from_utf8_lossy(finder.needle()).into_owned())
}

#[test]
fn the_literal_parts_are_found() {
    assert_eq!(beginnings("^/api/.*$"), ["/api/"]);
    assert_eq!(beginnings("/(a|bc)/x"), ["/a/x", "/bc/x"]);
    assert_eq!(beginnings(".*"), [""]);
    assert_eq!(beginnings("(?i)/ab")[0], "/AB");
    assert_eq!(beginnings("(?i)/abcdefg"), ["/"]);
    assert_eq!(beginnings(r"[^\x00-\x{10FFFF}]"), Vec::<String>::new());
    assert_eq!(&*pattern("/[^/]+/item").suffix, b"/item");
    assert_eq!(inner("/[^/]+/item7(/.*)?").as_deref(), Some("/item7"));
    assert_eq!(inner("/[^/]+(/items)(/.*)?").as_deref(), Some("/items"));
    assert_eq!(inner("/a/.*"), None);
    assert_eq!(inner("/a|/b"), None);
}

#[test]
fn a_broken_expression_has_a_beginning_too() {
    for (source, beginning) in [
        ("/admin/(", "/admin/"),
        ("^/admin/(.*", "/admin/"),
        ("/a)", "/a"),
        ("/ab*(", "/a"),
        ("/ab?(", "/a"),
        ("/ab{0}(", "/a"),
        ("/ab+(", "/ab"),
        ("/é*(", "/"),
        ("/a(|/b", ""),
        ("(?i)/a(", ""),
        ("*", ""),
        ("", ""),
        ("/plain", "/plain"),
    ] {
        assert_eq!(literal_beginning(source), beginning, "{source}");
    }
}

/// Valid expressions of few characters, so that texts fit often.
fn source() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        3 => "[/ab]{1,3}",
        1 => Just(".".to_owned()),
        1 => Just("[^/]".to_owned()),
        1 => Just("^".to_owned()),
        1 => Just("(?i)a".to_owned()),
    ];
    atom.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            4 => prop::collection::vec(inner.clone(), 1..4).prop_map(|parts| parts.concat()),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}|{b})")),
            1 => inner.clone().prop_map(|a| format!("(?:{a})*")),
            1 => inner.clone().prop_map(|a| format!("({a})+")),
            1 => inner.clone().prop_map(|a| format!("({a})?")),
            1 => inner.prop_map(|a| format!("{a}|")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn the_cheap_conditions_change_nothing(source in source(), texts in prop::collection::vec("[/abA]{0,6}", 20)) {
        let pattern = pattern(&source);
        for text in texts {
            let fits = re2::full_match(&source).unwrap().is_match(text.as_bytes());
            prop_assert_eq!(pattern.is_match(text.as_bytes()), fits, "{} {}", source, text);
            if fits {
                prop_assert!(text.starts_with(literal_beginning(&source)), "{} {}", source, text);
            }
        }
    }

    #[test]
    fn no_text_breaks_the_translation(source in r"[\\\[\](){}?:QEdbx2,&~|*^$a<-]{0,12}") {
        let _ = Pattern::new(&source);
    }
}

#[test]
fn equal_expressions_are_compiled_once() {
    let mut patterns = Patterns::default();
    let first = patterns.compile("/a.*").unwrap();
    let second = patterns.compile("/a.*").unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(patterns.compile("(").unwrap_err(), patterns.compile("(").unwrap_err());
}
