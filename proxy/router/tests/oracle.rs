//! The router against a matcher that is written straight from the contract's documentation: every host pattern and
//! every route is tried in turn, with no index and no shortcuts.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use http::{HeaderMap, HeaderName, HeaderValue};
use postern_router::{Lookup, PathMatched, RequestHead, Router, Verdict};
use postern_snapshot::{
    HostPattern, Port,
    model::{
        Forward, HeaderMatch, HeaderOps, HttpsRedirect, PathMatch, QueryMatch, Route, RouteAction,
        RouteMatch, RouteTable, StringMatch, ValueMatch, VirtualHost,
    },
};
use proptest::{collection::vec, option, prelude::*, sample::select};

// ---- The oracle ----

/// What a match says about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    No,
    Yes(PathMatched),
    /// It has an expression that cannot be compiled, and everything else holds.
    Refused,
}

/// A condition that may not be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    No,
    Yes,
    Unknown,
}

fn known(holds: bool) -> Known {
    if holds { Known::Yes } else { Known::No }
}

fn oracle(table: &RouteTable, head: &RequestHead<'_>) -> Lookup {
    let rank = |pattern: &HostPattern| match pattern {
        HostPattern::Exact(_) => (2, 0),
        HostPattern::Suffix(suffix) => (1, suffix.len()),
        HostPattern::Any => (0, 0),
    };
    let domains = table.virtual_hosts.iter().enumerate();
    let domains = domains.flat_map(|(index, host)| host.domains.iter().map(move |domain| (index, domain)));
    let covering = domains.filter(|(_, domain)| domain.matches(head.host));
    let Some((index, _)) = covering.max_by_key(|(_, domain)| rank(domain)) else { return Lookup::NoHost };
    let virtual_host = &table.virtual_hosts[index];
    if let Some(redirect) = virtual_host.https_redirect.filter(|_| head.scheme != "https") {
        return Lookup::HttpsRedirect { virtual_host: index, redirect };
    }
    for (route_index, route) in virtual_host.routes.iter().enumerate() {
        let always = [RouteMatch::default()];
        let matches = if route.matches.is_empty() { &always[..] } else { &route.matches[..] };
        for route_match in matches {
            match answer(route_match, head) {
                Answer::No => {}
                Answer::Yes(matched) => {
                    return Lookup::Route { virtual_host: index, route: route_index, matched };
                }
                Answer::Refused => return Lookup::Refused { virtual_host: index, route: route_index },
            }
        }
    }
    Lookup::NoRoute { virtual_host: index }
}

fn answer(route_match: &RouteMatch, head: &RequestHead<'_>) -> Answer {
    let (path, matched) = path(route_match, head.path);
    let mut parts = vec![path];
    let pseudo = [
        (&route_match.method, ":method"),
        (&route_match.scheme, ":scheme"),
        (&route_match.authority, ":authority"),
    ];
    for (wanted, name) in pseudo {
        let value = header_value(name, head);
        let holds = |wanted| value.as_ref().map_or(Known::No, |value| text(wanted, value));
        parts.extend(wanted.as_ref().map(holds));
    }
    parts.extend(route_match.headers.iter().map(|wanted| header(wanted, head)));
    parts.extend(route_match.query.iter().map(|wanted| query(wanted, head.query)));
    if parts.contains(&Known::No) {
        Answer::No
    } else if parts.contains(&Known::Unknown) {
        Answer::Refused
    } else {
        Answer::Yes(matched)
    }
}

fn path(route_match: &RouteMatch, path: &str) -> (Known, PathMatched) {
    let fold = |text: &str| {
        if route_match.ignore_path_case { text.to_ascii_lowercase() } else { text.to_owned() }
    };
    match &route_match.path {
        None => (Known::Yes, PathMatched::None),
        Some(PathMatch::Exact(wanted)) => (known(fold(path) == fold(wanted)), PathMatched::Exact),
        Some(PathMatch::Prefix(wanted)) => {
            (known(fold(path).starts_with(&fold(wanted))), PathMatched::Prefix(wanted.len()))
        }
        Some(PathMatch::PathSeparatedPrefix(wanted)) => {
            let wanted = wanted.strip_suffix('/').unwrap_or(wanted);
            let same = fold(path) == fold(wanted);
            let below = fold(path).starts_with(&format!("{}/", fold(wanted)));
            (known(same || below), PathMatched::Segments(wanted.len()))
        }
        Some(PathMatch::Regex(pattern)) => (regex(pattern, path.as_bytes()), PathMatched::Regex),
    }
}

