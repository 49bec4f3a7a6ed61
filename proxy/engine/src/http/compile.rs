//! From a route table to what requests need: the router, and for each route what it does, with names, values and
//! references resolved once.

use std::{sync::Arc, time::Duration};

use http::{HeaderValue, StatusCode, uri::Authority};
use postern_router::Router;
use postern_snapshot::{
    Port,
    ack::{Refused, RefusedKind},
    model::{self, HttpChain, RouteBuffer, RouteTable},
};
use postern_telemetry::metrics::{ClusterMetrics, Destination, DestinationLabels, Metrics};
use postern_upstream::{Cluster, Clusters, WeightedChoice};

use super::{
    compress::Compression,
    cors::Cors,
    direct::DirectResponse,
    header_ops::HeaderOps,
    mirror::Mirror,
    rate_limit::{self, LimitCompiler, Limits, RateLimits},
    redirect::Redirect,
    retry::RetryPolicy,
    rewrite::PathRewrite,
    settings::Settings,
};

/// What an HTTP listener or TLS chain serves. Immutable.
#[derive(Debug, Default)]
pub struct HttpRuntime {
    pub(super) router: Router,
    hosts: Box<[Host]>,
    /// For requests without a route.
    pub(super) limits: Limits,
    /// `None`: responses are not compressed.
    pub(super) compression: Option<Box<Compression>>,
    pub(super) settings: Settings,
}

#[derive(Debug)]
struct Host {
    routes: Box<[Route]>,
}

/// A route whose conditions are the router's; here is what comes after.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) name: Box<str>,
    pub(super) action: Action,
    /// Boxed and absent in most cases.
    pub(super) request_headers: Option<Box<HeaderOps>>,
    pub(super) response_headers: Option<Box<HeaderOps>>,
    /// The virtual host's changes, which follow.
    pub(super) host: Option<Arc<HostHeaders>>,
    pub(super) limits: Limits,
    /// Requests reach the upstream whole, and have no more bytes than this.
    pub(super) buffer: Option<u32>,
    pub(super) compresses: bool,
    pub(super) cors: Option<Box<Cors>>,
}

/// A virtual host's changes to headers.
#[derive(Debug, Default)]
pub(super) struct HostHeaders {
    pub(super) request: HeaderOps,
    pub(super) response: HeaderOps,
}

#[derive(Debug)]
pub(super) enum Action {
    Forward(Box<Forward>),
    Redirect(Box<Redirect>),
    Direct(Box<DirectResponse>),
    /// The route's changes cannot be carried out: 500.
    Refused,
}

/// A compiled [`model::Forward`].
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) targets: Box<[Target]>,
    pub(super) choice: WeightedChoice,
    pub(super) path_rewrite: Option<PathRewrite>,
    pub(super) timeout: Option<Duration>,
    pub(super) retry: Option<RetryPolicy>,
    pub(super) mirrors: Box<[Mirror]>,
    /// The route's own, which mirrors see too.
    pub(super) host_rewrite: Option<HostRewrite>,
}

/// The host that the upstream sees, in the forms of HTTP/1.1 and HTTP/2.
#[derive(Debug)]
pub(super) struct HostRewrite {
    pub(super) value: HeaderValue,
    pub(super) authority: Authority,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) goes_to: GoesTo,
    pub(super) destination: Arc<Destination>,
    /// Absent where it goes nowhere.
    pub(super) metrics: Option<Arc<ClusterMetrics>>,
    /// The route's, else the target's own (Istio).
    pub(super) host_rewrite: Option<HostRewrite>,
    pub(super) request_headers: Option<Box<HeaderOps>>,
    pub(super) response_headers: Option<Box<HeaderOps>>,
}

#[derive(Debug)]
pub(super) enum GoesTo {
    Cluster(Arc<Cluster>),
    /// Nowhere; this is the answer.
    Nowhere(StatusCode),
}

impl Target {
    pub(super) fn cluster_name(&self) -> Option<&str> {
        match &self.goes_to {
            GoesTo::Cluster(cluster) => Some(cluster.name().as_str()),
            GoesTo::Nowhere(_) => None,
        }
    }
}

impl HttpRuntime {
    /// Whether a virtual host, by its place in the route table, has any route.
    pub(super) fn has_routes(&self, virtual_host: usize) -> bool {
        self.hosts.get(virtual_host).is_some_and(|host| !host.routes.is_empty())
    }

