//! The phase after [`route`](super::route): the request goes to an upstream, and again if that fails and the policy
//! says so.

use std::{
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
};

use http::{HeaderValue, Method, Request, Response, header, request};
use http_body::Body as _;
use hyper::body::Incoming;
use postern_router::PathMatched;
use postern_telemetry::{Reason, ResponseFlag};
use postern_upstream::{Cluster, Failure, Outcome, Permit, Resource, SendError, Tried, UpstreamResponse};

use super::{
    body::{RequestBody, ResponseBody},
    buffer::{self, Buffering, Whole},
    compile::{Forward, GoesTo, Target},
    deadline::{self, Deadline, TimedOut},
    exchange::Exchange,
    headers::{Seen, X_ENVOY_ATTEMPT_COUNT},
    local_reply::{self, LocalReply},
    mirror,
    prepare::{self, Prepare},
    progress::Progress,
    receive::{Received, UpgradeRequest},
    replay::{Source, Spare, SpareBody},
    respond, retry, upgrade,
};

/// A request on its way to a cluster. What the route says is looked up where it is needed: this is part of each
/// request's future, which should be small.
pub(super) struct Forwarding {
    exchange: Box<Exchange>,
    spare: Option<Box<Spare>>,
    deadline: Option<Deadline>,
    tried: Tried,
    tls_host: Option<String>,
    upgrade: Option<Box<UpgradeRequest>>,
    /// While a retry is under way.
    retry: Permit,
}

/// A request that was prepared.
#[allow(clippy::large_enum_variant, reason = "it lives for one step of one request")]
pub(super) enum Prepared {
    Ready(Forwarding, Request<RequestBody>),
    /// It waits for its body. Boxed, since it is rare and larger.
    Buffering(Pin<Box<dyn Future<Output = Response<ResponseBody>>>>),
}

/// Makes a request ready to be sent to a target of the route.
///
/// # Errors
/// It was answered here.
#[allow(clippy::result_large_err, reason = "an answer is not rare, and is handed on at once")]
pub(super) fn prepare(
    mut exchange: Box<Exchange>,
    mut request: request::Parts,
    body: Incoming,
    mut received: Received,
    matched: PathMatched,
) -> Result<Prepared, Response<ResponseBody>> {
    let runtime = Rc::clone(&exchange.runtime);
    let Some((route, action)) = exchange.place.forward(&runtime) else {
        return Err(local_reply::refused(exchange));
    };
    let Some(target) = choose(&mut exchange, action) else {
        return Err(local_reply::reply(exchange, LocalReply::new(Reason::ClusterNotFound)));
    };
    let cluster = match &target.goes_to {
        GoesTo::Cluster(cluster) => cluster,
        GoesTo::Nowhere(status) => {
            let reply = LocalReply::new(Reason::ClusterNotFound).with_status(*status);
            return Err(local_reply::reply(exchange, reply));
        }
    };
    let upgrade = received.upgrade.take().filter(|_| prepare::can_upgrade(cluster.protocol()));
    let prepare = Prepare {
        route,
        action,
        target_headers: target.request_headers.as_deref(),
        host_rewrite: target.host_rewrite.as_ref(),
        protocol: cluster.protocol(),
        received: &received,
        upgrade: upgrade.as_deref(),
        matched,
    };
    let copies = mirror::draw(&prepare, &request, &exchange.connection.worker);
    if prepare.run(&mut request, exchange.log.as_deref_mut()).is_err() {
        return Err(local_reply::refused(exchange));
    }
    let compression = runtime.compression.as_deref().filter(|_| route.compresses);
    if compression.is_some_and(|compression| compression.removes_accept_encoding) {
        request.headers.remove(header::ACCEPT_ENCODING);
    }
    let tls_host =
        cluster.transport().is_tls().then(|| prepare::tls_host(&received, target.host_rewrite.as_ref()));
    if let Some(most) = route.buffer
        && upgrade.is_none()
        && request.method != Method::CONNECT
        && !body.is_end_stream()
    {
        if buffer::is_too_long(&request, most) {
            return Err(local_reply::reply(exchange, buffer::too_long()));
        }
        let buffering = Buffering { exchange, request, body, most, tls_host, copies };
        return Ok(Prepared::Buffering(Box::pin(buffering.run())));
    }
    let (request, spare) = with_body(&mut exchange, action, cluster, request, body, copies);
    let (forwarding, request) = begin(exchange, action, request, spare, tls_host, upgrade);
    Ok(Prepared::Ready(forwarding, request))
}

/// The same, when the body is here.
///
/// # Errors
/// The route is none that forwards.
pub(super) fn with_whole_body(
    exchange: Box<Exchange>,
    head: request::Parts,
    body: Whole,
    tls_host: Option<String>,
    copies: Vec<mirror::Copy>,
) -> Result<(Forwarding, Request<RequestBody>), (Box<Exchange>, LocalReply)> {
    let runtime = Rc::clone(&exchange.runtime);
    let place = exchange.place.forward(&runtime).zip(exchange.place.cluster(&runtime));
    let Some(((_, action), cluster)) = place else {
        return Err((exchange, LocalReply::new(Reason::ClusterNotFound)));
    };
    mirror::send_whole(copies, &body);
    let request = RequestBody::whole(&body);
    let spare = needs_copy(&exchange, action, cluster)
        .then(|| Box::new(Spare { head: head.clone(), body: SpareBody::Whole(body) }));
    Ok(begin(exchange, action, Request::from_parts(head, request), spare, tls_host, None))
}

