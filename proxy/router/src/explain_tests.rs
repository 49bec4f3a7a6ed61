use postern_snapshot::model::{HttpsRedirect, RouteMatch, ValueMatch};

use super::*;
use crate::{PathMatched, Router, testing::*};

#[test]
fn each_route_that_was_not_taken_has_its_reasons() {
    let mut second = header("x-a", ValueMatch::String(exact("b")), false);
    second.method = Some(exact("POST"));
    second.query = query("q", ValueMatch::Present).query;
    let mut table = table([path_prefix("/app"), second, path_regex("/x.*"), path_prefix("/")]);
    table.virtual_hosts[0].routes[0].name = "app".to_owned();
    let request = get("/xyz").header("x-a", b"a");
    let explanation = compile(&table).explain(&request.head());

    assert_eq!(explanation.lookup, Lookup::Route { virtual_host: 0, route: 2, matched: PathMatched::Regex });
    let fails = |route, reasons: &[&str]| RouteTest {
        route,
        match_index: 0,
        verdict: Verdict::Fails(reasons.iter().map(|&reason| reason.to_owned()).collect()),
    };
    assert_eq!(
        explanation.tests,
        [
            fails(0, &[r#"path is "/xyz", wanted prefix "/app""#]),
            fails(
                1,
                &[
                    r#"method is "GET", wanted "POST""#,
                    r#"header x-a is "a", wanted "b""#,
                    "query parameter q is absent, wanted present",
                ]
            ),
            RouteTest { route: 2, match_index: 0, verdict: Verdict::Matches },
        ]
    );
    assert_eq!(
        explanation.render(&table),
        r#"host "example.com": virtual host example.com:443 (example.com)
route 0 match 0 (app of VirtualService/default/test): path is "/xyz", wanted prefix "/app"
route 1 match 0 (unnamed of VirtualService/default/test): method is "GET", wanted "POST"; header x-a is "a", wanted "b"; query parameter q is absent, wanted present
route 2 match 0 (unnamed of VirtualService/default/test): matches
result: route 2
"#
    );
}

#[test]
fn conditions_are_told_in_words() {
    let ignoring = RouteMatch { ignore_path_case: true, ..path_exact("/A") };
    let matches = [
        ignoring,
        path_segments("/a/"),
        path_regex("/a.+"),
        header("x-a", ValueMatch::Present, true),
        header("x-a", ValueMatch::String(prefix("b")), false),
        header("x-a", ValueMatch::String(regex("b+")), false),
    ];
    let table = table(matches);
    let explanation = compile(&table).explain(&get("/b").header("x-a", b"a").head());
    let reasons: Vec<&str> = explanation
        .tests
        .iter()
        .map(|test| match &test.verdict {
            Verdict::Fails(reasons) => reasons[0].as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        reasons,
        [
            r#"path is "/b", wanted "/A" in any case"#,
            r#"path is "/b", wanted path-separated prefix "/a""#,
            r#"path is "/b", wanted regex "/a.+""#,
            r#"header x-a is "a", wanted not present"#,
            r#"header x-a is "a", wanted prefix "b""#,
            r#"header x-a is "a", wanted regex "b+""#,
        ]
    );
    assert!(explanation.render(&table).ends_with("result: 404\n"));
}

#[test]
fn a_host_can_decide_alone() {
    let mut table = table([RouteMatch::default()]);
    let mut request = get("/");
    request.host = "example.org";
    let explanation = compile(&table).explain(&request.head());
    assert_eq!(explanation.render(&table), "host \"example.org\": no virtual host\nresult: 404\n");
    assert_eq!(explanation.lookup, Lookup::NoHost);

    let redirect = HttpsRedirect { port: None };
    table.virtual_hosts[0].https_redirect = Some(redirect);
    let mut request = get("/");
    request.scheme = "http";
    let explanation = compile(&table).explain(&request.head());
    assert_eq!(explanation.lookup, Lookup::HttpsRedirect { virtual_host: 0, redirect });
    assert_eq!(explanation.tests, []);
    assert!(explanation.render(&table).ends_with("result: redirected to https\n"));
}

#[test]
fn a_refusal_is_explained() {
    let table = table([path_regex("/b*("), path_regex("/a("), RouteMatch::default()]);
    let (router, _) = Router::compile(&table);
    let text = router.explain(&get("/ab").head()).render(&table);
    assert!(
        text.ends_with("refused, it could not be compiled\nresult: 500, route 0 was refused\n"),
        "{text}"
    );
    let text = router.explain(&get("*").head()).render(&table);
    assert!(
        text.contains(r#"path is "*", wanted a regex that was refused and would begin with "/a""#),
        "{text}"
    );
}
