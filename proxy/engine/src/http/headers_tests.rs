#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers
}

fn cleaned(fields: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
    let mut headers = map(fields);
    let seen = Seen::of(&headers);
    remove_hop_by_hop(&mut headers, seen);
    let mut left: Vec<_> =
        headers.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
    left.sort();
    left
}

#[test]
fn what_ends_with_this_hop_is_removed() {
    let left = cleaned(&[
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("http2-settings", "AAMAAABk"),
        ("accept", "*/*"),
        ("trailer", "x-sum"),
    ]);
    assert_eq!(left, [("accept".into(), "*/*".into()), ("trailer".into(), "x-sum".to_owned())]);
}

#[test]
fn what_connection_names_is_removed_in_any_spelling() {
    let left = cleaned(&[
        ("connection", "close, X-Secret"),
        ("connection", " x-other ;q=1"),
        ("x-secret", "1"),
        ("x-other", "2"),
        ("x-stays", "3"),
    ]);
    assert_eq!(left, [("x-stays".into(), "3".to_owned())]);
}

#[test]
fn connection_cannot_take_away_host_or_framing() {
    let left = cleaned(&[
        ("connection", "host, content-length, te, cookie"),
        ("host", "example.com"),
        ("content-length", "3"),
        ("te", "gzip;q=0.5, trailers"),
        ("cookie", "a=b"),
    ]);
    let names: Vec<&str> = left.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), 4);
    assert!(left.contains(&("te".into(), "trailers".into())));
}

#[test]
fn te_without_trailers_goes() {
    assert!(cleaned(&[("te", "gzip, deflate;q=0.5")]).is_empty());
}

#[test]
fn finds_what_is_there_and_nothing_else() {
    let seen = Seen::of(&map(&[("x-envoy-retry-on", "5xx"), ("host", "a"), ("x-forwarded-for", "1.2.3.4")]));
    assert!(seen.any(Seen::ENVOY) && seen.any(Seen::HOST) && seen.any(Seen::FORWARDED_FOR));
    assert!(!seen.any(Seen::CONNECTION | Seen::TE | Seen::CLIENT_CERT | Seen::GRPC_STATUS));
    assert_eq!(Seen::of(&map(&[("accept", "a"), ("x-app", "b"), ("user-agent", "c")])), Seen(0));
}