    /// Compiles a route table. `service_port` is the port that clients know, for redirects.
    ///
    /// A route that cannot be carried out costs only itself: it is told, and its requests get 500.
    #[must_use]
    pub fn compile(
        table: &RouteTable,
        chain: &HttpChain,
        service_port: Port,
        clusters: &Clusters,
        metrics: &Metrics,
        limits: &RateLimits,
    ) -> (Self, Vec<Refused>) {
        let (router, refused_matches) = Router::compile(table);
        let mut refused: Vec<Refused> = refused_matches
            .into_iter()
            .map(|refused| Refused {
                kind: RefusedKind::Route,
                name: refused_name(&refused.virtual_host_name, &refused.name, refused.route),
                origin: refused.origin,
                problem: refused.problem.to_string(),
            })
            .collect();
        let mut problems = Vec::new();
        let own = &chain.filters.local_rate_limits;
        let limits = LimitCompiler::new(limits, chain.route_table.as_str(), own, &mut problems);
        let buffer = chain.filters.buffer;
        let compiler = Compiler { service_port, clusters, metrics, limits, buffer };
        refused.extend(problems.into_iter().map(refused_setting));
        let hosts = table.virtual_hosts.iter().map(|host| compiler.host(host, &mut refused)).collect();
        let limits = compiler.limits.chain();
        let compression = Compression::compile(&chain.filters.compressors);
        let mut problems = Vec::new();
        let settings = Settings::compile(&chain.settings, &mut problems);
        refused.extend(problems.into_iter().map(refused_setting));
        (Self { router, hosts, limits, compression, settings }, refused)
    }

    /// The route at this place of the router's answer.
    pub(super) fn route(&self, virtual_host: usize, route: usize) -> Option<&Route> {
        self.hosts.get(virtual_host)?.routes.get(route)
    }
}

fn refused_setting(problem: rate_limit::Problem) -> Refused {
    let rate_limit::Problem { origin, what } = problem;
    Refused { kind: RefusedKind::Setting, name: String::new(), origin, problem: what }
}

fn refused_name(virtual_host: &str, route: &str, index: usize) -> String {
    match route {
        "" => format!("{virtual_host}/{index}"),
        name => format!("{virtual_host}/{name}"),
    }
}

struct Compiler<'a> {
    service_port: Port,
    clusters: &'a Clusters,
    metrics: &'a Metrics,
    limits: LimitCompiler<'a>,
    /// The chain's.
    buffer: Option<model::Buffer>,
}