fn text(wanted: &StringMatch, value: &[u8]) -> Known {
    match wanted {
        StringMatch::Exact(text) => known(value == text.as_bytes()),
        StringMatch::Prefix(text) => known(value.starts_with(text.as_bytes())),
        StringMatch::Regex(pattern) => regex(pattern, value),
    }
}

/// Expressions that both syntaxes read alike.
const GOOD: [&str; 14] = [
    "/a.*",
    "/[ab]+/?",
    "(?i)/A/b",
    "/a|/b",
    ".*",
    "",
    "/a/(a|b)",
    ".*/b",
    "/[^/]+/b(/.*)?",
    "(/a)*",
    "a|b|ab|a,b",
    "a+",
    "[^b]*",
    "/(%C3%A9)?.{2}",
];

/// Expressions that are none, and the text that a match of them would begin with.
const BAD: [(&str, &str); 6] =
    [("(", ""), ("/a(", "/a"), ("/a*[", "/"), ("/a/)b", "/a/"), ("(a|b", ""), ("a)", "a")];

fn regex(pattern: &str, value: &[u8]) -> Known {
    if let Some((_, beginning)) = BAD.iter().find(|(bad, _)| *bad == pattern) {
        return if value.starts_with(beginning.as_bytes()) { Known::Unknown } else { Known::No };
    }
    let regex = regex::bytes::Regex::new(&format!("^(?:{pattern})$")).unwrap();
    known(regex.is_match(value))
}

fn header(wanted: &HeaderMatch, head: &RequestHead<'_>) -> Known {
    let value = header_value(&wanted.name, head);
    let holds = match (&wanted.value, &value) {
        (ValueMatch::Present, value) => known(value.is_some()),
        (ValueMatch::String(wanted), Some(value)) => text(wanted, value),
        (ValueMatch::String(_), None) if !wanted.invert => Known::No,
        (ValueMatch::String(wanted), None) => text(wanted, b""),
    };
    let is_bad = |wanted: &StringMatch| matches!(wanted, StringMatch::Regex(pattern) if BAD.iter().any(|(bad, _)| bad == pattern));
    match (&wanted.value, wanted.invert) {
        (_, false) => holds,
        // Nobody knows what it would have excluded.
        (ValueMatch::String(wanted), true) if is_bad(wanted) => Known::Unknown,
        (_, true) => known(holds == Known::No),
    }
}

fn header_value(name: &str, head: &RequestHead<'_>) -> Option<Vec<u8>> {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    match name {
        ":method" => text(head.method),
        ":scheme" => text(head.scheme),
        ":authority" | "host" if head.authority.is_empty() => None,
        ":authority" | "host" => text(head.authority),
        ":path" => match head.query {
            Some(query) => text(&format!("{}?{query}", head.path)),
            None => text(head.path),
        },
        name => {
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            let values: Vec<&[u8]> = head.headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
            let separator = if name == "cookie" { &b"; "[..] } else { &b","[..] };
            (!values.is_empty()).then(|| values.join(separator))
        }
    }
}

fn query(wanted: &QueryMatch, query: Option<&str>) -> Known {
    let mut parameters = query.unwrap_or_default().split('&').collect::<Vec<_>>();
    if parameters.last() == Some(&"") {
        parameters.pop();
    }
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if name == wanted.name {
            return match &wanted.value {
                ValueMatch::Present => Known::Yes,
                ValueMatch::String(wanted) => text(wanted, value.as_bytes()),
            };
        }
    }
    Known::No
}

// ---- What is tried: few letters, so that things meet ----

fn path_text() -> impl Strategy<Value = String> {
    let segment = select(vec!["", "a", "b", "A", "aa", "ab", "%C3%A9", "a%2Fb", "é"]);
    prop_oneof![
        20 => vec(segment, 0..4).prop_map(|segments| format!("/{}", segments.join("/"))),
        1 => Just("*".to_owned()),
        1 => Just(String::new()),
    ]
}

