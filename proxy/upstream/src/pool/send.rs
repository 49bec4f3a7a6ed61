//! Sending one request.

use std::sync::Arc;

use http::{Request, Response, Version};
use hyper::body::Body;
use postern_snapshot::model::UpstreamProtocol;
use rustls_pki_types::ServerName;

use super::{Pool, ResponseBody, Upgrade, lease::Lease};
use crate::{
    Cause, Cluster, ConnectError, Endpoint, EndpointGuard, Failure, SendError, Tried, UpstreamStream, connect,
};

/// So many connects of one request may run into the connect timeout; refusals are quick and not limited.
const MAX_TIMEOUTS: usize = 2;
/// So often a request may be given back by connections that were closing, before that is a failure.
const MAX_GIVEN_BACK: usize = 8;

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
        Upgrade::of(&mut self.response)
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
    /// the next endpoint at once, each once. A request that a closing connection gives back untouched is sent again.
    /// There is no other retry here, and no timeout but the cluster's connect timeout: drop the future to give up.
    ///
    /// # Errors
    ///
    /// See [`Failure`]. The request is in the error when nothing of it was sent.
    pub async fn send(
        &self,
        cluster: &Arc<Cluster>,
        mut request: Request<B>,
        tls_host: Option<&str>,
        tried: &mut Tried,
    ) -> Result<UpstreamResponse<B>, SendError<B>> {
        *request.version_mut() = match cluster.protocol() {
            UpstreamProtocol::Http1 => Version::HTTP_11,
            UpstreamProtocol::Http2 => Version::HTTP_2,
        };
        let mut given_back = 0;
        let mut failed = Failed::default();
        loop {
            let (guard, mut lease) = match self.lease(cluster, tls_host, tried, &mut failed).await {
                Ok(leased) => leased,
                Err((failure, endpoint)) => {
                    let error = SendError::new(failure, Some(request));
                    return Err(match endpoint {
                        Some(endpoint) => error.at(endpoint, false),
                        None => error,
                    });
                }
            };
            let reused = lease.reused();
            let mut error = match lease.send(request).await {
                Ok(response) => {
                    let upgraded = Upgrade::is_in(&response);
                    let response = response.map(|body| ResponseBody::new(body, guard, lease, upgraded));
                    return Ok(UpstreamResponse { response, reused });
                }
                Err(error) => error,
            };
            drop(lease);
            let endpoint = Arc::clone(guard.endpoint());
            match error.take_message() {
                Some(returned) if given_back < MAX_GIVEN_BACK => {
                    given_back += 1;
                    request = returned;
                }
                returned => {
                    tried.add(endpoint.id());
                    let failure = match &returned {
                        Some(_) => Failure::ResetBeforeRequest(error.into_error().into()),
                        None => Failure::of_sent(error.into_error()),
                    };
                    return Err(SendError::new(failure, returned).at(endpoint, reused));
                }
            }
        }
    }

    /// A connection for one request, from the next endpoint that has one or takes one.
    async fn lease(
        &self,
        cluster: &Arc<Cluster>,
        tls_host: Option<&str>,
        tried: &mut Tried,
        failed: &mut Failed,
    ) -> Result<(EndpointGuard, Lease<B>), (Failure, Option<Arc<Endpoint>>)> {
        loop {
            let endpoint = self.next_endpoint(cluster, tried, failed)?;
            let name = match request_name(&endpoint, tls_host) {
                Ok(name) => name,
                Err(error) => return Err((Failure::Connect(error), Some(endpoint))),
            };
            let host = self.host(&endpoint, name.as_ref());
            let guard = EndpointGuard::new(endpoint);
            if let Some(lease) = host.ready() {
                return Ok((guard, lease));
            }
            match host.wait(cluster).await {
                Ok(lease) => return Ok((guard, lease)),
                Err(error) => failed.add(guard.endpoint(), error, tried),
            }
        }
    }

    /// The endpoint to connect to; the last failure when all that may be tried were.
    fn next_endpoint(
        &self,
        cluster: &Cluster,
        tried: &Tried,
        failed: &mut Failed,
    ) -> Result<Arc<Endpoint>, (Failure, Option<Arc<Endpoint>>)> {
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
    /// [`Failure::NoEndpoints`] or [`Failure::Connect`].
    pub async fn connect_stream(
        &self,
        cluster: &Arc<Cluster>,
        tls_host: Option<&str>,
    ) -> Result<(UpstreamStream, EndpointGuard), SendError<B>> {
        let mut tried = Tried::new();
        let mut failed = Failed::default();
        loop {
            let next = self.next_endpoint(cluster, &tried, &mut failed);
            let endpoint = next.map_err(|(failure, endpoint)| stream_error(failure, endpoint))?;
            let guard = EndpointGuard::new(endpoint);
            match self.open_stream(cluster, guard.endpoint(), tls_host).await {
                Ok(stream) => return Ok((stream, guard)),
                Err(error) => failed.add(guard.endpoint(), error, &mut tried),
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

fn stream_error<B>(failure: Failure, endpoint: Option<Arc<Endpoint>>) -> SendError<B> {
    let error = SendError::new(failure, None);
    match endpoint {
        Some(endpoint) => error.at(endpoint, false),
        None => error,
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
