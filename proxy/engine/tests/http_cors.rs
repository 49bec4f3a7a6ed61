//! Cross-origin resource sharing between real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use http::{Method, Request, Response};
use http_support::*;
use postern_snapshot::model::{
    CorsPolicy, DirectResponse, HeaderOps, LocalRateLimit, Redirect, RedirectPort, Route, RouteAction,
    StringMatch, Target, TokenBucket, UpstreamProtocol::Http1,
};

fn exact(origin: &str) -> StringMatch {
    StringMatch::Exact(origin.into())
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

fn at(path: &str, cors: CorsPolicy) -> Route {
    Route { matches: prefix(path), cors: Some(cors), ..route(RouteAction::Forward(forward())) }
}

/// As the Gateway API's filters are translated.
fn policy(origins: Vec<StringMatch>) -> CorsPolicy {
    CorsPolicy {
        allow_origins: origins,
        max_age: Some(5),
        ignore_unmatched_preflights: true,
        ..CorsPolicy::default()
    }
}

fn ask(method: &str, path: &str, fields: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(path);
    let request = request.header("host", "a.example");
    fields
        .iter()
        .fold(request, |request, (name, value)| request.header(*name, *value))
        .body(full(""))
        .unwrap()
}

/// The routes of the suite's `httproute-cors.yaml`.
fn suite_routes() -> Vec<Route> {
    let any = || vec![StringMatch::Regex(".*".into())];
    let star = || names(&["*"]);
    vec![
        at(
            "/cors-1",
            CorsPolicy {
                allow_methods: names(&["GET", "OPTIONS"]),
                allow_headers: names(&["x-header-1", "x-header-2"]),
                expose_headers: names(&["x-header-3", "x-header-4"]),
                allow_credentials: true,
                max_age: Some(3600),
                ..policy(vec![
                    exact("https://www.foo.com"),
                    StringMatch::Regex(r"https://[^/:]+\.bar\.com".into()),
                ])
            },
        ),
        at("/cors-2", CorsPolicy { allow_methods: star(), ..policy(vec![exact("https://www.foo.com")]) }),
        at("/cors-wildcard-origin", CorsPolicy { allow_methods: names(&["PUT"]), ..policy(any()) }),
        at(
            "/cors-wildcard-methods-headers-unauth",
            CorsPolicy { allow_methods: star(), allow_headers: star(), ..policy(any()) },
        ),
        at(
            "/cors-wildcard-methods-headers",
            CorsPolicy {
                allow_methods: star(),
                allow_headers: star(),
                allow_credentials: true,
                ..policy(any())
            },
        ),
    ]
}

/// What is asked; what of the answer's CORS headers there is.
struct Case {
    ask: (&'static str, &'static str, &'static str),
    headers: bool,
    told: &'static [(&'static str, &'static str)],
}

const ORIGIN: &str = "access-control-allow-origin";
const METHODS: &str = "access-control-allow-methods";
const HEADERS: &str = "access-control-allow-headers";
const EXPOSE: &str = "access-control-expose-headers";
const AGE: &str = "access-control-max-age";
const CREDENTIALS: &str = "access-control-allow-credentials";

/// The cases of the suite's `httproute-cors.go`; the method asked for is in the request's place.
const CASES: [Case; 15] = [
    case_1("https://www.foo.com"),
    case_1("https://www.bar.com"),
    case_1("https://xpto.www.bar.com"),
    Case { ask: ("OPTIONS", "/cors-1 GET", "https://foobar.com"), headers: false, told: &[] },
    simple_1("https://www.foo.com"),
    simple_1("https://www.bar.com"),
    Case { ask: ("GET", "/cors-1 GET", "https://foobar.com"), headers: false, told: &[] },
    Case {
        ask: ("OPTIONS", "/cors-2 POST", "https://www.foo.com"),
        headers: false,
        told: &[(ORIGIN, "="), (METHODS, "POST"), (AGE, "5")],
    },
    wildcard("https://foobar.com"),
    wildcard("https://foobar.com:12345"),
    Case {
        ask: ("PUT", "/cors-wildcard-origin", "https://foobar.com:12345"),
        headers: false,
        told: &[(ORIGIN, "=")],
    },
    Case {
        ask: ("OPTIONS", "/cors-wildcard-methods-headers PUT", "https://other.foo.com"),
        headers: true,
        told: &[
            (ORIGIN, "="),
            (METHODS, "PUT"),
            (HEADERS, "x-header-1, x-header-2"),
            (AGE, "5"),
            (CREDENTIALS, "true"),
        ],
    },
    Case {
        ask: ("OPTIONS", "/cors-wildcard-methods-headers-unauth PUT", "https://other.foo.com"),
        headers: true,
        told: &[(ORIGIN, "="), (METHODS, "PUT"), (HEADERS, "x-header-1, x-header-2"), (AGE, "5")],
    },
    Case {
        ask: ("GET", "/cors-wildcard-methods-headers", "https://other.foo.com"),
        headers: false,
        told: &[(ORIGIN, "="), (CREDENTIALS, "true")],
    },
    Case {
        ask: ("GET", "/cors-wildcard-methods-headers-unauth", "https://other.foo.com"),
        headers: false,
        told: &[(ORIGIN, "=")],
    },
];

const fn case_1(origin: &'static str) -> Case {
    Case {
        ask: ("OPTIONS", "/cors-1 GET", origin),
        headers: true,
        told: &[
            (ORIGIN, "="),
            (METHODS, "GET,OPTIONS"),
            (HEADERS, "x-header-1,x-header-2"),
            (EXPOSE, "x-header-3,x-header-4"),
            (AGE, "3600"),
            (CREDENTIALS, "true"),
        ],
    }
}

const fn simple_1(origin: &'static str) -> Case {
    Case {
        ask: ("GET", "/cors-1 GET", origin),
        headers: true,
        told: &[(ORIGIN, "="), (EXPOSE, "x-header-3,x-header-4"), (CREDENTIALS, "true")],
    }
}

const fn wildcard(origin: &'static str) -> Case {
    Case {
        ask: ("OPTIONS", "/cors-wildcard-origin PUT", origin),
        headers: false,
        told: &[(ORIGIN, "="), (METHODS, "PUT"), (AGE, "5")],
    }
}

#[test]
fn the_cases_of_the_gateway_apis_suite() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.table = hosts(&["*"], suite_routes());
        let proxy = setup.start().await;
        for Case { ask: (method, path, origin), headers, told } in CASES {
            let (path, asked) = path.split_once(' ').unwrap_or((path, ""));
            let mut fields = vec![("origin", origin)];
            if !asked.is_empty() {
                fields.push(("access-control-request-method", asked));
            }
            if headers {
                fields.push(("access-control-request-headers", "x-header-1, x-header-2"));
            }
            let answer = proxy.send(ask(method, path, &fields)).await;
            assert_eq!(answer.status, 200, "{method} {path} {origin}");
            // An answer of the backend has a body.
            assert_eq!(answer.body.is_empty(), method == "OPTIONS", "{method} {path} {origin}");
            let expected: Vec<_> = told
                .iter()
                .map(|(name, value)| (*name, if *value == "=" { origin } else { value }))
                .collect();
            let found: Vec<_> = [ORIGIN, METHODS, HEADERS, EXPOSE, AGE, CREDENTIALS]
                .into_iter()
                .map(|name| (name, answer.header(name)))
                .filter(|(_, value)| !value.is_empty())
                .collect();
            assert_eq!(found, expected, "{method} {path} {origin}");
            assert_eq!(answer.header("vary"), "origin");
        }
    });
}

