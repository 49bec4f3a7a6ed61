//! Access log lines: the default formats, every operator, and that no client can forge a line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Version};
use postern_telemetry::access_log::{
    ENVOY_TEXT_FORMAT, Entry, Format, FormatError, ISTIO_JSON_FORMAT, ISTIO_TEXT_FORMAT,
};
use postern_telemetry::{GrpcStatus, Reason, ResetReason, ResponseFlag};
use proptest::prelude::*;
use similar_asserts::assert_eq;

fn line(format: &str, entry: &Entry<'_>) -> String {
    rendered(&Format::text(format, "ingress-0").unwrap(), entry)
}

fn rendered(format: &Format, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    format.render(entry, &mut out);
    String::from_utf8(out).unwrap()
}

/// The value of one operator, in text and in JSON.
fn value(operator: &str, entry: &Entry<'_>) -> (String, String) {
    let text = line(operator, entry).trim_end().to_owned();
    let json = rendered(&Format::json([("v", operator)], "ingress-0").unwrap(), entry);
    let json = json.strip_prefix("{\"v\":").and_then(|rest| rest.strip_suffix("}\n")).unwrap();
    (text, json.to_owned())
}

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(1_460_751_420_310)
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
}

fn request_headers() -> HeaderMap {
    headers(&[
        ("user-agent", "curl/8.5.0"),
        ("x-forwarded-for", "203.0.113.7"),
        ("x-request-id", "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2"),
    ])
}

fn proxied(headers: &HeaderMap) -> Entry<'_> {
    Entry {
        duration: Some(Duration::from_micros(226_900)),
        request_duration: Some(Duration::from_millis(2)),
        response_duration: Some(Duration::from_millis(102)),
        upstream_service_time: Some(Duration::from_millis(100)),
        protocol: Some(Version::HTTP_2),
        method: Some("POST"),
        path: Some("/locations?near=1"),
        original_path: Some("/api/v1/locations?near=1"),
        authority: Some("example.com"),
        scheme: Some("https"),
        request_headers: headers.into(),
        response_code: 204,
        reason: Some(Reason::ViaUpstream),
        bytes_received: 154,
        upstream_host: Some(([10, 0, 2, 1], 80).into()),
        upstream_cluster: Some("outbound|80||app-service.default.svc.cluster.local"),
        upstream_local_address: Some(([10, 0, 2, 9], 40_312).into()),
        downstream_local_address: Some(([10, 0, 2, 9], 8443).into()),
        downstream_remote_address: Some(([203, 0, 113, 7], 51_724).into()),
        downstream_direct_remote_address: Some("[::ffff:10.1.1.1]:9000".parse().unwrap()),
        requested_server_name: Some("example.com"),
        route_name: Some("web-routing"),
        downstream_tls_version: Some("TLSv1.3"),
        downstream_tls_cipher: Some("TLS_AES_128_GCM_SHA256"),
        downstream_peer_subject: Some("CN=client,O=\"Acme\""),
        upstream_request_attempt_count: 2,
        grpc_status: Some(GrpcStatus::DEADLINE_EXCEEDED),
        connection_id: Some(7),
        ..Entry::new(start())
    }
}

#[test]
fn envoys_default_line_is_the_one_in_its_documentation() {
    let headers = request_headers();
    assert_eq!(
        line(ENVOY_TEXT_FORMAT, &proxied(&headers)),
        "[2016-04-15T20:17:00.310Z] \"POST /api/v1/locations?near=1 HTTP/2\" 204 - 154 0 226 100 \
         \"203.0.113.7\" \"curl/8.5.0\" \"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2\" \"example.com\" \
         \"10.0.2.1:80\"\n"
    );
}

#[test]
fn istios_default_line() {
    let headers = request_headers();
    assert_eq!(
        line(ISTIO_TEXT_FORMAT, &proxied(&headers)),
        "[2016-04-15T20:17:00.310Z] \"POST /api/v1/locations?near=1 HTTP/2\" 204 - via_upstream - \"-\" \
         154 0 226 100 \"203.0.113.7\" \"curl/8.5.0\" \"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2\" \
         \"example.com\" \"10.0.2.1:80\" outbound|80||app-service.default.svc.cluster.local \
         10.0.2.9:40312 10.0.2.9:8443 203.0.113.7:51724 example.com web-routing\n"
    );
}

