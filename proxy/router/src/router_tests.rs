use postern_snapshot::{
    Port,
    model::{Route, RouteMatch, ValueMatch},
};

use super::*;
use crate::testing::*;

// Hosts

#[test]
fn without_a_host_there_is_no_route() {
    let router = compile(&table([RouteMatch::default()]));
    let mut request = get("/");
    request.host = "example.org";
    assert_eq!(router.route(&request.head()), Lookup::NoHost);
    assert_eq!(Router::default().route(&request.head()), Lookup::NoHost);
}

#[test]
fn there_is_no_way_back_from_a_host_that_was_chosen() {
    let router = compile(&RouteTable {
        virtual_hosts: vec![
            virtual_host(&["*"], [route([])]),
            virtual_host(&["*.example.com", "*.example.org"], [route([path_prefix("/wild")])]),
            virtual_host(&["a.example.com"], [route([path_prefix("/exact")])]),
        ],
    });
    let lookup = |host, path| {
        let mut request = get(path);
        request.host = host;
        router.route(&request.head())
    };
    assert_eq!(lookup("a.example.com", "/wild"), Lookup::NoRoute { virtual_host: 2 });
    assert_eq!(lookup("b.example.com", "/exact"), Lookup::NoRoute { virtual_host: 1 });
    let matched = PathMatched::Prefix(5);
    assert_eq!(lookup("b.example.org", "/wild"), Lookup::Route { virtual_host: 1, route: 0, matched });
    let matched = PathMatched::None;
    assert_eq!(lookup("example.com", "/x"), Lookup::Route { virtual_host: 0, route: 0, matched });
    assert_eq!(lookup("", "/x"), Lookup::Route { virtual_host: 0, route: 0, matched });
}

#[test]
fn of_two_hosts_with_one_domain_the_first_keeps_it() {
    let hosts = [virtual_host(&["example.com"], [route([])]), virtual_host(&["example.com"], [])];
    let router = compile(&RouteTable { virtual_hosts: hosts.into() });
    assert_eq!(chosen(&router, &get("/")), Some(0));
}

#[test]
fn a_redirect_to_https_comes_before_any_route() {
    let mut table = table([RouteMatch::default()]);
    let redirect = HttpsRedirect { port: Port::new(8443) };
    table.virtual_hosts[0].https_redirect = Some(redirect);
    let router = compile(&table);
    let mut request = get("/");
    request.scheme = "http";
    assert_eq!(router.route(&request.head()), Lookup::HttpsRedirect { virtual_host: 0, redirect });
    request.scheme = "https";
    assert_eq!(chosen(&router, &request), Some(0));
}

// Order

#[test]
fn the_first_that_matches_is_taken_whatever_its_kind() {
    let first_of_all = [
        RouteMatch::default(),
        path_prefix(""),
        path_prefix("/a"),
        path_segments("/a"),
        path_exact("/a/b"),
        path_regex("/a/.*"),
        path_regex(".*"),
        RouteMatch { ignore_path_case: true, ..path_exact("/A/B") },
        RouteMatch { ignore_path_case: true, ..path_prefix("/A") },
    ];
    for start in 0..first_of_all.len() {
        let mut rotated = first_of_all.to_vec();
        rotated.rotate_left(start);
        rotated.insert(0, path_prefix("/other"));
        assert_eq!(chosen(&compile(&table(rotated)), &get("/a/b")), Some(1), "{start}");
    }
}

#[test]
fn one_of_a_routes_matches_is_enough() {
    let routes = [route([path_exact("/a"), path_exact("/b")]), route([path_prefix("/")]), route([])];
    let router = compile(&RouteTable { virtual_hosts: vec![virtual_host(&["example.com"], routes)] });
    assert_eq!(chosen(&router, &get("/b")), Some(0));
    assert_eq!(chosen(&router, &get("/c")), Some(1));
    assert_eq!(chosen(&router, &get("*")), Some(2));
}