/// A path, often cut off somewhere.
fn prefix_text() -> impl Strategy<Value = String> {
    (path_text(), 0..12_usize).prop_map(|(path, length)| path.get(..length).unwrap_or(&path).to_owned())
}

fn pattern() -> impl Strategy<Value = String> {
    let bad: Vec<&str> = BAD.iter().map(|(bad, _)| *bad).collect();
    prop_oneof![3 => select(GOOD.to_vec()), 1 => select(bad)].prop_map(str::to_owned)
}

fn path_match() -> impl Strategy<Value = PathMatch> {
    prop_oneof![
        3 => path_text().prop_map(PathMatch::Exact),
        3 => prefix_text().prop_map(PathMatch::Prefix),
        3 => prefix_text().prop_map(PathMatch::PathSeparatedPrefix),
        2 => pattern().prop_map(PathMatch::Regex),
    ]
}

fn string_match(texts: &'static [&'static str]) -> impl Strategy<Value = StringMatch> {
    let text = || select(texts.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        3 => text().prop_map(StringMatch::Exact),
        2 => text().prop_map(StringMatch::Prefix),
        1 => pattern().prop_map(StringMatch::Regex),
    ]
}

const VALUES: &[&str] = &["", "a", "b", "ab", "a,b", "a; b", "/a", "/a?a=1", "GET", "a.b:80"];
const HEADERS: &[&str] =
    &["x-a", "x-b", "cookie", "host", ":method", ":scheme", ":authority", ":path", ":status", "bad name"];
const METHODS: &[&str] = &["GET", "POST", "G", ""];
const SCHEMES: &[&str] = &["http", "https"];
const AUTHORITIES: &[&str] = &["a.b", "A.b", "a.b:80", ""];
const HOSTS: &[&str] = &["", "a", "b", "a.b", "b.b", "a.a.b", "b.a.b", "a.a.a.b", ".b", "ab", "a.ab"];
const DOMAINS: &[&str] = &["*", "a", "a.b", "a.a.b", "*.b", "*.a.b", "*.a.a.b", "*.ab"];

fn value_match() -> impl Strategy<Value = ValueMatch> {
    prop_oneof![
        1 => Just(ValueMatch::Present),
        4 => string_match(VALUES).prop_map(ValueMatch::String),
    ]
}

prop_compose! {
    fn header_match()(name in select(HEADERS.to_vec()), value in value_match(), invert: bool) -> HeaderMatch {
        HeaderMatch { name: name.to_owned(), value, invert }
    }
}

prop_compose! {
    fn query_match()(name in select(vec!["a", "b", ""]), value in value_match()) -> QueryMatch {
        QueryMatch { name: name.to_owned(), value }
    }
}

prop_compose! {
    fn route_match()(
        path in option::weighted(0.8, path_match()),
        ignore_path_case: bool,
        method in option::weighted(0.1, string_match(METHODS)),
        scheme in option::weighted(0.1, string_match(SCHEMES)),
        authority in option::weighted(0.1, string_match(AUTHORITIES)),
        headers in prop_oneof![3 => Just(Vec::new()), 1 => vec(header_match(), 1..3)],
        query in prop_oneof![5 => Just(Vec::new()), 1 => vec(query_match(), 1..3)],
    ) -> RouteMatch {
        RouteMatch { path, ignore_path_case, method, scheme, authority, headers, query }
    }
}

fn route() -> impl Strategy<Value = Route> {
    // A route without matches ends everything, so it is rare.
    let matches = prop_oneof![1 => Just(Vec::new()), 20 => vec(route_match(), 1..4)];
    matches.prop_map(|matches| Route {
        name: String::new(),
        origin: "VirtualService/default/test".to_owned(),
        matches,
        action: RouteAction::Forward(Forward::default()),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
        filters: Default::default(),
        cors: None,
    })
}

