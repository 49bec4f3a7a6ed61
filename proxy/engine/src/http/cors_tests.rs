#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn policy() -> model::CorsPolicy {
    model::CorsPolicy::default()
}

fn preflight(origin: &str) -> request::Parts {
    let request = http::Request::builder().method(Method::OPTIONS);
    let request = request.header("origin", origin).header("access-control-request-method", "PUT");
    request.body(()).unwrap().into_parts().0
}

#[test]
fn origins_are_allowed_in_four_ways() {
    let exact = |text: &str| StringMatch::Exact(text.into());
    for (allowed, origin, expected) in [
        (exact("https://a.example"), "https://a.example", true),
        (exact("https://a.example"), "https://a.example:8443", false),
        (exact("https://a.example"), "http://a.example", false),
        (exact("*"), "https://a.example", true),
        (exact("*"), "null", true),
        (StringMatch::Prefix("https://a.".into()), "https://a.example", true),
        (StringMatch::Prefix("https://a.".into()), "https://b.example", false),
        (StringMatch::Regex(r"https://.*\.example".into()), "https://a.b.example", true),
        (StringMatch::Regex(r"https://.*\.example".into()), "https://a.example.org", false),
    ] {
        let cors =
            Cors::compile(&model::CorsPolicy { allow_origins: vec![allowed.clone()], ..policy() }).unwrap();
        let verdict = cors.judge(&preflight(origin));
        assert_eq!(verdict.origin.is_some(), expected, "{allowed:?} {origin}");
        assert_eq!(verdict.answer.is_some(), expected, "{allowed:?} {origin}");
    }
}

#[test]
fn only_a_preflight_is_answered() {
    let cors = Cors::compile(&model::CorsPolicy {
        allow_origins: vec![StringMatch::Exact("https://a.example".into())],
        ignore_unmatched_preflights: true,
        ..policy()
    })
    .unwrap();
    let mut get = preflight("https://a.example");
    get.method = Method::GET;
    let verdict = cors.judge(&get);
    assert_eq!((verdict.origin.is_some(), verdict.answer), (true, None));
    let mut options = preflight("https://a.example");
    options.headers.remove("access-control-request-method");
    assert_eq!(cors.judge(&options).answer, None);
    options.headers.remove("origin");
    assert_eq!(cors.judge(&options), Verdict { origin: None, answer: None });
    assert_eq!(cors.judge(&preflight("https://b.example")).answer, Some(HeaderMap::new()));
}

#[test]
fn a_star_is_what_is_asked_for() {
    let star = || vec!["*".to_owned()];
    let cors = Cors::compile(&model::CorsPolicy {
        allow_origins: vec![StringMatch::Exact("*".into())],
        allow_methods: star(),
        allow_headers: star(),
        expose_headers: vec!["*".into(), "x-a".into()],
        allow_credentials: true,
        ..policy()
    })
    .unwrap();
    let mut request = preflight("https://a.example");
    let answer = cors.judge(&request).answer.unwrap();
    assert_eq!(answer["access-control-allow-methods"], "PUT");
    assert!(!answer.contains_key("access-control-allow-headers"), "none is asked for");
    request.headers.insert("access-control-request-headers", HeaderValue::from_static("x-a, x-b"));
    assert_eq!(cors.judge(&request).answer.unwrap()["access-control-allow-headers"], "x-a, x-b");
    let mut headers = HeaderMap::new();
    cors.tell(cors.judge(&request).origin.as_ref(), &mut headers);
    assert_eq!(headers["access-control-expose-headers"], "x-a", "* is no wildcard beside credentials");
}

#[test]
fn caches_are_told_once() {
    let cors = Cors::compile(&policy()).unwrap();
    for (before, after) in [
        (None, vec!["origin"]),
        (Some("accept-encoding"), vec!["accept-encoding", "origin"]),
        (Some("accept, Origin"), vec!["accept, Origin"]),
        (Some("*"), vec!["*"]),
    ] {
        let mut headers = HeaderMap::new();
        if let Some(before) = before {
            headers.insert("vary", HeaderValue::from_static(before));
        }
        cors.tell(None, &mut headers);
        let vary: Vec<_> = headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!(vary, after);
    }
}

#[test]
fn what_cannot_be_said_is_refused() {
    let bad = [
        model::CorsPolicy { allow_origins: vec![StringMatch::Regex("(".into())], ..policy() },
        model::CorsPolicy { allow_methods: vec!["GET\n".into()], ..policy() },
        model::CorsPolicy { expose_headers: vec!["\u{7f}".into()], ..policy() },
    ];
    for policy in bad {
        assert!(Cors::compile(&policy).unwrap_err().starts_with("CORS: "), "{policy:?}");
    }
}
