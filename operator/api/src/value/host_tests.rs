#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> HostPattern {
    text.parse().unwrap()
}

#[test]
fn reads_names_wildcards_and_addresses() {
    assert_eq!(pattern("*"), HostPattern::Any);
    assert_eq!(pattern("*.Example.COM"), HostPattern::Suffix(".example.com".into()));
    assert_eq!(pattern("*-x.example.com"), HostPattern::Suffix("-x.example.com".into()));
    assert_eq!(pattern("Reviews"), HostPattern::Exact("reviews".into()));
    assert_eq!(pattern("10.0.0.1"), HostPattern::Exact("10.0.0.1".into()));
    assert_eq!(pattern("2001:DB8::1"), HostPattern::Exact("2001:db8::1".into()));
}

#[test]
fn refuses_what_is_no_host() {
    let long = format!("{}.com", "a".repeat(64));
    let longest = vec!["abcdefgh"; 32].join(".");
    for text in [
        "",
        ".",
        "a..b",
        "a.",
        ".a",
        "a.*.b",
        "**",
        "*.",
        "*.*.com",
        "-a.com",
        "a-.com",
        "a_b.com",
        "a b",
        "http://a.com",
        "a.com:80",
        &long,
        &longest,
    ] {
        assert!(text.parse::<HostPattern>().is_err(), "{text:?}");
    }
}

#[test]
fn wildcards_cover_what_ends_like_them() {
    assert!(pattern("*").covers(&pattern("*.a.com")));
    assert!(pattern("*.com").covers(&pattern("*.a.com")));
    assert!(pattern("*.a.com").covers(&pattern("x.y.a.com")));
    assert!(!pattern("*.a.com").covers(&pattern("a.com")));
    assert!(!pattern("*.a.com").covers(&pattern("*.com")));
    assert_eq!(pattern("*.com").intersect(&pattern("*.a.com")), Some(&pattern("*.a.com")));
    assert_eq!(pattern("a.com").intersect(&pattern("b.com")), None);
}

#[test]
fn server_hosts_have_namespaces() {
    let host = |text: &str| text.parse::<ServerHost>();
    assert_eq!(host("a.com").unwrap().namespace, HostNamespace::Any);
    assert_eq!(host("*/a.com"), host("a.com"));
    assert_eq!(host("./a.com").unwrap().namespace, HostNamespace::Own);
    assert_eq!(
        host("shop/*").unwrap(),
        ServerHost { namespace: HostNamespace::Named("shop".into()), host: HostPattern::Any }
    );
    assert!(host("shop/10.0.0.1").is_ok());
    assert!(matches!(host("reviews"), Err(HostError::Short(_))));
    assert!(matches!(host("*-x.a.com"), Err(HostError::PartialWildcard(_))));
    assert!(matches!(host("/a.com"), Err(HostError::Namespace(_))));
    assert!(matches!(host("a b/a.com"), Err(HostError::Namespace(_))));
    assert!(matches!(host("shop/"), Err(HostError::Syntax(_))));
    assert!(matches!(host("shop/a/b.com"), Err(HostError::Syntax(_))));
}

#[test]
fn namespaces_admit_virtual_services() {
    let admits =
        |text: &str, namespace| text.parse::<ServerHost>().unwrap().namespace.admits("edge", namespace);
    assert!(admits("a.com", "shop"));
    assert!(admits("./a.com", "edge"));
    assert!(!admits("./a.com", "shop"));
    assert!(admits("shop/a.com", "shop"));
    assert!(!admits("~/a.com", "edge"));
}

/// Istio's rule as its regular expressions say it (pkg/config/labels), as an oracle.
fn istio_takes(text: &str) -> bool {
    let label = "[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?";
    let first = regex::Regex::new(&format!(r"^(\*|(\*|\*-)?{label})$")).unwrap();
    let other = regex::Regex::new(&format!("^{label}$")).unwrap();
    if text.parse::<IpAddr>().is_ok() {
        return true;
    }
    let mut labels = text.split('.');
    !text.is_empty()
        && text.len() <= 255
        && labels.next().is_some_and(|label| label.len() <= 63 && first.is_match(label))
        && labels.all(|label| label.len() <= 63 && other.is_match(label))
}

proptest! {
    #[test]
    fn agrees_with_istios_expressions(text in r"(\*|\*-|\*\.)?[-a-zA-Z0-9._*]{0,20}|[0-9:.]{0,12}") {
        prop_assert_eq!(text.parse::<HostPattern>().is_ok(), istio_takes(&text), "{}", text);
    }

    #[test]
    fn what_is_written_is_read_back(text in r"(\*\.)?[a-z][a-z0-9]{0,5}(\.[a-z0-9]{1,5}){0,3}") {
        let host = pattern(&text);
        prop_assert_eq!(&host.to_string(), &text);
        prop_assert_eq!(pattern(&host.to_string()), host);
    }

    /// `intersect` against its meaning: a host is in both exactly if it is in the intersection.
    #[test]
    fn the_intersection_is_what_both_match(
        a in r"\*|(\*\.)?[ab](\.[ab]){0,2}",
        b in r"\*|(\*\.)?[ab](\.[ab]){0,2}",
        host in r"[ab](\.[ab]){0,3}",
    ) {
        let (a, b) = (pattern(&a), pattern(&b));
        let both = a.matches(&host) && b.matches(&host);
        prop_assert_eq!(a.intersect(&b).is_some_and(|common| common.matches(&host)), both);
    }

    #[test]
    fn nothing_panics(text in r"\PC{0,20}") {
        let _ = text.parse::<HostPattern>();
        let _ = text.parse::<ServerHost>();
    }
}