fn table() -> impl Strategy<Value = RouteTable> {
    let redirect = option::weighted(0.1, Just(HttpsRedirect { port: Port::new(8443) }));
    let hosts = vec((vec(route(), 0..12), redirect), 1..4);
    let domains = Just(DOMAINS.to_vec()).prop_shuffle();
    (hosts, domains, 2..=DOMAINS.len()).prop_map(|(hosts, domains, count)| {
        let mut virtual_hosts: Vec<VirtualHost> = hosts
            .into_iter()
            .map(|(routes, https_redirect)| VirtualHost {
                name: "test:80".to_owned(),
                domains: Vec::new(),
                https_redirect,
                request_headers: Default::default(),
                response_headers: Default::default(),
                filters: Default::default(),
                routes,
            })
            .collect();
        let places = virtual_hosts.len();
        for (place, domain) in domains.iter().take(count).enumerate() {
            virtual_hosts[place % places].domains.push(domain.parse().unwrap());
        }
        RouteTable { virtual_hosts }
    })
}

#[derive(Debug, Clone)]
struct Request {
    host: &'static str,
    authority: &'static str,
    scheme: &'static str,
    method: &'static str,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Request {
    fn head(&self) -> RequestHead<'_> {
        RequestHead {
            host: self.host,
            authority: self.authority,
            scheme: self.scheme,
            method: self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        }
    }
}

fn headers() -> impl Strategy<Value = HeaderMap> {
    let values: Vec<&[u8]> = vec![b"", b"a", b"b", b"ab", b"a,b", b"\xff", b"/a"];
    vec((select(vec!["x-a", "x-b", "cookie", "host"]), select(values)), 0..5).prop_map(|fields| {
        let field = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap());
        let mut headers = HeaderMap::new();
        fields.into_iter().map(field).for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    })
}

fn query_text() -> impl Strategy<Value = String> {
    vec(select(vec!["a", "a=", "a=a", "a=b", "b=a", "", "=a", "a=/a"]), 0..4)
        .prop_map(|parts| parts.join("&"))
}

prop_compose! {
    fn request()(
        host in select(HOSTS.to_vec()),
        authority in select(AUTHORITIES.to_vec()),
        scheme in select(SCHEMES.to_vec()),
        method in select(METHODS.to_vec()),
        path in path_text(),
        query in option::of(query_text()),
        headers in headers(),
    ) -> Request {
        Request { host, authority, scheme, method, path, query, headers }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn the_router_finds_what_reading_the_table_finds(table in table(), requests in vec(request(), 16)) {
        let (router, _) = Router::compile(&table);
        for request in requests {
            let head = request.head();
            let expected = oracle(&table, &head);
            prop_assert_eq!(router.route(&head), expected, "{:?}", request);

            let explanation = router.explain(&head);
            prop_assert_eq!(explanation.lookup, expected, "{:?}", request);
            for (place, test) in explanation.tests.iter().enumerate() {
                let route = &table.virtual_hosts[explanation.virtual_host.unwrap()].routes[test.route];
                let answer = route.matches.get(test.match_index).map(|route_match| answer(route_match, &head));
                match &test.verdict {
                    Verdict::Fails(reasons) => {
                        prop_assert_eq!(answer, Some(Answer::No));
                        prop_assert!(!reasons.is_empty());
                    }
                    Verdict::Refused => prop_assert_eq!(answer, Some(Answer::Refused)),
                    Verdict::Matches => prop_assert!(matches!(answer, None | Some(Answer::Yes(_)))),
                }
                let last = place + 1 == explanation.tests.len();
                prop_assert!(last || matches!(test.verdict, Verdict::Fails(_)));
            }
        }
    }
}

/// The generators must not test the same trivial outcome over and over.
#[test]
fn the_generators_reach_every_outcome() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let mut counts = [0_usize; 5];
    let mut later_routes = 0_usize;
    for _ in 0..400 {
        let table = table().new_tree(&mut runner).unwrap().current();
        let requests = vec(request(), 8).new_tree(&mut runner).unwrap().current();
        for request in requests {
            let outcome = match oracle(&table, &request.head()) {
                Lookup::NoHost => 0,
                Lookup::NoRoute { .. } => 1,
                Lookup::HttpsRedirect { .. } => 2,
                Lookup::Route { route, .. } => {
                    later_routes += usize::from(route >= 3);
                    3
                }
                Lookup::Refused { .. } => 4,
            };
            counts[outcome] += 1;
        }
    }
    assert!(counts.iter().all(|count| *count > 50), "{counts:?}");
    assert!(later_routes > 200, "{later_routes}");
}