#[test]
fn istios_default_line_of_a_failed_connect() {
    let reason = Reason::UpstreamResetBeforeResponse(ResetReason::RemoteConnectionFailure);
    let entry = Entry {
        protocol: Some(Version::HTTP_11),
        method: Some("GET"),
        path: Some("/"),
        authority: Some("example.com"),
        response_code: 503,
        reason: Some(reason),
        response_flags: reason.flags().with(ResponseFlag::UpstreamRetryLimitExceeded),
        upstream_transport_failure_reason: Some("Connection refused"),
        bytes_sent: 91,
        duration: Some(Duration::from_millis(31)),
        ..Entry::new(start())
    };
    assert_eq!(
        line(ISTIO_TEXT_FORMAT, &entry),
        "[2016-04-15T20:17:00.310Z] \"GET / HTTP/1.1\" 503 UF,URX \
         upstream_reset_before_response_started{remote_connection_failure} - \"Connection refused\" \
         0 91 31 - \"-\" \"-\" \"-\" \"example.com\" \"-\" - - - - - -\n"
    );
}

#[test]
fn istios_default_line_of_a_tcp_connection() {
    let entry = Entry {
        bytes_received: 517,
        bytes_sent: 1151,
        duration: Some(Duration::from_secs(3)),
        upstream_host: Some("[2001:db8::1]:5432".parse().unwrap()),
        requested_server_name: Some("db.example.com"),
        ..Entry::new(start())
    };
    assert_eq!(
        line(ISTIO_TEXT_FORMAT, &entry),
        "[2016-04-15T20:17:00.310Z] \"- - -\" 0 - - - \"-\" 517 1151 3000 - \"-\" \"-\" \"-\" \"-\" \
         \"[2001:db8::1]:5432\" - - - - db.example.com -\n"
    );
}

#[test]
fn istios_json_has_numbers_strings_and_nulls() {
    let headers = request_headers();
    let line = rendered(&Format::json(ISTIO_JSON_FORMAT, "host").unwrap(), &proxied(&headers));
    assert_eq!(
        line,
        concat!(
            r#"{"authority":"example.com","bytes_received":154,"bytes_sent":0,"#,
            r#""connection_termination_details":null,"downstream_local_address":"10.0.2.9:8443","#,
            r#""downstream_remote_address":"203.0.113.7:51724","duration":226,"method":"POST","#,
            r#""path":"/api/v1/locations?near=1","protocol":"HTTP/2","#,
            r#""request_id":"cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2","requested_server_name":"example.com","#,
            r#""response_code":204,"response_code_details":"via_upstream","response_flags":"-","#,
            r#""route_name":"web-routing","start_time":"2016-04-15T20:17:00.310Z","#,
            r#""upstream_cluster":"outbound|80||app-service.default.svc.cluster.local","#,
            r#""upstream_host":"10.0.2.1:80","upstream_local_address":"10.0.2.9:40312","#,
            r#""upstream_service_time":"100","upstream_transport_failure_reason":null,"#,
            r#""user_agent":"curl/8.5.0","x_forwarded_for":"203.0.113.7"}"#,
            "\n"
        )
    );
}

