//! Limits on what is under way to a cluster.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod http_support;

use std::{cell::RefCell, collections::VecDeque, future::Future, net::SocketAddr, rc::Rc};

use http::{Request, Response};
use http_support::*;
use hyper::body::Incoming;
use postern_snapshot::{
    ClusterName,
    model::{
        CircuitBreakers, RetryCondition, RetryPolicy, RouteAction, UpstreamProtocol,
        UpstreamProtocol::{Http1, Http2},
    },
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// A backend whose answers wait for the test.
struct Held {
    address: SocketAddr,
    /// Each request that arrived, and how to answer it.
    arrived: mpsc::UnboundedReceiver<oneshot::Sender<Response<Body>>>,
}

impl Held {
    async fn start(protocol: UpstreamProtocol) -> Self {
        let (sender, arrived) = mpsc::unbounded_channel();
        let answer = move |_: Request<Incoming>| {
            let (answer, wait) = oneshot::channel();
            sender.send(answer).unwrap();
            async { wait.await.unwrap() }
        };
        let address = match protocol {
            Http1 => backend(answer).await,
            _ => backend_http2(answer).await,
        };
        Self { address, arrived }
    }

    async fn next(&mut self) -> oneshot::Sender<Response<Body>> {
        self.arrived.recv().await.unwrap()
    }
}

fn ok() -> Response<Body> {
    Response::new(full("ok"))
}

fn limited(protocol: UpstreamProtocol, address: SocketAddr, limits: CircuitBreakers) -> Setup {
    let mut setup = Setup::forwarding(protocol, &[address]);
    setup.clusters.get_mut(&ClusterName::new(CLUSTER)).unwrap().circuit_breakers = limits;
    setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS%");
    setup
}

fn get(proxy: &Rc<Proxy>) -> JoinHandle<Answer> {
    let proxy = Rc::clone(proxy);
    tokio::task::spawn_local(async move { proxy.get("a.example", "/").await })
}

fn assert_overflow(answer: &Answer) {
    assert_eq!((answer.status, answer.header("x-envoy-overloaded")), (503, "true"));
    assert!(answer.body.ends_with("reset reason: overflow"), "{}", answer.body);
}

const OVERFLOW: &str = "503 UO upstream_reset_before_response_started{overflow}";

#[test]
fn requests_too_many_are_refused() {
    run(async {
        for protocol in [Http1, Http2] {
            let mut held = Held::start(protocol).await;
            let limits = CircuitBreakers { max_requests: Some(1), ..CircuitBreakers::default() };
            let proxy = Rc::new(limited(protocol, held.address, limits).start().await);
            let first = get(&proxy);
            let answer = held.next().await;
            assert_overflow(&proxy.get("a.example", "/").await);
            answer.send(ok()).unwrap();
            assert_eq!(first.await.unwrap().status, 200);
            // Now there is room again.
            let second = get(&proxy);
            held.next().await.send(ok()).unwrap();
            assert_eq!(second.await.unwrap().status, 200);
            assert_eq!(proxy.log_lines(3).await[0], OVERFLOW, "{protocol:?}");
        }
    });
}

/// While one request is under way and another waits for its connection, `then` says how the first is answered.
async fn with_one_connection(then: Response<Body>) {
    let mut held = Held::start(Http1).await;
    let limits = CircuitBreakers {
        max_connections: Some(1),
        max_pending_requests: Some(1),
        ..CircuitBreakers::default()
    };
    let proxy = Rc::new(limited(Http1, held.address, limits).start().await);
    let first = get(&proxy);
    let answer = held.next().await;
    let second = get(&proxy);
    // The second waits; the third would have to wait too. It may come before the second, which is then the one.
    let third = get(&proxy);
    let mut waiting = VecDeque::from([second, third]);
    let (refused, waits) = {
        let (a, b) = (waiting.pop_front().unwrap(), waiting.pop_front().unwrap());
        either(a, b).await
    };
    assert_overflow(&refused);
    answer.send(then).unwrap();
    assert_eq!(first.await.unwrap().status, 200);
    held.next().await.send(ok()).unwrap();
    assert_eq!(waits.await.unwrap().status, 200);
}

async fn either(a: JoinHandle<Answer>, b: JoinHandle<Answer>) -> (Answer, JoinHandle<Answer>) {
    let both = RefCell::new((a, b));
    let first = std::future::poll_fn(|cx| {
        let (a, b) = &mut *both.borrow_mut();
        if let std::task::Poll::Ready(answer) = std::pin::Pin::new(a).poll(cx) {
            return std::task::Poll::Ready((answer, true));
        }
        std::pin::Pin::new(b).poll(cx).map(|answer| (answer, false))
    })
    .await;
    let (a, b) = both.into_inner();
    (first.0.unwrap(), if first.1 { b } else { a })
}

#[test]
fn requests_wait_for_a_connection_but_not_too_many() {
    run(with_one_connection(ok()));
}

#[test]
fn when_the_only_connection_closes_there_is_another_for_who_waits() {
    run(with_one_connection(Response::builder().header("connection", "close").body(full("ok")).unwrap()));
}

#[test]
fn retries_too_many_are_left_out() {
    run(async {
        let backend =
            backend(|_| async { Response::builder().status(503).body(full("upstream")).unwrap() }).await;
        for (max_retries, expected) in [(None, "503 URX 3"), (Some(0), "503 UO 1")] {
            let limits = CircuitBreakers { max_retries, ..CircuitBreakers::default() };
            let mut setup = limited(Http1, backend, limits);
            let mut action = forward();
            action.retry = Some(RetryPolicy {
                attempts: 2,
                per_try_timeout: None,
                conditions: vec![RetryCondition::ServerError],
                status_codes: vec![],
                backoff: Some(std::time::Duration::from_millis(1)),
                ignore_previous_hosts: false,
            });
            setup.table = hosts(&["*"], vec![route(RouteAction::Forward(action))]);
            setup.access_log = Some("%RESPONSE_CODE% %RESPONSE_FLAGS% %UPSTREAM_REQUEST_ATTEMPT_COUNT%");
            let proxy = setup.start().await;
            let answer = proxy.get("a.example", "/").await;
            assert_eq!((answer.status, answer.body.as_str()), (503, "upstream"));
            assert_eq!(proxy.log_line().await, expected);
        }
    });
}
