use postern_snapshot::model::RouteTable;

use super::*;
use crate::{Lookup, PathMatched, Router, testing::*};

fn problems(refused: &[RefusedRoute]) -> Vec<(usize, usize, String)> {
    refused.iter().map(|one| (one.route, one.match_index, one.problem.to_string())).collect()
}

#[test]
fn what_is_refused_is_told_with_its_place() {
    let mut bad = route([path_exact("/ok"), path_regex("/a/(")]);
    bad.name = "bad".to_owned();
    bad.origin = "VirtualService/ns/vs".to_owned();
    let hosts = vec![virtual_host(&["a.b"], []), virtual_host(&["example.com"], [route([]), bad])];
    let (_, refused) = Router::compile(&RouteTable { virtual_hosts: hosts });
    assert_eq!(
        refused,
        [RefusedRoute {
            virtual_host: 1,
            virtual_host_name: "example.com:443".to_owned(),
            route: 1,
            name: "bad".to_owned(),
            origin: "VirtualService/ns/vs".to_owned(),
            match_index: 1,
            problem: RouteProblem::Pattern {
                subject: "path".to_owned(),
                problem: PatternProblem::Syntax { pattern: "/a/(".to_owned(), why: "missing )".to_owned() },
            },
        }]
    );
}

#[test]
fn a_refused_path_keeps_its_place_and_costs_only_what_it_may_have_been() {
    let (router, refused) =
        Router::compile(&table([path_exact("/admin/open"), path_regex("/admin/("), path_prefix("/")]));
    assert_eq!(refused.len(), 1);
    let lookup = |path| router.route(&get(path).head());
    assert_eq!(lookup("/admin/x"), Lookup::Refused { virtual_host: 0, route: 1 });
    let matched = PathMatched::Exact;
    assert_eq!(lookup("/admin/open"), Lookup::Route { virtual_host: 0, route: 0, matched });
    let matched = PathMatched::Prefix(1);
    assert_eq!(lookup("/public"), Lookup::Route { virtual_host: 0, route: 2, matched });
}

#[test]
fn the_rest_of_a_refused_match_still_counts() {
    let bad = RouteMatch { method: Some(exact("POST")), ..path_regex("(") };
    let (router, _) = Router::compile(&table([bad, RouteMatch::default()]));
    let mut request = get("/x");
    assert_eq!(chosen(&router, &request), Some(1));
    request.method = "POST";
    assert_eq!(router.route(&request.head()), Lookup::Refused { virtual_host: 0, route: 0 });
}

#[test]
fn the_other_matches_of_a_refused_route_serve() {
    let hosts =
        vec![virtual_host(&["example.com"], [route([path_regex("/a("), path_prefix("/b")]), route([])])];
    let (router, _) = Router::compile(&RouteTable { virtual_hosts: hosts });
    assert_eq!(chosen(&router, &get("/b")), Some(0));
    assert_eq!(chosen(&router, &get("/c")), Some(1));
    assert_eq!(router.route(&get("/ab").head()), Lookup::Refused { virtual_host: 0, route: 0 });
}

#[test]
fn a_bad_expression_for_a_value_refuses_what_has_that_beginning() {
    let value = |text| ValueMatch::String(regex(text));
    let refused = Lookup::Refused { virtual_host: 0, route: 0 };

    let (router, found) =
        Router::compile(&table([header("x-a", value("v1("), false), RouteMatch::default()]));
    assert_eq!(problems(&found)[0].2, r#"header x-a: "v1(" is not a valid RE2 expression: missing )"#);
    assert_eq!(router.route(&get("/").header("x-a", b"v12").head()), refused);
    assert_eq!(chosen(&router, &get("/").header("x-a", b"v2")), Some(1));
    assert_eq!(chosen(&router, &get("/")), Some(1));

    let (router, _) = Router::compile(&table([header("x-a", value("v1("), true), RouteMatch::default()]));
    assert_eq!(router.route(&get("/").header("x-a", b"v2").head()), refused);
    assert_eq!(router.route(&get("/").head()), refused);

    let (router, _) = Router::compile(&table([query("a", value("[")), RouteMatch::default()]));
    assert_eq!(router.route(&get("/?a=1").head()), refused);
    assert_eq!(chosen(&router, &get("/?b=1")), Some(1));
}

#[test]
fn an_expression_that_is_too_large_is_refused() {
    let (router, found) = Router::compile(&table([path_regex(r"/big/\pL{500}{500}"), path_prefix("/")]));
    assert!(matches!(
        found[0].problem,
        RouteProblem::Pattern { problem: PatternProblem::TooLarge { .. }, .. }
    ));
    assert_eq!(router.route(&get("/big/x").head()), Lookup::Refused { virtual_host: 0, route: 0 });
    assert_eq!(chosen(&router, &get("/small")), Some(1));
}

#[test]
fn a_header_that_cannot_be_is_told_and_counts_as_absent() {
    for (invert, expected) in [(false, Some(1)), (true, Some(0))] {
        let bad = header("x a", ValueMatch::String(exact("1")), invert);
        let (router, found) = Router::compile(&table([bad, RouteMatch::default()]));
        assert_eq!(problems(&found), [(0, 0, r#""x a" is not a valid header name"#.to_owned())]);
        assert_eq!(chosen(&router, &get("/").header("x-a", b"1")), expected);
    }
}

#[test]
fn every_problem_of_a_match_is_told() {
    let mut bad = header("x a", ValueMatch::String(regex("[")), false);
    bad.method = Some(regex("("));
    let (_, found) = Router::compile(&table([bad]));
    let subjects: Vec<String> = problems(&found).into_iter().map(|(_, _, text)| text).collect();
    assert_eq!(subjects.len(), 3);
    assert!(subjects[0].starts_with("method: "));
    assert!(subjects[1].contains("not a valid header name"));
    assert!(subjects[2].starts_with("header x a: "));
}