/// Istio's default: what does not fit is the destination's concern.
#[test]
fn an_unmatched_preflight_may_go_to_the_upstream() {
    run(async {
        let backend = backend(|_| async {
            let answer =
                Response::builder().header(ORIGIN, "https://of.the.backend").header("vary", "Origin");
            answer.body(full("answered")).unwrap()
        })
        .await;
        let mut policy = policy(vec![exact("https://www.foo.com")]);
        policy.ignore_unmatched_preflights = false;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.table = hosts(&["*"], vec![at("/", policy)]);
        let proxy = setup.start().await;
        let preflight = |origin| [("origin", origin), ("access-control-request-method", "GET")];
        let answer = proxy.send(ask("OPTIONS", "/", &preflight("https://other.com"))).await;
        assert_eq!((answer.body.as_str(), answer.header(ORIGIN)), ("answered", "https://of.the.backend"));
        assert_eq!(answer.headers.get_all("vary").iter().count(), 1);
        let answer = proxy.send(ask("OPTIONS", "/", &preflight("https://www.foo.com"))).await;
        assert_eq!((answer.body.as_str(), answer.header(ORIGIN)), ("", "https://www.foo.com"));
        // OPTIONS that is no preflight; what the backend says is written over.
        let answer = proxy.send(ask("OPTIONS", "/", &[("origin", "https://www.foo.com")])).await;
        assert_eq!((answer.body.as_str(), answer.header(ORIGIN)), ("answered", "https://www.foo.com"));
        let answer = proxy.send(ask("GET", "/", &[])).await;
        assert_eq!((answer.body.as_str(), answer.header(ORIGIN)), ("answered", "https://of.the.backend"));
    });
}