#[test]
fn everything_of_a_match_must_hold() {
    let both = RouteMatch { method: Some(exact("POST")), ..path_prefix("/a") };
    let router = compile(&table([both, path_prefix("/a")]));
    let mut post = get("/a");
    post.method = "POST";
    assert_eq!(chosen(&router, &post), Some(0));
    assert_eq!(chosen(&router, &get("/a")), Some(1));
}

#[test]
fn many_nested_prefixes() {
    let deepest_first: Vec<RouteMatch> =
        (0..40).rev().map(|depth| path_prefix(&"/a".repeat(depth))).collect();
    let router = compile(&table(deepest_first));
    for depth in 0..40 {
        assert_eq!(chosen(&router, &get(&"/a".repeat(depth))), Some(39 - depth));
    }
}

// Paths

#[test]
fn an_exact_path_is_the_whole_path_as_sent() {
    let route_match = path_exact("/a");
    assert_eq!(taken(&route_match, &get("/a?x=/a/b")), Some(PathMatched::Exact));
    for other in ["/a/", "/A", "/", "", "//a", "/%61"] {
        assert!(!takes(&route_match, &get(other)), "{other}");
    }
}

#[test]
fn a_prefix_is_plain_text() {
    let route_match = path_prefix("/app");
    for path in ["/app", "/app/", "/apple", "/app/x"] {
        assert_eq!(taken(&route_match, &get(path)), Some(PathMatched::Prefix(4)), "{path}");
    }
    for path in ["/ap", "/App", "/", "", "x/app"] {
        assert!(!takes(&route_match, &get(path)), "{path}");
    }
    assert_eq!(taken(&path_prefix("/app/"), &get("/app")), None);
    assert_eq!(taken(&path_prefix(""), &get("*")), Some(PathMatched::Prefix(0)));
    assert_eq!(taken(&path_prefix("/"), &get("*")), None);
}

#[test]
fn a_path_separated_prefix_ends_at_a_slash() {
    for text in ["/app", "/app/"] {
        let route_match = path_segments(text);
        for path in ["/app", "/app/", "/app/x", "/app//"] {
            assert_eq!(taken(&route_match, &get(path)), Some(PathMatched::Segments(4)), "{text} {path}");
        }
        for path in ["/apple", "/ap", "/App", "/"] {
            assert!(!takes(&route_match, &get(path)), "{text} {path}");
        }
    }
    assert_eq!(taken(&path_segments("/"), &get("/x")), Some(PathMatched::Segments(0)));
    assert_eq!(taken(&path_segments("/"), &get("/")), Some(PathMatched::Segments(0)));
    assert_eq!(taken(&path_segments("/"), &get("*")), None);
}

#[test]
fn the_case_of_a_path_can_be_ignored_except_in_a_regex() {
    let ignoring = |route_match| RouteMatch { ignore_path_case: true, ..route_match };
    assert!(takes(&ignoring(path_exact("/aPp")), &get("/ApP")));
    assert_eq!(taken(&ignoring(path_prefix("/aPp")), &get("/ApPle")), Some(PathMatched::Prefix(4)));
    assert_eq!(taken(&ignoring(path_segments("/aPp")), &get("/ApP/x")), Some(PathMatched::Segments(4)));
    assert!(!takes(&ignoring(path_segments("/aPp")), &get("/ApPle")));
    assert!(!takes(&ignoring(path_exact("/é")), &get("/É")));
    assert!(!takes(&ignoring(path_regex("/a.*")), &get("/A")));
    assert!(takes(&ignoring(path_regex("/a.*")), &get("/a")));
}

#[test]
fn a_regex_fits_the_whole_path_without_query() {
    assert_eq!(taken(&path_regex("/a/[0-9]+"), &get("/a/17?x=1")), Some(PathMatched::Regex));
    assert!(!takes(&path_regex("/a/[0-9]+"), &get("/a/17x")));
    assert!(!takes(&path_regex("a"), &get("/a")));
    assert!(takes(&path_regex("/a|/b"), &get("/b")));
    assert!(takes(&path_regex("(/a|/ab)c*"), &get("/abcc")));
}

