//! Copies of requests: who gets one, and what becomes of it. Nothing here can slow or fail the request itself: a copy is
//! a task of its own, and given up as soon as it is in the way.

use std::{cell::Cell, pin::pin, rc::Rc, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::{Either, pending, select};
use http::{HeaderValue, Request, header, request, uri};
use http_body_util::BodyExt as _;
use postern_snapshot::model::{self, UpstreamProtocol};
use postern_telemetry::metrics::{ClusterMetrics, Metrics, MirrorFailure};
use postern_upstream::{Cluster, Clusters, Failure, Tried};

use super::{
    body::RequestBody,
    buffer::Whole,
    copied::{self, Ended, Writer},
    deadline::{self, Deadline},
    prepare::{self, Prepare},
};
use crate::worker::Worker;

/// So many copies are under way at a worker, and no more.
const MOST_COPIES: usize = 1024;

/// From the end of the request to the end of the response, where the route has no timeout (Envoy's default for routes).
const TIMEOUT: Duration = Duration::from_secs(15);

/// A compiled [`model::Mirror`].
#[derive(Debug)]
pub(super) struct Mirror {
    cluster: Arc<Cluster>,
    metrics: Arc<ClusterMetrics>,
    per_million: u32,
}

impl Mirror {
    /// `None` when there is no such cluster: then there is nobody to copy to.
    pub(super) fn compile(from: &model::Mirror, clusters: &Clusters, metrics: &Metrics) -> Option<Self> {
        let cluster = clusters.get(&from.cluster)?;
        let metrics = metrics.cluster(cluster.name().as_str());
        Some(Self { cluster, metrics, per_million: from.per_million })
    }

    fn is_drawn(&self, rng: &mut fastrand::Rng) -> bool {
        self.per_million >= 1_000_000 || rng.u32(0..1_000_000) < self.per_million
    }
}

/// What all copies of a worker take together.
#[derive(Debug, Default)]
pub(crate) struct MirrorLoad {
    copies: Cell<usize>,
    /// Bytes of bodies that wait for mirrors.
    pub(super) waiting: Cell<usize>,
}

/// The right to one more copy.
struct Place(Rc<MirrorLoad>);

impl Place {
    fn take(load: &Rc<MirrorLoad>) -> Option<Self> {
        let copies = load.copies.get();
        (copies < MOST_COPIES).then(|| {
            load.copies.set(copies + 1);
            Self(Rc::clone(load))
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.copies.set(self.0.copies.get().saturating_sub(1));
    }
}

/// A copy of a request, but for its body.
pub(super) struct Copy {
    head: request::Parts,
    tls_host: Option<String>,
    cluster: Arc<Cluster>,
    metrics: Arc<ClusterMetrics>,
    timeout: Duration,
    worker: Rc<Worker>,
    _place: Place,
}

/// Draws who gets a copy of this request, which is as the client sent it. What switches protocols is not copied.
pub(super) fn draw(prepare: &Prepare<'_>, request: &request::Parts, worker: &Rc<Worker>) -> Vec<Copy> {
    let is_tunnel = prepare.upgrade.is_some() || request.method == http::Method::CONNECT;
    if prepare.action.mirrors.is_empty() || is_tunnel {
        return Vec::new();
    }
    let drawn = prepare.action.mirrors.iter().filter(|mirror| mirror.is_drawn(&mut worker.rng.borrow_mut()));
    drawn.filter_map(|mirror| copy(mirror, prepare, request, worker)).collect()
}

fn copy(
    mirror: &Mirror,
    prepare: &Prepare<'_>,
    request: &request::Parts,
    worker: &Rc<Worker>,
) -> Option<Copy> {
    let Some(place) = Place::take(&worker.mirror_load) else {
        mirror.metrics.mirror_failed(MirrorFailure::Overflow);
        return None;
    };
    let cluster = Arc::clone(&mirror.cluster);
    let protocol = cluster.protocol();
    let host_rewrite = prepare.action.host_rewrite.as_ref();
    let mut head = request.clone();
    let changes = Prepare { target_headers: None, host_rewrite, protocol, ..*prepare };
    if changes.run(&mut head, None).is_err() {
        // The request itself cannot be sent either.
        return None;
    }
    add_shadow(&mut head, protocol);
    let tls_host = cluster.transport().is_tls().then(|| prepare::tls_host(prepare.received, host_rewrite));
    Some(Copy {
        head,
        tls_host,
        cluster,
        metrics: Arc::clone(&mirror.metrics),
        timeout: prepare.action.timeout.unwrap_or(TIMEOUT),
        worker: Rc::clone(worker),
        _place: place,
    })
}

/// The host says that it is a copy, as Envoy's does.
fn add_shadow(head: &mut request::Parts, protocol: UpstreamProtocol) {
    match protocol {
        UpstreamProtocol::Http1 | UpstreamProtocol::Udp => {
            let host = head.headers.get(header::HOST).and_then(|host| host.to_str().ok()).and_then(shadow);
            if let Some(host) = host.and_then(|host| HeaderValue::from_maybe_shared(Bytes::from(host)).ok()) {
                head.headers.insert(header::HOST, host);
            }
        }
        UpstreamProtocol::Http2 => {
            let host = head.uri.authority().and_then(|authority| shadow(authority.as_str()));
            let authority = host.and_then(|host| uri::Authority::from_maybe_shared(Bytes::from(host)).ok());
            let mut parts = head.uri.clone().into_parts();
            if authority.is_some() {
                parts.authority = authority;
            }
            if let Ok(uri) = uri::Uri::from_parts(parts) {
                head.uri = uri;
            }
        }
    }
}

/// `app.example.com-shadow:8080`. An IPv6 address stays as it is: with a suffix it would be no host.
fn shadow(host: &str) -> Option<String> {
    if host.starts_with('[') {
        return None;
    }
    Some(match host.rsplit_once(':') {
        Some((name, port)) => format!("{name}-shadow:{port}"),
        None => format!("{host}-shadow"),
    })
}

/// Sends copies of a request without a body.
pub(super) fn send_empty(copies: Vec<Copy>) {
    for copy in copies {
        copy.send(RequestBody::empty(), None);
    }
}

/// Sends copies of a request whose body is here.
pub(super) fn send_whole(copies: Vec<Copy>, body: &Whole) {
    for copy in copies {
        copy.send(RequestBody::whole(body), None);
    }
}

/// Sends copies of a request whose body comes bit by bit; it is to be written to these too.
pub(super) fn send_streamed(copies: Vec<Copy>, size: &http_body::SizeHint) -> Box<[Writer]> {
    let start = |copy: Copy| {
        let (writer, body) = copied::pair(&copy.worker.mirror_load, size.exact());
        let ended = body.ended();
        copy.send(RequestBody::copied(body), Some(ended));
        writer
    };
    copies.into_iter().map(start).collect()
}

impl Copy {
    fn send(self, body: RequestBody, ended: Option<Ended>) {
        self.metrics.mirrored();
        tokio::task::spawn_local(self.run(body, ended));
    }

    async fn run(self, body: RequestBody, ended: Option<Ended>) {
        let Self { head, tls_host, cluster, metrics, timeout, worker, _place } = self;
        let progress = ended.as_ref().map(Ended::progress);
        let mut deadline = Some(Deadline::new(timeout, progress, &worker.timers));
        let request = Request::from_parts(head, body);
        let exchange = pin!(exchange(&worker, &cluster, request, tls_host.as_deref()));
        let (mut no_try, mut no_limits) = (None, None);
        let exchange = pin!(deadline::within(exchange, &mut deadline, &mut no_try, &mut no_limits));
        let failed =
            pin!(ended.map_or_else(|| Either::Right(pending()), |ended| Either::Left(ended.failed())));
        // A connection that takes no more does not ask for the rest of the body, and so does not hear of its end.
        let failure = match select(failed, exchange).await {
            Either::Left((failure, _)) => failure,
            Either::Right((Ok(Ok(())), _)) => return,
            Either::Right((Ok(Err(failure)), _)) => failure,
            Either::Right((Err(_), _)) => MirrorFailure::Timeout,
        };
        metrics.mirror_failed(failure);
    }
}

/// Sends a copy, and reads the answer to its end.
async fn exchange(
    worker: &Worker,
    cluster: &Arc<Cluster>,
    request: Request<RequestBody>,
    tls_host: Option<&str>,
) -> Result<(), MirrorFailure> {
    let sent = worker.pool.send(cluster, request, tls_host, &mut Tried::new()).await;
    let answer = sent.map_err(|error| match error.failure() {
        Failure::NoEndpoints => MirrorFailure::NoEndpoint,
        Failure::Overflow => MirrorFailure::Overflow,
        Failure::Connect(_) => MirrorFailure::Connect,
        _ => MirrorFailure::Reset,
    })?;
    let mut body = answer.response.into_body();
    while let Some(frame) = body.frame().await {
        frame.map_err(|_| MirrorFailure::Reset)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_another_host() {
        assert_eq!(shadow("a.example").as_deref(), Some("a.example-shadow"));
        assert_eq!(shadow("a.example:8080").as_deref(), Some("a.example-shadow:8080"));
        assert_eq!(shadow("[::1]:8080"), None);
    }

    #[test]
    fn a_worker_has_so_many_copies_under_way() {
        let load = Rc::new(MirrorLoad::default());
        let mut places: Vec<_> = (0..MOST_COPIES).map_while(|_| Place::take(&load)).collect();
        assert_eq!(places.len(), MOST_COPIES);
        assert!(Place::take(&load).is_none());
        places.pop();
        assert!(Place::take(&load).is_some());
    }
}
