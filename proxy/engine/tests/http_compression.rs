//! Responses that are compressed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::io::Read;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, channel::Channel};
use http_support::*;
use hyper::body::Incoming;
use postern_snapshot::model::{
    Compressor, CompressorLibrary, DirectResponse, HttpFilters, ResponseBody, RouteAction,
    UpstreamProtocol::{Http1, Http2},
};

const TEXT: &str = "a text that is long enough, long enough, long enough, long enough to be compressed";

fn compressor(library: CompressorLibrary) -> Compressor {
    Compressor {
        library,
        min_content_length: None,
        content_types: vec![],
        disable_on_etag_header: false,
        remove_accept_encoding_header: true,
        choose_first: false,
    }
}

fn all() -> HttpFilters {
    let libraries = [
        CompressorLibrary::Gzip { level: Some(9) },
        CompressorLibrary::Brotli { quality: Some(5), window_bits: None },
        CompressorLibrary::Zstd { level: None },
    ];
    HttpFilters { compressors: libraries.map(compressor).to_vec(), ..HttpFilters::default() }
}

fn decoded(coding: &str, bytes: &[u8]) -> String {
    let mut out = Vec::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out).map(drop).unwrap(),
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out).map(drop).unwrap(),
        "zstd" => zstd::stream::copy_decode(bytes, &mut out).unwrap(),
        _ => out.extend_from_slice(bytes),
    }
    String::from_utf8(out).unwrap()
}

fn request(method: Method, path: &str, accept: &str) -> Request<Body> {
    let builder = Request::builder().method(method).uri(path).header("host", "a.example");
    builder.header("accept-encoding", accept).body(full("")).unwrap()
}

async fn get(proxy: &Proxy, path: &str, accept: &str) -> (HeaderMap, Bytes) {
    let response = proxy.http1().await.send_request(request(Method::GET, path, accept)).await.unwrap();
    assert_eq!(response.status(), 200);
    let (parts, body) = response.into_parts();
    (parts.headers, body.collect().await.unwrap().to_bytes())
}

async fn text(request: Request<Incoming>) -> Response<Body> {
    assert!(!request.headers().contains_key("accept-encoding"), "it is the proxy's affair");
    let mut response = Response::new(full(TEXT));
    response.headers_mut().insert("content-type", "text/plain; charset=utf-8".parse().unwrap());
    response
}

#[test]
fn clients_get_the_coding_that_they_accept() {
    run(async {
        let mut setup = Setup::forwarding(Http1, &[backend(text).await]);
        setup.filters = all();
        setup.access_log = Some("%BYTES_SENT% %RESP(CONTENT-ENCODING)%");
        let proxy = setup.start().await;
        let mut expected = Vec::new();
        for (accept, coding) in
            [("gzip", "gzip"), ("br", "br"), ("zstd, gzip;q=0.9", "zstd"), ("*", "gzip"), ("deflate", "-")]
        {
            let (headers, body) = get(&proxy, "/", accept).await;
            assert_eq!(
                headers.get("content-encoding").map_or("-", |coding| coding.to_str().unwrap()),
                coding
            );
            assert_eq!(headers["vary"], "Accept-Encoding");
            assert_eq!(decoded(coding, &body), TEXT, "{accept}");
            assert_eq!(body.len() < TEXT.len(), coding != "-", "{accept}");
            expected.push(format!("{} {coding}", body.len()));
            assert_eq!(proxy.log_lines(expected.len()).await, expected);
        }
        let head = proxy.http1().await.send_request(request(Method::HEAD, "/", "gzip")).await.unwrap();
        assert_eq!(head.headers()["content-length"], TEXT.len().to_string().as_str());
        assert!(!head.headers().contains_key("content-encoding"));
    });
}

#[test]
fn over_http2_too() {
    run(async {
        let mut setup = Setup::forwarding(Http2, &[backend_http2(text).await]);
        setup.filters = all();
        let proxy = setup.start().await;
        let mut request = request(Method::GET, "http://a.example/", "br");
        request.headers_mut().remove("host");
        let response = proxy.http2().await.send_request(request).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "br");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(decoded("br", &body), TEXT);
    });
}

#[test]
fn a_route_may_leave_its_responses_alone_and_direct_ones_are_compressed() {
    run(async {
        let backend = backend(|_| async { Response::new(full(TEXT)) }).await;
        let mut plain = route(RouteAction::Forward(forward()));
        plain.matches = prefix("/plain");
        plain.filters.compressors_disabled = Some(true);
        let body = Some(ResponseBody::Text(TEXT.into()));
        let mut direct = route(RouteAction::DirectResponse(DirectResponse { status: 200, body }));
        direct.matches = prefix("/direct");
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.filters = all();
        setup.table = hosts(&["*"], vec![plain, direct, route(RouteAction::Forward(forward()))]);
        let proxy = setup.start().await;
        let (headers, body) = get(&proxy, "/plain", "gzip").await;
        assert_eq!(
            (headers.get("content-encoding"), headers.get("vary"), &body[..]),
            (None, None, TEXT.as_bytes())
        );
        for path in ["/direct", "/"] {
            let (headers, body) = get(&proxy, path, "gzip").await;
            assert_eq!(headers["content-encoding"], "gzip", "{path}");
            assert_eq!(decoded("gzip", &body), TEXT, "{path}");
        }
    });
}

#[test]
fn what_the_upstream_sent_does_not_wait_for_more() {
    run(async {
        let (sender, receiver) = tokio::sync::mpsc::channel::<()>(1);
        let receiver = std::rc::Rc::new(std::cell::RefCell::new(Some(receiver)));
        let backend = backend(move |_| {
            let mut receiver = receiver.borrow_mut().take().unwrap();
            let (mut body, channel) = Channel::<Bytes, hyper::Error>::new(1);
            tokio::task::spawn_local(async move {
                for event in ["event: 1\n\n", "event: 2\n\n"] {
                    body.send_data(Bytes::from(event)).await.unwrap();
                    receiver.recv().await;
                }
            });
            async {
                Response::builder().header("content-type", "text/plain").body(channel.boxed_unsync()).unwrap()
            }
        })
        .await;
        let mut setup = Setup::forwarding(Http1, &[backend]);
        setup.filters = all();
        let proxy = setup.start().await;
        let response = proxy.http1().await.send_request(request(Method::GET, "/", "gzip")).await.unwrap();
        assert_eq!(response.headers()["content-encoding"], "gzip");
        let mut body = response.into_body();
        let mut read = Vec::new();
        for event in ["event: 1\n\n", "event: 1\n\nevent: 2\n\n"] {
            let mut text = vec![0; event.len()];
            // The backend sends the next one only when this one was read.
            while flate2::read::GzDecoder::new(&read[..]).read_exact(&mut text).is_err() {
                read.extend_from_slice(&body.frame().await.unwrap().unwrap().into_data().unwrap());
            }
            assert_eq!(text, event.as_bytes());
            sender.send(()).await.unwrap();
        }
        read.extend_from_slice(&body.collect().await.unwrap().to_bytes());
        assert_eq!(decoded("gzip", &read), "event: 1\n\nevent: 2\n\n");
    });
}
