#![allow(clippy::needless_pass_by_value, reason = "`json!` at each call reads better without `&`")]

use serde_json::{Value, json};

use crate::istio::virtual_service::VirtualService;
use crate::validate::testing::{lines, lines_of};

const NONE: [&str; 0] = [];

fn spec(spec: &Value) -> Vec<String> {
    lines::<VirtualService>(spec)
}

/// The findings of one HTTP rule, without the place of the rule: level, place in it, message.
fn rule(rule: &Value) -> Vec<String> {
    let spec = json!({"hosts": ["a.com"], "gateways": ["web"], "http": [rule]});
    let lines = lines::<VirtualService>(&spec).into_iter();
    lines.map(|line| line.replacen("spec.http[0]", "", 1).replacen(": .", ": ", 1)).collect()
}

fn route() -> Value {
    json!([{"destination": {"host": "app"}}])
}

/// A rule with a route and this beside it.
fn with(field: &str, value: Value) -> Vec<String> {
    let mut fields = json!({"route": route()});
    fields[field] = value;
    rule(&fields)
}

/// A rule with a route and a match that has this.
fn matching(field: &str, value: Value) -> Vec<String> {
    with("match", json!([{ field: value }]))
}

#[test]
fn a_good_virtual_service_has_no_findings() {
    assert_eq!(with("name", json!("app")), NONE);
    assert_eq!(rule(&json!({"redirect": {"uri": "/new"}})), NONE);
    assert_eq!(rule(&json!({"directResponse": {"status": 503, "body": {"string": "no"}}})), NONE);
    assert_eq!(rule(&json!({"delegate": {"name": "other"}})), NONE);
    assert_eq!(spec(&json!({"http": [{"route": route()}]})), NONE);
}

#[test]
fn there_is_a_rule() {
    assert_eq!(
        spec(&json!({"hosts": ["a.com"]})),
        ["error: spec: one of http, tls and tcp must be given [IST0106]"]
    );
}

#[test]
fn delegates_have_http_only() {
    assert_eq!(
        spec(&json!({"gateways": ["web"], "http": [{"route": route()}], "tcp": [{"route": route()}]})),
        [
            "error: spec.hosts: without hosts this is a delegate, and gateways is not for delegates; give hosts, or leave gateways out [IST0106]",
            "error: spec.hosts: without hosts this is a delegate, and tcp is not for delegates; give hosts, or leave tcp out [IST0106]",
        ]
    );
}

#[test]
fn hosts_do_not_overlap() {
    let hosts = |hosts: Value, gateways: Value| {
        spec(&json!({"hosts": hosts, "gateways": gateways, "http": [{"route": route()}]}))
    };
    assert_eq!(hosts(json!(["a.com", "b.com", "*.b.com"]), json!(["web"])), NONE);
    assert_eq!(
        hosts(json!(["x.b.com", "a.com", "*.b.com", "a.com"]), json!(["web"])),
        [
            "warning: spec.hosts[0]: x.b.com is there twice: *.b.com holds it already [IST0133]",
            "warning: spec.hosts[3]: a.com is there twice: a.com holds it already [IST0133]",
        ]
    );
    assert_eq!(hosts(json!(["*"]), json!(["web"])), NONE);
    let for_mesh = [
        r#"error: spec.hosts[0]: "*" is not allowed for sidecars: gateways is left out, or names mesh [IST0106]"#,
    ];
    assert_eq!(hosts(json!(["*"]), json!([])), for_mesh);
    assert_eq!(hosts(json!(["*"]), json!(["web", "mesh"])), for_mesh);
}

