use super::*;

fn fits(pattern: &str, text: &str) -> bool {
    full_match(pattern).unwrap().is_match(text.as_bytes())
}

#[test]
fn the_whole_text_must_fit() {
    assert!(fits("/a", "/a"));
    assert!(!fits("/a", "/ab"));
    assert!(!fits("/a", "x/a"));
    assert!(fits("/a|/b", "/b"));
    assert!(!fits("/a|/b", "/bc"));
    assert!(!fits("/a|/b", "x/b"));
    assert!(!fits("a|", "ab"));
    assert!(!fits("/a", "/a\n"));
}

#[test]
fn a_search_finds_a_part() {
    let regex = search("/v[0-9]").unwrap();
    assert_eq!(regex.find(b"/api/v1/x").map(|found| found.range()), Some(4..7));
}

#[test]
fn named_classes_are_ascii() {
    for (pattern, yes, no) in [
        (r"\d", "1", "\u{661}"),
        (r"\w", "_", "é"),
        (r"\s", "\t", "\u{a0}"),
        (r"\s", " ", "\u{b}"),
        (r"\D", "\u{661}", "1"),
        (r"\W", "é", "a"),
        (r"\S", "\u{a0}", " "),
        (r"[\d]", "1", "\u{661}"),
        (r"[^\w/]", "é", "a"),
        (r"[\D]", "\u{661}", "1"),
        (r"[[:alpha:]-]", "-", "é"),
    ] {
        assert!(!fits(pattern, no), "{pattern} {no}");
        assert!(fits(pattern, yes), "{pattern} {yes}");
    }
}

#[test]
fn what_the_two_syntaxes_read_differently_means_what_re2_says() {
    for (pattern, text) in [
        ("/users/{id}", "/users/{id}"),
        ("a{,2}", "a{,2}"),
        ("a{2}", "aa"),
        ("a{1,}", "aaa"),
        ("a{1,2}", "aa"),
        (r"\Q/a.b(\E+", "/a.b(("),
        (r"\Q/a.b(", "/a.b("),
        (r"\<a\>", "<a>"),
        (r"a\b/", "a/"),
        (r"a\Bb", "ab"),
        (r"[\<>]+", "<>"),
        ("[[]", "["),
        ("[]a]+", "]a"),
        ("[^]a]", "b"),
        ("[a&&b]+", "a&b"),
        ("[a~~b]+", "a~b"),
        ("[+--]+", "+,-"),
        ("[a-c-]+", "b-"),
        ("[-a]+", "-a"),
        (r"[\w-]+", "a-1"),
        (r"[\w.-]+", "a-1.b"),
        (r"[\d-x]+", "1-x"),
        ("[[:word:]-]+", "_-"),
        (r"[\]\\]+", r"]\"),
        (r"\x2f\x{61}", "/a"),
        (r"[\x2f-\x{39}]+", "/09"),
        (r"\pL\p{Greek}\p{^Greek}\PL", "aωa1"),
        ("(?i)/api", "/API"),
        ("(?i:/a)b", "/Ab"),
        ("(?P<x>a)(?<y>b)", "ab"),
        ("(?:a|b)+", "abba"),
        ("(?s-i).", "\n"),
        ("(?U)a+", "aa"),
        ("^/a$", "/a"),
        (r"\A/a\z", "/a"),
        (r"\/a\-b\.c", "/a-b.c"),
        ("/é+.", "/éé→"),
        ("", ""),
    ] {
        assert!(fits(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("[a&&b]", "&&"), ("[+--]", "a"), ("a{2}", "a{2}"), (r"a\b", "ab"), (".", "\n")] {
        assert!(!fits(pattern, text), "{pattern} {text}");
    }
}

#[test]
fn any_byte() {
    assert!(full_match(r"a\C").unwrap().is_match(b"a\xff"));
    assert!(!full_match("a.").unwrap().is_match(b"a\xff"));
}

#[test]
fn what_is_no_re2_is_refused() {
    for pattern in [
        "(",
        ")",
        "a)(b",
        "a)|(b",
        "/a)|(?:/b",
        "[",
        "[a",
        "[]",
        "[^]",
        "\\",
        "[\\",
        "*",
        "a|*",
        "(?",
        "(?x) a",
        "(?u:a)",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "(?<!a)",
        r"(a)\1",
        r"\q",
        r"\012",
        r"[b-a]",
        "[a--]",
        r"[a-\d]",
        r"\p{Nothing}",
        "a{2,1}",
        "(?#x)",
    ] {
        let problem = full_match(pattern).err();
        assert!(matches!(&problem, Some(PatternProblem::Syntax { .. })), "{pattern} {problem:?}");
        assert!(search(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn the_problem_is_told_in_one_line() {
    let problem = full_match("/a/(b").unwrap_err().to_string();
    assert_eq!(problem, r#""/a/(b" is not a valid RE2 expression: missing )"#);
    let problem = full_match("/a/*{2}*[z-a]").unwrap_err().to_string();
    assert!(problem.contains("range") && !problem.contains('\n'), "{problem}");
}

#[test]
fn a_huge_expression_is_refused() {
    let pattern = r"\pL{500}{500}";
    assert_eq!(full_match(pattern).unwrap_err(), PatternProblem::TooLarge { pattern: pattern.to_owned() });
    let deep = format!("{}{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(full_match(&deep).is_err());
}