#[test]
fn answers_of_the_proxy_itself_may_be_seen_too() {
    run(async {
        let redirect = RouteAction::Redirect(Redirect {
            status: 302,
            scheme: None,
            host: Some("other.example".into()),
            port: RedirectPort::FromHost,
            path: None,
        });
        let direct = RouteAction::DirectResponse(DirectResponse { status: 418, body: None });
        let mut nowhere = forward();
        nowhere.targets[0].target = Target::Unavailable { status: 503 };
        let mut setup = Setup::forwarding(Http1, &[nobody().await]);
        let mut routes = Vec::new();
        for (path, action) in [
            ("/redirect", redirect),
            ("/direct", direct),
            ("/nowhere", RouteAction::Forward(nowhere)),
            ("/dead", RouteAction::Forward(forward())),
        ] {
            let mut route = at(path, policy(vec![exact("https://www.foo.com")]));
            route.action = action;
            // CORS is said after them, and not in preflights.
            route.response_headers = HeaderOps {
                set: vec![("x-route".into(), "yes".into()), (ORIGIN.into(), "https://other.com".into())],
                ..HeaderOps::default()
            };
            routes.push(route);
        }
        setup.table = hosts(&["*"], routes);
        let proxy = setup.start().await;
        let origin = ("origin", "https://www.foo.com");
        for (path, status) in [("/redirect", 302), ("/direct", 418), ("/nowhere", 503), ("/dead", 503)] {
            let answer = proxy.send(ask("GET", path, &[origin])).await;
            assert_eq!((answer.status, answer.header(ORIGIN)), (status, "https://www.foo.com"), "{path}");
            let preflight = ask("OPTIONS", path, &[origin, ("access-control-request-method", "GET")]);
            let answer = proxy.send(preflight).await;
            assert_eq!((answer.status, answer.header(ORIGIN)), (200, "https://www.foo.com"), "{path}");
            assert_eq!((answer.header("x-route"), answer.header("location")), ("", ""), "{path}");
        }
        let answer = proxy.send(ask("GET", "/none", &[origin])).await;
        assert_eq!((answer.status, answer.header(ORIGIN)), (404, ""));
    });
}

/// A limit counts preflights, and pages see that they are over it.
#[test]
fn rate_limits_come_first() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.filters.local_rate_limits = vec![LocalRateLimit {
            name: "envoy.filters.http.local_ratelimit".into(),
            origin: String::new(),
            stat_prefix: "test".into(),
            token_bucket: Some(TokenBucket {
                max_tokens: 1,
                tokens_per_fill: 1,
                fill_interval: std::time::Duration::from_secs(3600),
            }),
            status: None,
            response_headers: HeaderOps::default(),
            x_ratelimit_headers: false,
            rate_limited_as_resource_exhausted: false,
        }];
        setup.table = hosts(&["*"], vec![at("/", policy(vec![exact("https://www.foo.com")]))]);
        let proxy = setup.start().await;
        let preflight = || {
            ask(
                "OPTIONS",
                "/",
                &[("origin", "https://www.foo.com"), ("access-control-request-method", "GET")],
            )
        };
        for status in [200, 429] {
            let answer = proxy.send(preflight()).await;
            assert_eq!((answer.status, answer.header(ORIGIN)), (status, "https://www.foo.com"));
        }
    });
}

#[test]
fn a_policy_that_cannot_be_read_costs_its_route() {
    run(async {
        let backend = backend(echo).await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.table = hosts(&["*"], vec![at("/", policy(vec![StringMatch::Regex("(".into())]))]);
        let proxy = setup.start().await;
        assert!(proxy.refused[0].problem.starts_with("CORS: "), "{:?}", proxy.refused);
        assert_eq!(proxy.get("a.example", "/").await.status, 500);
    });
}