#[test]
fn every_operator_in_text_and_json() {
    let headers = request_headers();
    let trailers = self::headers(&[("grpc-message", "slow")]);
    let entry = Entry { response_trailers: (&trailers).into(), ..proxied(&headers) };
    let cases = [
        ("%START_TIME%", "2016-04-15T20:17:00.310Z", "\"2016-04-15T20:17:00.310Z\""),
        ("%START_TIME(%s.%6f)%", "1460751420.310000", "\"1460751420.310000\""),
        ("%REQ(:METHOD)%", "POST", "\"POST\""),
        ("%REQ(:SCHEME)%", "https", "\"https\""),
        ("%REQ(Host)%", "example.com", "\"example.com\""),
        ("%REQ(:PATH):10%", "/locations", "\"/locations\""),
        ("%REQ_WITHOUT_QUERY(X-ENVOY-ORIGINAL-PATH?:PATH)%", "/api/v1/locations", "\"/api/v1/locations\""),
        ("%REQ(nope?User-Agent):4%", "curl", "\"curl\""),
        ("%RESP(:STATUS)%", "204", "\"204\""),
        ("%RESP(x-nope)%", "-", "null"),
        ("%TRAILER(Grpc-Message)%", "slow", "\"slow\""),
        ("%PROTOCOL%", "HTTP/2", "\"HTTP/2\""),
        ("%RESPONSE_CODE%", "204", "204"),
        ("%RESPONSE_FLAGS_LONG%", "-", "\"-\""),
        ("%CONNECTION_TERMINATION_DETAILS%", "-", "null"),
        ("%BYTES_RECEIVED%", "154", "154"),
        ("%BYTES_SENT%", "0", "0"),
        ("%DURATION%", "226", "226"),
        ("%REQUEST_DURATION%", "2", "2"),
        ("%RESPONSE_DURATION%", "102", "102"),
        ("%RESPONSE_TX_DURATION%", "124", "124"),
        ("%UPSTREAM_HOST%", "10.0.2.1:80", "\"10.0.2.1:80\""),
        ("%UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.0.2.1", "\"10.0.2.1\""),
        ("%DOWNSTREAM_LOCAL_PORT%", "8443", "8443"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "203.0.113.7", "\"203.0.113.7\""),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%", "10.1.1.1:9000", "\"10.1.1.1:9000\""),
        ("%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%", "10.1.1.1", "\"10.1.1.1\""),
        ("%DOWNSTREAM_TLS_VERSION%", "TLSv1.3", "\"TLSv1.3\""),
        ("%DOWNSTREAM_TLS_CIPHER%", "TLS_AES_128_GCM_SHA256", "\"TLS_AES_128_GCM_SHA256\""),
        ("%DOWNSTREAM_PEER_SUBJECT%", "CN=client,O=\\\"Acme\\\"", "\"CN=client,O=\\\"Acme\\\"\""),
        ("%UPSTREAM_REQUEST_ATTEMPT_COUNT%", "2", "2"),
        ("%GRPC_STATUS%", "DeadlineExceeded", "\"DeadlineExceeded\""),
        ("%GRPC_STATUS(SNAKE_STRING)%", "DEADLINE_EXCEEDED", "\"DEADLINE_EXCEEDED\""),
        ("%GRPC_STATUS(NUMBER)%", "4", "4"),
        ("%GRPC_STATUS_NUMBER%", "4", "4"),
        ("%HOSTNAME%", "ingress-0", "\"ingress-0\""),
        ("%CONNECTION_ID%", "7", "7"),
    ];
    for (operator, text, json) in cases {
        assert_eq!(value(operator, &entry), (text.to_owned(), json.to_owned()), "{operator}");
    }
}

#[test]
fn a_client_cannot_choose_the_path_that_is_logged() {
    let headers = headers(&[("x-envoy-original-path", "/innocent")]);
    let entry = Entry { path: Some("/attack"), request_headers: (&headers).into(), ..Entry::new(start()) };
    assert_eq!(line("%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", &entry), "/attack\n");
}

#[test]
fn a_format_prints_the_headers_that_it_captured_as_it_prints_the_map() {
    let format = Format::text("%REQ(user-agent)% %REQ(nope?x-request-id)% %RESP(server)%", "h").unwrap();
    let (request, response) = (request_headers(), headers(&[("server", "nginx")]));
    let from_maps = Entry {
        request_headers: (&request).into(),
        response_headers: (&response).into(),
        ..Entry::new(start())
    };
    let (request, response) = (format.capture_request(&request), format.capture_response(&response));
    let captured = Entry {
        request_headers: (&request).into(),
        response_headers: (&response).into(),
        ..Entry::new(start())
    };
    assert_eq!(rendered(&format, &captured), rendered(&format, &from_maps));
    assert_eq!(rendered(&format, &captured), "curl/8.5.0 cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2 nginx\n");
}

#[test]
fn a_header_that_occurs_twice_is_logged_once() {
    let mut headers = HeaderMap::new();
    headers.append("x-a", HeaderValue::from_static("first"));
    headers.append("x-a", HeaderValue::from_static("second"));
    let entry = Entry { request_headers: (&headers).into(), ..Entry::new(start()) };
    assert_eq!(line("%REQ(x-a)%", &entry), "first\n");
}

