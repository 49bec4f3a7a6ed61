use super::*;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

fn map(patterns: &[&'static str]) -> HostMap<&'static str> {
    let mut map = HostMap::new();
    for text in patterns {
        map.insert(&pattern(text), *text);
    }
    map
}

#[test]
fn a_host_is_brought_into_one_form() {
    for (authority, host) in [
        ("example.com", "example.com"),
        ("example.com:8443", "example.com"),
        ("example.com:", "example.com"),
        ("Example.COM:80", "example.com"),
        ("example.com.", "example.com"),
        ("example.com.:443", "example.com"),
        ("192.0.2.1:80", "192.0.2.1"),
        ("[2001:DB8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::1", "::1"),
        ("", ""),
        (".", ""),
        (":80", ""),
    ] {
        assert_eq!(normalize_host(authority), host, "{authority}");
    }
}

#[test]
fn what_is_no_host_and_port_is_left_as_it_is() {
    for authority in ["example.com:http", "[2001:db8::1]x", "[2001:db8::1", "[::1]:x"] {
        assert_eq!(normalize_host(authority), authority);
    }
}

#[test]
fn a_host_in_lower_case_is_not_copied() {
    assert!(matches!(normalize_host("example.com.:443"), Cow::Borrowed(_)));
    assert!(matches!(normalize_host("[::1]:443"), Cow::Borrowed(_)));
}

#[test]
fn exact_then_longest_wildcard_then_any() {
    let map = map(&["*", "*.com", "*.example.com", "example.com", "*.b.example.com", "a.example.com"]);
    for (host, found) in [
        ("a.example.com", "a.example.com"),
        ("example.com", "example.com"),
        ("b.example.com", "*.example.com"),
        ("x.a.example.com", "*.example.com"),
        ("x.b.example.com", "*.b.example.com"),
        ("xb.example.com", "*.example.com"),
        ("myexample.com", "*.com"),
        ("com", "*"),
        ("", "*"),
        ("example.org", "*"),
    ] {
        assert_eq!(map.get(host), Some(&found), "{host}");
    }
}

#[test]
fn a_wildcard_needs_something_before_its_dot() {
    let map = map(&["*.example.com"]);
    assert_eq!(map.get("example.com"), None);
    assert_eq!(map.get(".example.com"), None);
    assert_eq!(map.get("a.example.com"), Some(&"*.example.com"));
    assert_eq!(map.get(""), None);
}

#[test]
fn text_that_is_no_ascii_is_not_cut_apart() {
    let map = map(&["*.m"]);
    assert_eq!(map.get("éé.m"), Some(&"*.m"));
    assert_eq!(map.get("é"), None);
}

#[test]
fn a_pattern_has_one_value() {
    let mut map = HostMap::default();
    assert!(map.is_empty());
    for text in ["a.b", "*.b", "*"] {
        assert_eq!(map.insert(&pattern(text), 1), None);
        assert_eq!(map.insert(&pattern(text), 2), Some(1));
    }
    assert_eq!(map.len(), 3);
    assert_eq!(map.get("x.b"), Some(&2));
}

#[test]
fn a_set_covers_what_its_patterns_cover() {
    let set: HostSet = [pattern("example.com"), pattern("*.example.org")].iter().collect();
    assert!(set.contains("example.com"));
    assert!(set.contains("a.example.org"));
    assert!(!set.contains("a.example.com"));
    assert!(!set.contains(""));
    assert!(HostSet::default().is_empty());
    assert!(!HostSet::default().contains("example.com"));
}