/// From here on time counts.
fn begin(
    exchange: Box<Exchange>,
    action: &Forward,
    request: Request<RequestBody>,
    spare: Option<Box<Spare>>,
    tls_host: Option<String>,
    upgrade: Option<Box<UpgradeRequest>>,
) -> (Forwarding, Request<RequestBody>) {
    let deadline = action.timeout.filter(|timeout| !timeout.is_zero()).map(|timeout| {
        Deadline::new(timeout, exchange.request_body.clone(), &exchange.connection.worker.timers)
    });
    (
        Forwarding {
            exchange,
            spare,
            deadline,
            tried: Tried::new(),
            tls_host,
            upgrade,
            retry: Permit::default(),
        },
        request,
    )
}

/// May the request have to be sent again, from the beginning?
fn needs_copy(exchange: &Exchange, action: &Forward, cluster: &Cluster) -> bool {
    action.retry.as_ref().is_some_and(|policy| policy.needs_copy(exchange.grpc, cluster.protocol()))
}

fn choose<'a>(exchange: &mut Exchange, action: &'a Forward) -> Option<&'a Target> {
    let index = match action.targets.len() {
        1 => 0,
        _ => action.choice.choose(&mut exchange.connection.worker.rng.borrow_mut())?,
    };
    exchange.place.chose(index);
    action.targets.get(index)
}

/// Gives the request its body, and keeps what is needed to send it again if it may come to that.
fn with_body(
    exchange: &mut Exchange,
    action: &Forward,
    cluster: &Cluster,
    head: request::Parts,
    body: Incoming,
    copies: Vec<mirror::Copy>,
) -> (Request<RequestBody>, Option<Box<Spare>>) {
    let needs_copy = needs_copy(exchange, action, cluster);
    if body.is_end_stream() {
        mirror::send_empty(copies);
        let spare = needs_copy.then(|| Box::new(Spare { head: head.clone(), body: SpareBody::Empty }));
        return (Request::from_parts(head, RequestBody::empty()), spare);
    }
    let progress = Rc::new(Progress::default());
    exchange.reads(Rc::clone(&progress));
    if !copies.is_empty() {
        progress.copy_to(mirror::send_streamed(copies, &body.size_hint()));
    }
    if !needs_copy {
        return (Request::from_parts(head, RequestBody::streamed(body, progress)), None);
    }
    let source = Source::new(body, progress);
    let first = source.next_try().map_or_else(RequestBody::empty, RequestBody::replayed);
    let spare = Spare { head: head.clone(), body: SpareBody::Source(source) };
    (Request::from_parts(head, first), Some(Box::new(spare)))
}

type Sent = Result<UpstreamResponse<RequestBody>, SendError<RequestBody>>;

/// How one try ended.
#[allow(clippy::large_enum_variant, reason = "the large one is the frequent one, and is moved once")]
enum Try {
    Answered(UpstreamResponse<RequestBody>, Seen),
    Failed(SendError<RequestBody>),
    TimedOut(TimedOut),
}

/// Sends the request, as often as the policy says, and answers the client.
#[allow(clippy::manual_async_fn, reason = "the future of an async fn would have each argument twice")]
pub(super) fn run(
    mut forwarding: Forwarding,
    mut request: Request<RequestBody>,
) -> impl Future<Output = Response<ResponseBody>> {
    async move {
        loop {
            let worker = Rc::clone(&forwarding.exchange.connection.worker);
            let runtime = Rc::clone(&forwarding.exchange.runtime);
            let Some(cluster) = forwarding.exchange.place.cluster(&runtime) else {
                return local_reply::refused(forwarding.exchange);
            };
            let mut each_try = forwarding.begin_try();
            let ended = {
                let tls_host = forwarding.tls_host.as_deref();
                let mut sending = pin!(worker.pool.send(cluster, request, tls_host, &mut forwarding.tried));
                let limits = &mut forwarding.exchange.limits;
                deadline::within(sending.as_mut(), &mut forwarding.deadline, &mut each_try, limits).await
            };
            let mut ended = forwarding.end_try(ended);
            match forwarding.again(&mut ended) {
                Some(again) => request = again,
                None => return forwarding.answer(ended),
            }
            drop(ended);
            if let Err(timed_out) = forwarding.pause().await {
                return forwarding.answer(Try::TimedOut(timed_out));
            }
        }
    }
}

impl Forwarding {
    /// Counts the try; returns its own time limit.
    fn begin_try(&mut self) -> Option<Deadline> {
        self.exchange.attempts += 1;
        if let Some(log) = &mut self.exchange.log {
            log.sent = Some(self.exchange.started.elapsed());
        }
        let timeout = self.exchange.retry_policy()?.per_try_timeout?;
        let timers = &self.exchange.connection.worker.timers;
        Some(Deadline::new(timeout, self.exchange.request_body.clone(), timers))
    }