impl Compiler<'_> {
    fn host(&self, from: &model::VirtualHost, refused: &mut Vec<Refused>) -> Host {
        let headers = self.host_headers(from, refused);
        let mut problems = Vec::new();
        let host_limits = self.limits.host(&from.name, &from.filters.local_rate_limits, &mut problems);
        let mut routes = Vec::with_capacity(from.routes.len());
        for (index, route) in from.routes.iter().enumerate() {
            let place = format!("{}/{index}/{}", from.name, route.name);
            let overrides = &route.filters.local_rate_limits;
            let limits = self.limits.route(&host_limits, &place, overrides, &mut problems);
            let compiled = self.route(route).unwrap_or_else(|problem| {
                refused.push(Refused {
                    kind: RefusedKind::Route,
                    name: refused_name(&from.name, &route.name, index),
                    origin: route.origin.clone(),
                    problem,
                });
                Route {
                    name: route.name.as_str().into(),
                    action: Action::Refused,
                    request_headers: None,
                    response_headers: None,
                    host: None,
                    limits: Limits::default(),
                    buffer: None,
                    compresses: true,
                    cors: None,
                }
            });
            let buffer = self.buffer(&from.filters, &route.filters);
            let disabled = route.filters.compressors_disabled.or(from.filters.compressors_disabled);
            let compresses = !disabled.unwrap_or_default();
            routes.push(Route { host: headers.clone(), limits, buffer, compresses, ..compiled });
        }
        refused.extend(problems.into_iter().map(refused_setting));
        Host { routes: routes.into() }
    }

    /// What cannot be done is told, and left out.
    fn host_headers(
        &self,
        from: &model::VirtualHost,
        refused: &mut Vec<Refused>,
    ) -> Option<Arc<HostHeaders>> {
        if from.request_headers.is_empty() && from.response_headers.is_empty() {
            return None;
        }
        let mut compile = |ops: &model::HeaderOps| {
            HeaderOps::compile(ops).unwrap_or_else(|problem| {
                let (kind, name) = (RefusedKind::Setting, from.name.clone());
                refused.push(Refused { kind, name, origin: String::new(), problem });
                HeaderOps::default()
            })
        };
        let request = compile(&from.request_headers);
        Some(Arc::new(HostHeaders { request, response: compile(&from.response_headers) }))
    }

    fn route(&self, from: &model::Route) -> Result<Route, String> {
        Ok(Route {
            name: from.name.as_str().into(),
            action: self.action(&from.action)?,
            request_headers: header_ops(&from.request_headers)?,
            response_headers: header_ops(&from.response_headers)?,
            host: None,
            limits: Limits::default(),
            buffer: None,
            compresses: true,
            cors: from.cors.as_ref().map(Cors::compile).transpose()?.map(Box::new),
        })
    }

    /// What a route says goes before what its virtual host says. Where the chain does not buffer, they change nothing.
    fn buffer(&self, host: &model::RouteFilters, route: &model::RouteFilters) -> Option<u32> {
        let chain = self.buffer?;
        match route.buffer.or(host.buffer) {
            None => Some(chain.max_request_bytes),
            Some(RouteBuffer::Buffer(other)) => Some(other.max_request_bytes),
            Some(RouteBuffer::Disabled) => None,
        }
    }

    fn action(&self, from: &model::RouteAction) -> Result<Action, String> {
        Ok(match from {
            model::RouteAction::Forward(forward) => Action::Forward(Box::new(self.forward(forward)?)),
            model::RouteAction::Redirect(redirect) => {
                Action::Redirect(Box::new(Redirect::compile(redirect, self.service_port)?))
            }
            model::RouteAction::DirectResponse(direct) => {
                Action::Direct(Box::new(DirectResponse::compile(direct)?))
            }
        })
    }

    fn forward(&self, from: &model::Forward) -> Result<Forward, String> {
        Ok(Forward {
            targets: from.targets.iter().map(|target| self.target(from, target)).collect::<Result<_, _>>()?,
            choice: WeightedChoice::new(from.targets.iter().map(|target| target.weight)),
            path_rewrite: from.path_rewrite.as_ref().map(PathRewrite::compile).transpose()?,
            timeout: from.timeout,
            retry: from.retry.as_ref().map(RetryPolicy::compile),
            mirrors: self.mirrors(&from.mirrors),
            host_rewrite: from.host_rewrite.as_deref().map(host_rewrite).transpose()?,
        })
    }

    fn mirrors(&self, from: &[model::Mirror]) -> Box<[Mirror]> {
        from.iter().filter_map(|mirror| Mirror::compile(mirror, self.clusters, self.metrics)).collect()
    }

    fn target(&self, forward: &model::Forward, from: &model::WeightedTarget) -> Result<Target, String> {
        let (goes_to, destination) = match &from.target {
            model::Target::Cluster(name) => match self.clusters.get(name) {
                Some(cluster) => {
                    let destination = self.metrics.destination(&labels(&cluster.settings().service));
                    (GoesTo::Cluster(cluster), destination)
                }
                None => self.nowhere(StatusCode::SERVICE_UNAVAILABLE),
            },
            model::Target::Unavailable { status } => {
                let status = StatusCode::from_u16(*status)
                    .map_err(|_| format!("{status} is not a status for an unavailable target"))?;
                self.nowhere(status)
            }
        };
        let metrics = match &goes_to {
            GoesTo::Cluster(cluster) => Some(self.metrics.cluster(cluster.name().as_str())),
            GoesTo::Nowhere(_) => None,
        };
        Ok(Target {
            goes_to,
            destination,
            metrics,
            host_rewrite: forward
                .host_rewrite
                .as_deref()
                .or(from.host_rewrite.as_deref())
                .map(host_rewrite)
                .transpose()?,
            request_headers: header_ops(&from.request_headers)?,
            response_headers: header_ops(&from.response_headers)?,
        })
    }

    fn nowhere(&self, status: StatusCode) -> (GoesTo, Arc<Destination>) {
        (GoesTo::Nowhere(status), Arc::clone(self.metrics.unknown_destination()))
    }
}

fn header_ops(from: &model::HeaderOps) -> Result<Option<Box<HeaderOps>>, String> {
    if from.is_empty() { Ok(None) } else { HeaderOps::compile(from).map(Box::new).map(Some) }
}

fn host_rewrite(host: &str) -> Result<HostRewrite, String> {
    let invalid = || format!("host rewrite: {host:?} is not a valid host");
    Ok(HostRewrite {
        value: HeaderValue::from_str(host).map_err(|_| invalid())?,
        authority: host.parse().map_err(|_| invalid())?,
    })
}

pub(crate) fn labels(service: &model::ServiceIdentity) -> DestinationLabels {
    DestinationLabels {
        service: service.host.clone(),
        name: service.name.clone(),
        namespace: service.namespace.clone(),
    }
}