#[test]
fn exports_are_checked() {
    assert_eq!(
        spec(&json!({"hosts": ["a.com"], "http": [{"route": route()}], "exportTo": ["ns", "."]})),
        [r#"error: spec.exportTo[1]: . is there twice, by its name or as "." [IST0106]"#]
    );
}

#[test]
fn a_rule_has_one_action() {
    assert_eq!(
        rule(&json!({})),
        ["error: : one of route, redirect, directResponse and delegate is needed [IST0106]"]
    );
    let redirect = json!({"uri": "/"});
    let response = json!({"status": 200});
    assert_eq!(
        rule(&json!({"route": route(), "redirect": redirect})),
        ["error: redirect: redirect cannot stand beside route [IST0106]"]
    );
    assert_eq!(
        rule(&json!({"route": route(), "directResponse": response})),
        ["error: directResponse: directResponse cannot stand beside route [IST0106]"]
    );
    assert_eq!(
        rule(&json!({"redirect": redirect, "directResponse": response})),
        ["error: redirect: redirect cannot stand beside directResponse [IST0106]"]
    );
    assert_eq!(
        rule(&json!({"delegate": {"name": "a"}, "route": route(), "redirect": redirect})),
        [
            "error: delegate: delegate cannot stand beside route [IST0106]",
            "error: delegate: delegate cannot stand beside redirect [IST0106]",
        ]
    );
}

#[test]
fn what_answers_by_itself_has_no_fault_and_no_rewrite() {
    let fault = json!({"abort": {"httpStatus": 503}});
    let rewrite = json!({"uri": "/"});
    assert_eq!(
        rule(&json!({"redirect": {"uri": "/"}, "fault": fault, "rewrite": rewrite})),
        [
            "error: redirect: redirect cannot stand beside fault [IST0106]",
            "error: redirect: redirect cannot stand beside rewrite [IST0106]",
        ]
    );
    assert_eq!(
        rule(&json!({"directResponse": {"status": 200}, "rewrite": rewrite})),
        ["error: directResponse: directResponse cannot stand beside rewrite [IST0106]"]
    );
}

#[test]
fn destinations_are_services() {
    let destination = |destination: Value| with("route", json!([{ "destination": destination }]));
    assert_eq!(
        destination(json!({"host": "*"})),
        [r#"error: route[0].destination.host: "*" is not a destination [IST0106]"#]
    );
    assert_eq!(destination(json!({"host": ""})).len(), 1);
    assert_eq!(
        destination(json!({"host": "app", "subset": "v 1"})),
        [
            r#"error: route[0].destination.subset: "v 1" is not a subset's name; write letters, digits and dashes, 63 at most [IST0106]"#
        ]
    );
    assert_eq!(
        destination(json!({"host": "app", "port": {}})),
        ["error: route[0].destination.port: the port's number is missing [IST0106]"]
    );
}

#[test]
fn only_what_gateway_api_made_has_empty_destinations() {
    let object = json!({
        "metadata": {"name": "a", "namespace": "ns", "annotations": {"internal.istio.io/route-semantics": "gateway"}},
        "spec": {"hosts": ["a.com"], "gateways": ["web"], "http": [{"route": [{"destination": {"host": ""}}]}]},
    });
    assert_eq!(lines_of::<VirtualService>(object), NONE);
}

#[test]
fn one_weight_is_more_than_0() {
    let weights = |weights: &[u32]| {
        let entry = |weight: &u32| json!({"destination": {"host": "app"}, "weight": weight});
        with("route", weights.iter().map(entry).collect())
    };
    assert_eq!(weights(&[0]), NONE);
    assert_eq!(weights(&[0, 1]), NONE);
    assert_eq!(weights(&[0, 0]), ["error: route: all weights are 0; one at least must be more [IST0106]"]);
}

#[test]
fn timeouts_are_whole_milliseconds() {
    assert_eq!(with("timeout", json!("0s")), NONE);
    assert_eq!(
        with("timeout", json!("1us")),
        ["error: timeout: got 0.000001s; a duration must be 1ms or longer [IST0106]"]
    );
}

#[test]
fn retries_that_are_off_have_no_settings() {
    assert_eq!(with("retries", json!({"attempts": 0})), NONE);
    assert_eq!(
        with("retries", json!({"retryOn": "5xx"})),
        [
            "error: retries.attempts: 0 attempts (or none given) switch retries off, so there is nothing to configure [IST0106]"
        ]
    );
    assert_eq!(
        with("retries", json!({"attempts": 1, "perTryTimeout": "0s", "backoff": "1ns"})),
        [
            "error: retries.perTryTimeout: got 0s; a duration must be 1ms or longer [IST0106]",
            "error: retries.backoff: got 0.000000001s; a duration must be 1ms or longer [IST0106]",
        ]
    );
}

#[test]
fn matches_hold_expressions_and_prefixes() {
    assert_eq!(matching("uri", json!({"prefix": ""})), NONE);
    assert_eq!(
        matching("uri", json!({"regex": "["})),
        [
            r#"error: match[0].uri.regex: "[" is not a regular expression of RE2: unclosed character class [IST0106]"#
        ]
    );
    for field in ["scheme", "method", "authority"] {
        assert_eq!(
            matching(field, json!({"prefix": ""})),
            [format!("error: match[0].{field}.prefix: a prefix must not be empty [IST0106]")]
        );
    }
    assert_eq!(
        matching("queryParams", json!({"q": {"regex": ""}})),
        ["error: match[0].queryParams.q.regex: a regular expression must not be empty [IST0106]"]
    );
}

#[test]
fn matches_name_headers_and_sources() {
    assert_eq!(
        matching(
            "headers",
            json!({"x-a": {}, ":path": {"exact": "/"}, "@request.auth.claims.a": {"exact": "b"}})
        ),
        NONE
    );
    assert_eq!(matching("withoutHeaders", json!({"x-a": {"regex": "*"}})), NONE);
    assert_eq!(
        matching("headers", json!({"a b": {"exact": "c"}})),
        [r#"error: match[0].headers["a b"]: "a b" is not the name of a header [IST0106]"#]
    );
    assert_eq!(
        matching("sourceNamespace", json!("a b")),
        [r#"error: match[0].sourceNamespace: "a b" cannot be the name of a namespace [IST0106]"#]
    );
    assert_eq!(matching("sourceLabels", json!({"a b": "c"})).len(), 1);
}

#[test]
fn headers_that_change_are_headers() {
    let set = |name: &str, value: &str| with("headers", json!({"request": {"set": {name: value}}}));
    assert_eq!(set("x-a", "%REQ(:path)%"), NONE);
    assert_eq!(set("Host", "b.com"), NONE);
    assert_eq!(
        set(":path", "/"),
        [
            r#"error: headers.request.set[":path"]: ":path" is not the name of a header that can be changed [IST0106]"#
        ]
    );
    assert_eq!(
        set("x-a", "50%"),
        [
            r#"error: headers.request.set.x-a: "50%" has a "%" that begins no substitution; write "%%" [IST0106]"#
        ]
    );
    assert_eq!(
        set("x-a", "a\nb"),
        ["error: headers.request.set.x-a: a header's value must not hold control characters [IST0106]"]
    );
    assert_eq!(
        with("headers", json!({"response": {"remove": ["host"]}})),
        [
            "warning: headers.response.remove[0]: host can only be set or added, and only in requests; this is ignored [IST0133]"
        ]
    );
    let of_destination =
        json!([{"destination": {"host": "app"}, "headers": {"request": {"add": {"": "a"}}}}]);
    assert_eq!(with("route", of_destination).len(), 1);
}

#[test]
fn the_authority_is_set_once() {
    let fields = json!({
        "route": route(),
        "rewrite": {"authority": "b.com"},
        "headers": {"request": {"set": {"host": "c.com"}}},
    });
    assert_eq!(
        rule(&fields),
        [
            "warning: headers.request: the authority is set more than once, by rewrite.authority or the headers host and :authority; one of them counts [IST0133]"
        ]
    );
}

#[test]
fn redirects_change_something() {
    let redirect = |redirect: Value| rule(&json!({ "redirect": redirect }));
    assert_eq!(
        redirect(json!({"redirectCode": 302})),
        [
            "error: redirect: one of uri, prefixRewrite, authority, port, derivePort and scheme is needed [IST0106]"
        ]
    );
    assert_eq!(
        redirect(json!({"uri": "/", "prefixRewrite": "/"})),
        ["error: redirect: only one of uri and prefixRewrite may be set [IST0106]"]
    );
    assert_eq!(
        redirect(json!({"uri": "/", "redirectCode": 200, "scheme": "ftp"})),
        [
            "error: redirect.redirectCode: 200 is not a redirect's status; it must be from 300 to 399 [IST0106]",
            r#"error: redirect.scheme: got "ftp"; it must be "http" or "https" [IST0106]"#,
        ]
    );
    assert_eq!(
        rule(&json!({"match": [{"uri": {"exact": "/a"}}], "redirect": {"prefixRewrite": "/b"}})),
        ["error: redirect.prefixRewrite: prefixRewrite needs matches of uri by prefix [IST0106]"]
    );
}

#[test]
fn fixed_responses_have_a_status_and_a_small_body() {
    let response = |status: u16, size: usize| {
        let body = json!({"string": "a".repeat(size)});
        rule(&json!({"directResponse": {"status": status, "body": body}}))
    };
    assert_eq!(response(599, 100 * 1024), NONE);
    assert_eq!(
        response(199, 0),
        [
            "error: directResponse.status: 199 is not a response's status; it must be from 200 to 599 [IST0106]"
        ]
    );
    assert_eq!(
        response(200, 100 * 1024 + 1),
        [
            "warning: directResponse.body: the body has 102401 bytes; large ones burden everything that configuration goes through [IST0133]"
        ]
    );
    assert_eq!(
        response(200, 1024 * 1024 + 1),
        ["error: directResponse.body: the body has 1048577 bytes; at most 1048576 are allowed [IST0106]"]
    );
}

#[test]
fn rewrites_change_something() {
    assert_eq!(
        with("rewrite", json!({})),
        ["error: rewrite: one of uri, uriRegexRewrite and authority is needed [IST0106]"]
    );
    assert_eq!(
        with("rewrite", json!({"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}})),
        ["error: rewrite: only one of uri and uriRegexRewrite may be set [IST0106]"]
    );
    assert_eq!(
        with("rewrite", json!({"uriRegexRewrite": {"match": "("}})),
        [
            r#"error: rewrite.uriRegexRewrite.match: "(" is not a regular expression of RE2: unclosed group [IST0106]"#,
            "error: rewrite.uriRegexRewrite.rewrite: what the match is replaced with must not be empty [IST0106]",
        ]
    );
}

#[test]
fn faults_are_ones_that_can_be_injected() {
    let fault = |fault: Value| with("fault", fault);
    assert_eq!(fault(json!({"delay": {"fixedDelay": "1s"}, "abort": {"grpcStatus": "ABORTED"}})), NONE);
    assert_eq!(fault(json!({})), ["error: fault: one of delay and abort is needed [IST0106]"]);
    assert_eq!(
        fault(json!({"delay": {"exponentialDelay": "1s"}})),
        ["error: fault.delay.exponentialDelay: exponentialDelay is not supported [IST0106]"]
    );
    assert_eq!(
        fault(json!({"delay": {"fixedDelay": "0s", "percent": 101}})),
        [
            "error: fault.delay.fixedDelay: got 0s; a duration must be 1ms or longer [IST0106]",
            "warning: fault.delay.percent: percent is deprecated; write percentage [IST0002]",
            "error: fault.delay.percent: 101 is not a percentage; it must be from 0 to 100 [IST0106]",
        ]
    );
    assert_eq!(
        fault(json!({"delay": {}, "abort": {}})),
        [
            "warning: fault.delay: without fixedDelay there is no delay [IST0133]",
            "warning: fault.abort: without httpStatus or grpcStatus nothing is aborted [IST0133]",
        ]
    );
    assert_eq!(
        fault(json!({"abort": {"httpStatus": 100}})),
        [
            "error: fault.abort.httpStatus: 100 is not a response's status; it must be from 200 to 599 [IST0106]"
        ]
    );
    assert_eq!(
        fault(json!({"abort": {"grpcStatus": "14"}})),
        [
            r#"error: fault.abort.grpcStatus: "14" is not a status of gRPC; write its name, such as NOT_FOUND [IST0106]"#
        ]
    );
    assert_eq!(
        fault(json!({"abort": {"http2Error": "X"}})),
        ["error: fault.abort.http2Error: http2Error is not supported [IST0106]"]
    );
}

#[test]
fn cross_origin_policies_name_origins_methods_and_headers() {
    let policy = |policy: Value| with("corsPolicy", policy);
    let good = json!({"allowOrigins": [{"exact": "*"}], "allowMethods": ["GET"], "allowHeaders": ["*"], "maxAge": "1h"});
    assert_eq!(policy(good), NONE);
    assert_eq!(
        policy(json!({"allowOrigin": ["*"]})),
        ["warning: corsPolicy.allowOrigin: allowOrigin is deprecated; write allowOrigins [IST0002]"]
    );
    assert_eq!(
        policy(json!({"allowOrigins": [{"exact": ""}, {"regex": "*"}]})),
        [
            "error: corsPolicy.allowOrigins[0]: an origin must not be empty [IST0106]",
            r#"error: corsPolicy.allowOrigins[1].regex: "*" is not a regular expression of RE2: repetition operator missing expression [IST0106]"#,
        ]
    );
    assert_eq!(
        policy(json!({"allowMethods": ["LIST"], "exposeHeaders": ["a b"], "maxAge": "1.5s"})),
        [
            r#"error: corsPolicy.allowMethods[0]: "LIST" is not a method that can be allowed; it must be one of GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE, * [IST0106]"#,
            r#"error: corsPolicy.exposeHeaders[0]: "a b" is not the name of a header [IST0106]"#,
            "error: corsPolicy.maxAge: the answer's age is in whole seconds [IST0106]",
        ]
    );
}

#[test]
fn mirrors_are_given_in_one_way() {
    assert_eq!(with("mirrors", json!([{"destination": {"host": "copy"}}])), NONE);
    let both = json!({
        "route": route(),
        "mirror": {"host": "copy"},
        "mirrors": [{"destination": {"host": "*"}}],
        "mirrorPercent": 101,
    });
    assert_eq!(
        rule(&both),
        [
            "error: mirror: mirror cannot stand beside mirrors [IST0106]",
            r#"error: mirrors[0].destination.host: "*" is not a destination [IST0106]"#,
            "warning: mirrorPercent: mirrorPercent is deprecated; write mirrorPercentage [IST0002]",
            "error: mirrorPercent: 101 is not a percentage; it must be from 0 to 100 [IST0106]",
        ]
    );
}

#[test]
fn tls_rules_match_server_names_within_the_hosts() {
    let tls = |match_: Value, route: Value| {
        spec(&json!({"hosts": ["*.a.com"], "gateways": ["web"], "tls": [{"match": match_, "route": route}]}))
    };
    assert_eq!(tls(json!([{"sniHosts": ["x.a.com", "*.x.a.com"]}]), route()), NONE);
    assert_eq!(
        tls(json!([]), json!([])),
        [
            "error: spec.tls[0].match: a rule for TLS must have at least one match [IST0106]",
            "error: spec.tls[0].route: at least one destination is needed [IST0106]",
        ]
    );
    assert_eq!(
        tls(json!([{"sniHosts": []}, {"sniHosts": ["b.com", "10.0.0.1"]}]), route()),
        [
            "error: spec.tls[0].match[0].sniHosts: at least one server name (SNI) is needed [IST0106]",
            "error: spec.tls[0].match[1].sniHosts[0]: b.com is not within the hosts of this VirtualService [IST0106]",
            "warning: spec.tls[0].match[1].sniHosts[1]: 10.0.0.1 is an address; clients send no addresses as server names (SNI) [IST0133]",
        ]
    );
}

#[test]
fn tcp_rules_have_destinations() {
    let tcp = |route: Value| spec(&json!({"hosts": ["*"], "gateways": ["web"], "tcp": [{"route": route}]}));
    assert_eq!(tcp(route()), NONE);
    assert_eq!(tcp(json!([])), ["error: spec.tcp[0].route: at least one destination is needed [IST0106]"]);
    assert_eq!(
        tcp(json!([{"destination": {"host": "a"}}, {"destination": {"host": "*"}}])),
        [
            "error: spec.tcp[0].route: all weights are 0; one at least must be more [IST0106]",
            r#"error: spec.tcp[0].route[1].destination.host: "*" is not a destination [IST0106]"#,
        ]
    );
}