// Pseudo-headers

#[test]
fn method_scheme_and_authority() {
    let request = get("/a?b");
    for (route_match, holds) in [
        (RouteMatch { method: Some(exact("GET")), ..RouteMatch::default() }, true),
        (RouteMatch { method: Some(exact("get")), ..RouteMatch::default() }, false),
        (RouteMatch { method: Some(regex("GET|PUT")), ..RouteMatch::default() }, true),
        (RouteMatch { scheme: Some(prefix("http")), ..RouteMatch::default() }, true),
        (RouteMatch { scheme: Some(exact("http")), ..RouteMatch::default() }, false),
        (RouteMatch { authority: Some(exact("Example.com:8443")), ..RouteMatch::default() }, true),
        (RouteMatch { authority: Some(exact("example.com")), ..RouteMatch::default() }, false),
    ] {
        assert_eq!(takes(&route_match, &request), holds, "{route_match:?}");
    }
}

#[test]
fn pseudo_headers_can_be_matched_as_headers() {
    let request = get("/a?b");
    let value = |text| ValueMatch::String(exact(text));
    for (route_match, holds) in [
        (header(":method", value("GET"), false), true),
        (header(":method", value("GET"), true), false),
        (header(":scheme", value("https"), false), true),
        (header(":path", value("/a?b"), false), true),
        (header(":path", value("/a"), false), false),
        (header(":authority", value("Example.com:8443"), false), true),
        (header("host", value("Example.com:8443"), false), true),
        (header("Host", ValueMatch::Present, false), true),
        (header(":status", ValueMatch::Present, false), false),
        (header(":status", ValueMatch::Present, true), true),
    ] {
        assert_eq!(takes(&route_match, &request), holds, "{route_match:?}");
    }
    assert!(takes(&header(":path", value("/a"), false), &get("/a")));
    let mut nameless = get("/");
    nameless.authority = "";
    assert!(!takes(&header("host", ValueMatch::Present, false), &nameless));
}

// Headers

#[test]
fn a_header_is_present_or_has_a_value() {
    let plain = get("/");
    let with = get("/").header("x-a", b"one");
    let empty = get("/").header("x-a", b"");
    for (value, on_plain, on_with, on_empty) in [
        (ValueMatch::Present, false, true, true),
        (ValueMatch::String(exact("one")), false, true, false),
        (ValueMatch::String(prefix("o")), false, true, false),
        (ValueMatch::String(regex("o.*")), false, true, false),
        (ValueMatch::String(exact("o")), false, false, false),
        (ValueMatch::String(exact("")), false, false, true),
        (ValueMatch::String(prefix("")), false, true, true),
        (ValueMatch::String(regex(".*")), false, true, true),
    ] {
        let route_match = header("X-A", value, false);
        assert_eq!(takes(&route_match, &plain), on_plain, "{route_match:?}");
        assert_eq!(takes(&route_match, &with), on_with, "{route_match:?}");
        assert_eq!(takes(&route_match, &empty), on_empty, "{route_match:?}");
    }
}

/// As Istio's `withoutHeaders`: `treat_missing_header_as_empty` except for presence.
#[test]
fn an_absent_header_counts_as_empty_where_it_must_not_be_so() {
    let plain = get("/");
    let with = get("/").header("x-a", b"one");
    for (value, on_plain, on_with) in [
        (ValueMatch::Present, true, false),
        (ValueMatch::String(exact("one")), true, false),
        (ValueMatch::String(exact("two")), true, true),
        (ValueMatch::String(exact("")), false, true),
        (ValueMatch::String(prefix("")), false, false),
        (ValueMatch::String(regex(".*")), false, false),
        (ValueMatch::String(regex(".+")), true, false),
    ] {
        let route_match = header("x-a", value, true);
        assert_eq!(takes(&route_match, &plain), on_plain, "{route_match:?}");
        assert_eq!(takes(&route_match, &with), on_with, "{route_match:?}");
    }
}

