//! gRPC: trailers, and local answers that gRPC clients understand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use http_support::*;
use hyper::body::Incoming;
use postern_snapshot::model::UpstreamProtocol::{Http1, Http2};

/// Sends back each message, and then what it got as `te`, in the trailers.
async fn service(request: Request<Incoming>) -> Response<Body> {
    let te = request.headers().get("te").cloned();
    let messages = request.into_body().into_data_stream();
    let frames = futures_util::StreamExt::map(messages, |message| message.map(Frame::data));
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "5".parse().unwrap());
    if let Some(te) = te {
        trailers.insert("x-te", te);
    }
    let end = futures_util::stream::once(async move { Ok(Frame::trailers(trailers)) });
    let body = StreamBody::new(futures_util::StreamExt::chain(frames, end)).boxed_unsync();
    Response::builder().header("content-type", "application/grpc").body(body).unwrap()
}

fn call(path: &str, message: &'static str) -> Request<Body> {
    Request::post(format!("http://a{path}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
        .body(full(message))
        .unwrap()
}

#[test]
fn messages_and_trailers_pass() {
    run(async {
        let mut setup = Setup::forwarding(Http2, &[backend_http2(service).await]);
        setup.access_log = Some("%RESPONSE_CODE% %GRPC_STATUS_NUMBER% %BYTES_RECEIVED% %BYTES_SENT%");
        let proxy = setup.start().await;
        let response = proxy.http2().await.send_request(call("/s/m", "message")).await.unwrap();
        let answer = Answer::of(response).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, "message"));
        let trailers = answer.trailers.unwrap();
        assert_eq!(trailers["grpc-status"], "5");
        assert_eq!(trailers["x-te"], "trailers");
        assert_eq!(proxy.log_line().await, "200 5 7 7");
        let metrics = proxy.metrics.render();
        let line = metrics.lines().find(|line| line.starts_with("istio_requests_total{")).unwrap();
        for label in ["request_protocol=\"grpc\"", "grpc_response_status=\"5\"", "response_code=\"200\""] {
            assert!(line.contains(label), "{label} in {line}");
        }
    });
}

#[test]
fn trailers_of_requests_pass() {
    run(async {
        let address = backend_http2(|request: Request<Incoming>| async {
            let body = request.into_body().collect().await.unwrap();
            let text = format!("{:?}", body.trailers().unwrap()["x-sum"]);
            Response::new(full(text))
        })
        .await;
        let proxy = Setup::forwarding(Http2, &[address]).start().await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "42".parse().unwrap());
        let frames = [Ok(Frame::data(Bytes::from("data"))), Ok(Frame::trailers(trailers))];
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
        let request = Request::post("http://a/").body(body).unwrap();
        let answer = Answer::of(proxy.http2().await.send_request(request).await.unwrap()).await;
        assert_eq!(answer.body, "\"42\"");
    });
}

#[test]
fn local_answers_are_grpc_statuses() {
    run(async {
        let mut app = route(postern_snapshot::model::RouteAction::Forward(forward()));
        app.matches = prefix("/app.Service/");
        let mut setup = Setup::routing(Http2, &[], app);
        setup.access_log = Some("%RESPONSE_CODE% %GRPC_STATUS% %RESPONSE_FLAGS%");
        let proxy = setup.start().await;
        let mut client = proxy.http2().await;
        for (number, (path, status, message, log)) in [
            ("/app.Service/Call", "14", "no healthy upstream", "200 Unavailable UH"),
            ("/other.Service/Call", "12", "", "200 Unimplemented NR"),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = Answer::of(client.send_request(call(path, "message")).await.unwrap()).await;
            assert_eq!((answer.status, answer.body.as_str()), (200, ""));
            assert_eq!(answer.header("content-type"), "application/grpc");
            assert_eq!(answer.header("grpc-status"), status);
            assert_eq!(answer.header("grpc-message"), message);
            assert!(answer.trailers.is_none());
            assert_eq!(proxy.log_lines(number + 1).await[number], log);
        }
    });
}

#[test]
fn connect_failures_are_unavailable() {
    run(async {
        let proxy = Setup::forwarding(Http2, &[nobody().await]).start().await;
        let response = proxy.http2().await.send_request(call("/s/m", "message")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        let message = response.headers()["grpc-message"].to_str().unwrap();
        assert!(message.starts_with("upstream connect error"), "{message}");
    });
}

#[test]
fn a_server_without_http2_is_unavailable() {
    run(async {
        let proxy = Setup::forwarding(Http2, &[backend(echo).await]).start().await;
        let response = proxy.http2().await.send_request(call("/s/m", "message")).await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()["grpc-status"]),
            (200, &"14".parse().unwrap())
        );
    });
}

#[test]
fn bidirectional_streams_interleave() {
    run(async {
        let proxy = Setup::forwarding(Http2, &[backend_http2(service).await]).start().await;
        let (mut sender, body) = http_body_util::channel::Channel::<Bytes, hyper::Error>::new(1);
        let mut request = call("/s/m", "");
        *request.body_mut() = body.boxed_unsync();
        let mut response = proxy.http2().await.send_request(request).await.unwrap();
        for message in ["one", "two", "three"] {
            sender.send_data(message.into()).await.unwrap();
            assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), message);
        }
        drop(sender);
        let rest = response.collect().await.unwrap();
        assert_eq!(rest.trailers().unwrap()["grpc-status"], "5");
    });
}

#[test]
fn trailers_reach_http1_clients_that_ask_for_them() {
    run(async {
        let address = backend_http2(|request| async {
            let mut response = service(request).await;
            response.headers_mut().insert("trailer", "grpc-status".parse().unwrap());
            response
        })
        .await;
        let proxy = Setup::forwarding(Http2, &[address]).start().await;
        let request =
            Request::post("/").header("host", "a").header("te", "trailers").body(full("x")).unwrap();
        let answer = proxy.send(request).await;
        assert_eq!(answer.trailers.unwrap()["grpc-status"], "5");
        let proxy = Setup::forwarding(Http1, &[backend(echo).await]).start().await;
        assert_eq!(proxy.get("a", "/").await.status, 200);
    });
}
