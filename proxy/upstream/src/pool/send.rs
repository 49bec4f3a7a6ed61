//! Sending one request.

use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Body;
use postern_snapshot::model::UpstreamProtocol;
use rustls_pki_types::ServerName;

use super::{Pool, ResponseBody, Upgrade, lease::Lease};
use crate::{
    Cause, Cluster, ConnectError, Endpoint, EndpointGuard, Failure, Outcome, Overflow, Resource, SendError,
    Tried, UpstreamStream, connect,
};

/// So many connects of one request may run into the connect timeout; refusals are quick and not limited.
const MAX_TIMEOUTS: usize = 2;
/// So many connections that turn out to be closed are tried, before a new one is made.
const MAX_STALE: usize = 2;

/// A request that was not answered.
pub(super) struct Unanswered<B> {
    pub(super) failure: Failure,
    /// If nothing of its body was taken.
    pub(super) request: Option<Request<B>>,
    /// The connection was used before, and closed without a sign that the request was processed: the usual end of a
    /// keep-alive. The request can be sent again, over another connection, without asking anybody.
    pub(super) stale: bool,
}

/// An upstream's answer.
#[derive(Debug)]
pub struct UpstreamResponse<B> {
    /// Head and body. The body holds the endpoint's guard and the connection until it ends or is dropped.
    pub response: Response<ResponseBody<B>>,
    /// Had the connection served a request before?
    pub reused: bool,
}

impl<B> UpstreamResponse<B> {
    /// Who answered.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        self.response.body().endpoint()
    }

    /// The other protocol's byte stream, if the peer switched to one: after a 101, or a 2xx to CONNECT.
    pub fn take_upgrade(&mut self) -> Option<Upgrade>
    where
        B: 'static,
    {
        self.response.body_mut().take_upgrade()
    }
}