#[test]
fn several_values_count_as_one() {
    let request = get("/").header("x-a", b"one").header("x-a", b"two").header("x-a", b"three");
    let value = |text| ValueMatch::String(exact(text));
    assert!(takes(&header("x-a", value("one,two,three"), false), &request));
    assert!(!takes(&header("x-a", value("one"), false), &request));
    assert!(takes(&header("x-a", ValueMatch::String(regex(".*,two,.*")), false), &request));
    assert!(takes(&header("x-a", value("one"), true), &request));
    let long = get("/").header("x-a", &[b'a'; 300]).header("x-a", &[b'b'; 300]);
    assert!(takes(&header("x-a", ValueMatch::String(regex("a{300},b{300}")), false), &long));
}

#[test]
fn a_cookie_that_http2_split_is_put_together() {
    let request = get("/").header("cookie", b"a=1").header("cookie", b"user=jason");
    let value = ValueMatch::String(regex("^(.*?;)?( ?user=jason)(;.*)?$"));
    assert!(takes(&header("cookie", value, false), &request));
    assert!(takes(&header("cookie", ValueMatch::String(exact("a=1; user=jason")), false), &request));
}

#[test]
fn a_header_value_need_not_be_utf8() {
    let request = get("/").header("x-a", b"a\xff");
    assert!(takes(&header("x-a", ValueMatch::String(prefix("a")), false), &request));
    assert!(takes(&header("x-a", ValueMatch::String(regex(r"a\C")), false), &request));
    assert!(!takes(&header("x-a", ValueMatch::String(regex("a.")), false), &request));
}

#[test]
fn two_conditions_on_one_header_must_both_hold() {
    let mut both = header("x-a", ValueMatch::String(prefix("a")), false);
    both.headers.extend(header("x-a", ValueMatch::String(exact("ab")), true).headers);
    assert!(takes(&both, &get("/").header("x-a", b"ac")));
    assert!(!takes(&both, &get("/").header("x-a", b"ab")));
}

// Query

#[test]
fn the_first_query_parameter_of_a_name_counts_as_sent() {
    let value = |text| ValueMatch::String(exact(text));
    for (route_match, target, holds) in [
        (query("a", value("1")), "/?a=1", true),
        (query("a", value("1")), "/?b=2&a=1&a=2", true),
        (query("a", value("2")), "/?a=1&a=2", false),
        (query("a", value("1=2")), "/?a=1=2", true),
        (query("a", value("%20")), "/?a=%20", true),
        (query("a", value(" ")), "/?a=%20", false),
        (query("a", value(" ")), "/?a=+", false),
        (query("a", value("1")), "/?A=1", false),
        (query("a", value("1")), "/?%61=1", false),
        (query("a", value("")), "/?a", true),
        (query("a", value("")), "/?a=", true),
        (query("a", value("")), "/", false),
        (query("a", ValueMatch::Present), "/?a", true),
        (query("a", ValueMatch::Present), "/?a=", true),
        (query("a", ValueMatch::Present), "/?x=a", false),
        (query("a", ValueMatch::Present), "/?", false),
        (query("a", ValueMatch::Present), "/", false),
        (query("a", ValueMatch::String(prefix("1"))), "/?a=12", true),
        (query("a", ValueMatch::String(regex("[0-9]+"))), "/?a=12", true),
        (query("a", ValueMatch::String(regex("[0-9]+"))), "/?a=12x", false),
        (query("", ValueMatch::Present), "/?&a", true),
        (query("", ValueMatch::Present), "/?", false),
    ] {
        assert_eq!(takes(&route_match, &get(target)), holds, "{route_match:?} {target}");
    }
}

#[test]
fn routes_are_numbered_as_in_the_table() {
    let routes: Vec<Route> =
        (0..3).map(|number| route([path_exact("/x"), path_exact(&format!("/{number}"))])).collect();
    let router = compile(&RouteTable { virtual_hosts: vec![virtual_host(&["example.com"], routes)] });
    assert_eq!(chosen(&router, &get("/2")), Some(2));
    assert_eq!(chosen(&router, &get("/x")), Some(0));
}
