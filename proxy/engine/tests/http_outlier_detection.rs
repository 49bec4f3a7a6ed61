//! Endpoints that fail are passed over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use http::{Response, StatusCode};
use http_support::*;
use postern_snapshot::model::{
    Cluster, Forward, OutlierDetection, RouteAction, UpstreamProtocol, UpstreamProtocol::Http1,
};

/// Round robin over these, of which all may be ejected.
fn setup(addresses: &[SocketAddr], forward: Forward) -> Setup {
    let mut setup = Setup::routing(Http1, addresses, route(RouteAction::Forward(forward)));
    let outlier_detection =
        Some(OutlierDetection { max_ejection_percent: 100, ..OutlierDetection::default() });
    setup.add_cluster(CLUSTER, Cluster { outlier_detection, ..cluster(UpstreamProtocol::Http1) }, addresses);
    setup
}

/// An endpoint that answers so, and how often it was asked.
async fn answering(status: StatusCode) -> (SocketAddr, Rc<Cell<u32>>) {
    let asked = Rc::new(Cell::new(0));
    let count = Rc::clone(&asked);
    let address = backend(move |_| {
        count.set(count.get() + 1);
        async move { Response::builder().status(status).body(full("")).unwrap() }
    })
    .await;
    (address, asked)
}

#[test]
fn an_endpoint_that_answers_with_errors_is_passed_over() {
    run(async {
        let (bad, bad_asked) = answering(StatusCode::INTERNAL_SERVER_ERROR).await;
        let (good, good_asked) = answering(StatusCode::OK).await;
        let proxy = setup(&[bad, good], forward()).start().await;
        for _ in 0..40 {
            proxy.get("a.example", "/").await;
        }
        // Five in a row, then no more.
        assert_eq!((bad_asked.get(), good_asked.get()), (5, 35));
    });
}

#[test]
fn an_endpoint_that_does_not_answer_in_time_is_passed_over() {
    run(async {
        let asked = Rc::new(Cell::new(0));
        let count = Rc::clone(&asked);
        let silent = backend(move |_| {
            count.set(count.get() + 1);
            std::future::pending()
        })
        .await;
        let (good, _) = answering(StatusCode::OK).await;
        let forward = Forward { timeout: Some(Duration::from_millis(30)), ..forward() };
        let proxy = setup(&[silent, good], forward).start().await;
        for _ in 0..30 {
            proxy.get("a.example", "/").await;
        }
        assert_eq!(asked.get(), 5);
    });
}

#[test]
fn without_outlier_detection_all_go_on() {
    run(async {
        let (bad, bad_asked) = answering(StatusCode::INTERNAL_SERVER_ERROR).await;
        let (good, good_asked) = answering(StatusCode::OK).await;
        let proxy = Setup::forwarding(Http1, &[bad, good]).start().await;
        for _ in 0..20 {
            proxy.get("a.example", "/").await;
        }
        assert_eq!((bad_asked.get(), good_asked.get()), (10, 10));
    });
}