impl<B> Pool<B>
where
    B: Body + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    /// Sends a request to an endpoint of the cluster, and waits for the head of the response.
    ///
    /// `request` is in the form that [`Cluster::protocol`] wants: for HTTP/1.1 an origin-form URI and a `host`
    /// header, for HTTP/2 a URI with scheme and authority. Its version is set here. Hop-by-hop headers are the
    /// caller's concern.
    ///
    /// `tls_host` is the request's host, without port: what the TLS handshake names when the cluster has no SNI.
    ///
    /// Endpoints in `tried` are avoided; those that fail are added to it. A connect that fails is followed by one to
    /// the next endpoint at once, each once. When a connection that was used before turns out to be closed, the request
    /// is sent again over another if nothing of it was sent, or if its method is idempotent and its body untouched.
    /// There is no other retry here, and no timeout but the cluster's connect timeout: drop the future to give up.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. The request is in the error when it is still whole.
    pub async fn send(
        &self,
        cluster: &Arc<Cluster>,
        mut request: Request<B>,
        tls_host: Option<&str>,
        tried: &mut Tried,
    ) -> Result<UpstreamResponse<B>, SendError<B>> {
        *request.version_mut() = match cluster.protocol() {
            UpstreamProtocol::Http1 | UpstreamProtocol::Udp => Version::HTTP_11,
            UpstreamProtocol::Http2 => Version::HTTP_2,
        };
        let mut stale = 0;
        let mut failed = Failed::default();
        loop {
            // After some connections that had closed, there are likely more of them.
            let fresh = stale >= MAX_STALE;
            let (guard, lease) = match self.lease(cluster, tls_host, fresh, tried, &mut failed).await {
                Ok(leased) => leased,
                Err((failure, endpoint)) => return Err(SendError::new(failure, endpoint, Some(request))),
            };
            let reused = lease.reused();
            let id = guard.endpoint().id();
            let unanswered = match lease.send(request).await {
                Ok(response) => {
                    cluster.report(id, Outcome::Status(response.status().as_u16()));
                    let response = response.map(|body| ResponseBody::new(body, guard));
                    return Ok(UpstreamResponse { response, reused });
                }
                Err(unanswered) => unanswered,
            };
            match unanswered.request {
                Some(whole) if unanswered.stale && stale <= MAX_STALE => {
                    stale += 1;
                    request = whole;
                }
                request => {
                    let endpoint = guard.endpoint();
                    tried.add(id);
                    if !matches!(unanswered.failure, Failure::RequestBody(_)) {
                        cluster.report(id, Outcome::Failed);
                    }
                    let error = SendError::new(unanswered.failure, Some(Arc::clone(endpoint)), request);
                    return Err(error.after_reuse(reused));
                }
            }
        }
    }

    /// A connection for one request, from the next endpoint that has one or takes one.
    async fn lease(
        &self,
        cluster: &Arc<Cluster>,
        tls_host: Option<&str>,
        fresh: bool,
        tried: &mut Tried,
        failed: &mut Failed,
    ) -> Result<Leased<B>, GivenUp> {
        loop {
            let endpoint = self.next_endpoint(cluster, tried, failed)?;
            let name = match request_name(&endpoint, tls_host) {
                Ok(name) => name,
                Err(error) => return Err((Failure::Connect(error), Some(endpoint))),
            };
            let host = self.host(&endpoint, name.as_ref());
            tried.is_at(endpoint.id());
            let guard = EndpointGuard::new(endpoint);
            if !fresh && let Some(lease) = host.ready() {
                return admit(cluster, guard, lease);
            }
            let pending = cluster.acquire(Resource::PendingRequests);
            let pending =
                pending.map_err(|Overflow| (Failure::Overflow, Some(Arc::clone(guard.endpoint()))))?;
            let waited = host.wait(cluster).await;
            drop(pending);
            match waited {
                Ok(lease) => return admit(cluster, guard, lease),
                Err(error) => {
                    cluster.report(guard.endpoint().id(), Outcome::Failed);
                    failed.add(guard.endpoint(), error, tried);
                }
            }
        }
    }

    /// The endpoint to connect to; the last failure when all that may be tried were.
    fn next_endpoint(
        &self,
        cluster: &Cluster,
        tried: &Tried,
        failed: &mut Failed,
    ) -> Result<Arc<Endpoint>, GivenUp> {
        let give_up = |failed: &mut Failed| match failed.last.take() {
            Some((endpoint, error)) => (Failure::Connect(error), Some(endpoint)),
            None => (Failure::NoEndpoints, None),
        };
        if failed.timeouts >= MAX_TIMEOUTS {
            return Err(give_up(failed));
        }
        match self.choose(cluster, tried) {
            Some(endpoint) if !failed.endpoints.contains(endpoint.id()) => Ok(endpoint),
            _ => Err(give_up(failed)),
        }
    }

    /// Connects to an endpoint of the cluster, to the next at once if that fails, and gives the byte stream: TCP, or
    /// TLS if the cluster says so. It is never shared or pooled. Keep the guard as long as the stream.
    ///
    /// # Errors
    ///
    /// [`Failure::NoEndpoints`], [`Failure::Overflow`] or [`Failure::Connect`].
    pub async fn connect_stream(
        &self,
        cluster: &Arc<Cluster>,
        tls_host: Option<&str>,
    ) -> Result<(UpstreamStream, EndpointGuard), SendError<B>> {
        let permit = cluster.acquire(Resource::Connections);
        let permit = permit.map_err(|Overflow| SendError::new(Failure::Overflow, None, None))?;
        let mut tried = Tried::new();
        let mut failed = Failed::default();
        loop {
            let next = self.next_endpoint(cluster, &tried, &mut failed);
            let endpoint = next.map_err(|(failure, endpoint)| SendError::new(failure, endpoint, None))?;
            let mut guard = EndpointGuard::new(endpoint);
            match self.open_stream(cluster, guard.endpoint(), tls_host).await {
                Ok(stream) => {
                    cluster.report(guard.endpoint().id(), Outcome::Connected);
                    guard.hold(permit);
                    return Ok((stream, guard));
                }
                Err(error) => {
                    cluster.report(guard.endpoint().id(), Outcome::Failed);
                    failed.add(guard.endpoint(), error, &mut tried);
                }
            }
        }
    }

    async fn open_stream(
        &self,
        cluster: &Arc<Cluster>,
        endpoint: &Arc<Endpoint>,
        tls_host: Option<&str>,
    ) -> Result<UpstreamStream, ConnectError> {
        let start = tokio::time::Instant::now();
        let name = request_name(endpoint, tls_host)?;
        let within = cluster.settings().connect_timeout;
        let observer = &self.0.shared.observer;
        let made = connect::connect(endpoint.address(), endpoint.transport(), name, within).await;
        match &made {
            Ok(_) => {
                endpoint.reinstate();
                observer.connected(cluster, endpoint, start.elapsed());
            }
            Err(error) => {
                endpoint.set_aside();
                observer.connect_failed(cluster, endpoint, error);
            }
        }
        made
    }
}

/// A connection for one request, which counts at its endpoint.
type Leased<B> = (EndpointGuard, Lease<B>);

/// Why there is no connection, and where there was none last.
type GivenUp = (Failure, Option<Arc<Endpoint>>);

/// A request that has a connection now, if there are not too many already.
fn admit<B>(cluster: &Cluster, mut guard: EndpointGuard, lease: Lease<B>) -> Result<Leased<B>, GivenUp> {
    match cluster.acquire(Resource::Requests) {
        Ok(permit) => {
            guard.hold(permit);
            Ok((guard, lease))
        }
        Err(Overflow) => {
            lease.give_back();
            Err((Failure::Overflow, Some(Arc::clone(guard.endpoint()))))
        }
    }
}

/// The connects that failed for one request.
#[derive(Default)]
struct Failed {
    endpoints: Tried,
    timeouts: usize,
    last: Option<(Arc<Endpoint>, ConnectError)>,
}

impl Failed {
    fn add(&mut self, endpoint: &Arc<Endpoint>, error: ConnectError, tried: &mut Tried) {
        tried.add(endpoint.id());
        self.endpoints.add(endpoint.id());
        self.timeouts += usize::from(matches!(error, ConnectError::Timeout(_)));
        self.last = Some((Arc::clone(endpoint), error));
    }
}

/// The name for the TLS handshake, if it comes from the request.
fn request_name(
    endpoint: &Endpoint,
    tls_host: Option<&str>,
) -> Result<Option<ServerName<'static>>, ConnectError> {
    match endpoint.transport().name_from(tls_host) {
        None => Ok(None),
        Some(Ok(name)) => Ok(Some(name)),
        Some(Err(_)) => Err(ConnectError::NoServerName),
    }
}