    fn end_try(&mut self, ended: Result<Sent, TimedOut>) -> Try {
        match ended {
            Ok(Ok(answer)) => {
                self.exchange.upstream = Some(answer.endpoint().address());
                let seen = Seen::of(answer.response.headers());
                Try::Answered(answer, seen)
            }
            Ok(Err(error)) => {
                self.exchange.upstream = error.endpoint().map(|endpoint| endpoint.address());
                Try::Failed(error)
            }
            Err(timed_out) => {
                let cluster = self.exchange.place.cluster(&self.exchange.runtime);
                if let (Some(cluster), Some(endpoint)) = (cluster, self.tried.current())
                    && !matches!(timed_out, TimedOut::Stream(_))
                {
                    cluster.report(endpoint, Outcome::TimedOut);
                }
                Try::TimedOut(timed_out)
            }
        }
    }

    /// The request for another try, if the policy wants one and the request is still there.
    fn again(&mut self, ended: &mut Try) -> Option<Request<RequestBody>> {
        self.retry = Permit::default();
        let policy = self.exchange.retry_policy()?;
        let wanted = match ended {
            Try::Answered(answer, seen) => {
                policy.retries_response(answer.response.status(), answer.response.headers(), *seen)
            }
            Try::Failed(error) => policy.retries_failure(error.failure()),
            Try::TimedOut(TimedOut::Try) => policy.retries_timeout(),
            Try::TimedOut(TimedOut::Route | TimedOut::Stream(_)) => false,
        };
        if !wanted {
            return None;
        }
        if self.exchange.attempts > policy.attempts {
            self.exchange.flags.insert(ResponseFlag::UpstreamRetryLimitExceeded);
            return None;
        }
        let cluster = self.exchange.place.cluster(&self.exchange.runtime)?;
        match cluster.acquire(Resource::Retries) {
            Ok(permit) => self.retry = permit,
            Err(_) => {
                // What came of the try before is passed on (Envoy).
                self.exchange.flags.insert(ResponseFlag::UpstreamOverflow);
                return None;
            }
        }
        let unsent = match ended {
            Try::Failed(error) => error.take_request(),
            _ => None,
        };
        let mut request = unsent.or_else(|| self.spare.as_ref()?.next())?;
        if let Try::Answered(answer, _) = ended {
            self.tried.add(answer.endpoint().id());
        }
        if !policy.ignore_previous_hosts {
            self.tried.clear();
        }
        if let Some(metrics) = self.exchange.target().and_then(|target| target.metrics.as_ref()) {
            metrics.retried();
        }
        let count = HeaderValue::from(self.exchange.attempts + 1);
        request.headers_mut().insert(X_ENVOY_ATTEMPT_COUNT, count);
        Some(request)
    }

    /// Waits before the next try; an error when the route's time is over.
    async fn pause(&mut self) -> Result<(), TimedOut> {
        let Some(policy) = self.exchange.retry_policy() else { return Ok(()) };
        let pause =
            policy.pause(self.exchange.attempts, &mut self.exchange.connection.worker.rng.borrow_mut());
        let mut sleep = Box::pin(tokio::time::sleep(pause));
        deadline::within(sleep.as_mut(), &mut self.deadline, &mut None, &mut self.exchange.limits).await
    }

    /// The phase is over: what the client gets.
    fn answer(self, ended: Try) -> Response<ResponseBody> {
        let Self { mut exchange, deadline, upgrade, .. } = self;
        match ended {
            Try::Answered(answer, seen) => match upgrade {
                Some(request) => upgrade::answer(exchange, answer, seen, request, deadline),
                None if answer.response.status().is_informational() => {
                    local_reply::reply(exchange, LocalReply::new(upgrade::NOT_ASKED_FOR))
                }
                None => respond::pass_on(exchange, answer.response, seen, deadline),
            },
            Try::Failed(error) => {
                let reply = failed(&mut exchange, &error);
                local_reply::reply(exchange, reply)
            }
            Try::TimedOut(timed_out) => local_reply::reply(exchange, LocalReply::timed_out(timed_out)),
        }
    }
}

fn failed(exchange: &mut Exchange, error: &SendError<RequestBody>) -> LocalReply {
    let client_failed = exchange.request_body.as_ref().is_some_and(|body| body.failed());
    if client_failed {
        return LocalReply::new(Reason::DownstreamProtocolError).and_close();
    }
    let reply = LocalReply::new(retry::reason(error.failure()));
    let Failure::Connect(cause) = error.failure() else { return reply };
    let text = cause.to_string();
    let reply = reply.with_transport_failure(&text);
    if let Some(log) = &mut exchange.log {
        log.transport_failure = Some(text.into());
    }
    reply
}

/// The first try's number, as a header value.
pub(super) const FIRST_ATTEMPT: HeaderValue = HeaderValue::from_static("1");