#[test]
fn json_templates_nest_and_mix() {
    let template = serde_json::json!({
        "meta": {"host": "%HOSTNAME%", "tags": ["edge", "%PROTOCOL%", 3, true, null]},
        "summary": "%REQ(:METHOD)% took %DURATION%ms, \"%REQ(x-nope)%\"",
        "quo\"te": "100%%"
    });
    let headers = request_headers();
    let format = Format::json_template(template.as_object().unwrap(), "ingress-0").unwrap();
    assert_eq!(
        rendered(&format, &proxied(&headers)),
        concat!(
            r#"{"meta":{"host":"ingress-0","tags":["edge","HTTP/2",3,true,null]},"#,
            r#""quo\"te":"100%","summary":"POST took 226ms, \"-\""}"#,
            "\n"
        )
    );
}

#[test]
fn errors_in_json_name_the_field() {
    let template = serde_json::json!({"a": {"b": ["%PROTOCOL%", "x %FILTER_STATE(y)%"]}});
    let error = Format::json_template(template.as_object().unwrap(), "h").unwrap_err();
    assert_eq!(error.to_string(), "field a.b.1: unknown command operator %FILTER_STATE% at position 2");
    assert!(matches!(error, FormatError::Field { .. }));
}

#[test]
fn a_format_without_a_line_break_gets_one() {
    let entry = Entry::new(start());
    assert_eq!(line("%BYTES_SENT%", &entry), "0\n");
    assert_eq!(line("%BYTES_SENT%\n", &entry), "0\n");
    assert_eq!(line("", &entry), "\n");
}

/// Any value that hyper lets through as a header: all bytes but control characters other than tab.
fn header_value() -> impl Strategy<Value = HeaderValue> {
    proptest::collection::vec(any::<u8>(), 0..120)
        .prop_filter_map("a header value", |bytes| HeaderValue::from_bytes(&bytes).ok())
}

/// Any text, with what could break a line or a document more often than by chance.
fn hostile_text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![
            any::<char>(),
            prop::sample::select(vec!['"', '\\', '\n', '\r', '\u{2028}', '\u{85}', '\0'])
        ],
        0..40,
    )
    .prop_map(|chars| chars.into_iter().collect())
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_one_line_with_as_many_quotes_as_the_format(
        agent in header_value(),
        path in hostile_text(),
        server_name in hostile_text(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", agent);
        let entry = Entry {
            path: Some(&path),
            requested_server_name: Some(&server_name),
            request_headers: (&headers).into(),
            ..Entry::new(start())
        };
        let line = line(ISTIO_TEXT_FORMAT, &entry);
        prop_assert_eq!(line.lines().count(), 1);
        prop_assert!(line.ends_with('\n'));
        let text = line.trim_end_matches('\n');
        prop_assert!(!text.chars().any(char::is_control));
        let bare = text.replace("\\\\", "").replace("\\\"", "");
        prop_assert_eq!(bare.matches('"').count(), ISTIO_TEXT_FORMAT.matches('"').count());
    }

    #[test]
    fn whatever_a_client_sends_is_one_json_object_that_says_it(
        agent in header_value(),
        path in hostile_text(),
    ) {
        let mut headers = HeaderMap::new();
        headers.insert("user-agent", agent.clone());
        let entry = Entry { path: Some(&path), request_headers: (&headers).into(), ..Entry::new(start()) };
        let line = rendered(&Format::json(ISTIO_JSON_FORMAT, "h").unwrap(), &entry);
        prop_assert_eq!(line.lines().count(), 1);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        prop_assert_eq!(read["path"].as_str().unwrap(), path);
        prop_assert_eq!(read["user_agent"].as_str().unwrap(), String::from_utf8_lossy(agent.as_bytes()));
    }

    #[test]
    fn any_format_string_compiles_or_is_refused_and_then_renders(source in ".{0,60}", rest in "[%()A-Z?:_0-9]{0,30}") {
        let source = source + &rest;
        let headers = request_headers();
        if let Ok(format) = Format::text(&source, "h") {
            rendered(&format, &proxied(&headers));
        }
        if let Ok(format) = Format::json([("field", source)], "h") {
            serde_json::from_str::<serde_json::Value>(&rendered(&format, &proxied(&headers))).unwrap();
        }
    }
}
