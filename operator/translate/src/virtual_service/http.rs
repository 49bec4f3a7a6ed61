//! HTTP rules → routes.

use postern_api::istio::virtual_service::{HttpAction, HttpRoute, HttpRouteDestination};
use postern_snapshot::model::{
    CorsPolicy, Forward, HeaderOps, Mirror, PathMatch, PathRewrite, Route, RouteAction, RouteFilters,
    RouteMatch, Target, WeightedTarget,
};

use super::Viewpoint;
use super::cors::cors_policy;
use super::headers::{HeaderChanges, header_changes};
use super::match_::{is_catch_all, is_for, route_match};
use super::redirect::{direct_response, redirect};
use super::retry::retry_policy;
use crate::at::At;
use crate::config::{RuleRef, VirtualServiceConfig};
use crate::destination::{Asker, REQUESTS_FAIL, Resolver};
use crate::finding::{Findings, Problem, Reason};
use crate::names::origin;

/// The routes of a VirtualService for one server, in order, up to the first that takes every request (Istio).
///
/// A rule becomes one route, or more: one for each name of a match, and one for a match that takes everything, as
/// that is moved behind the routes of other VirtualServices.
pub(crate) fn routes(
    virtual_service: &VirtualServiceConfig,
    here: &Viewpoint<'_>,
    resolver: &mut Resolver<'_>,
    findings: &mut Findings,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for found in virtual_service.rules() {
        let matches = MatchGroups::of(found, virtual_service, here);
        if matches.groups.is_empty() {
            continue;
        }
        let asker = Asker {
            namespace: &found.key.namespace,
            semantics: virtual_service.semantics,
            here,
            otherwise: REQUESTS_FAIL,
        };
        let action = found.at(|at| Action::of(found.rule, &asker, resolver, at, findings));
        let Some(action) = action else { continue };
        let takes_all = matches.takes_all;
        routes.extend(action.routes(matches.groups, &origin(found.key)));
        if takes_all {
            break;
        }
    }
    routes
}

/// Is this the route of a match that takes every request?
pub(crate) fn takes_all(route: &Route) -> bool {
    route.matches.is_empty() || route.matches.iter().any(is_catch_all)
}

/// The matches of a rule that look at a server, by the names of the routes that they become.
struct MatchGroups {
    groups: Vec<MatchGroup>,
    /// The last one takes every request.
    takes_all: bool,
}

struct MatchGroup {
    name: String,
    /// None: every request.
    matches: Vec<RouteMatch>,
}

impl MatchGroups {
    fn of(found: RuleRef<'_>, virtual_service: &VirtualServiceConfig, here: &Viewpoint<'_>) -> Self {
        let RuleRef { key, rule, .. } = found;
        let rule_name = rule.name.as_deref().unwrap_or_default();
        // A prefix rewrite of a rule for all paths replaces the prefix `/` (Istio: that is what it matches).
        let rewrites_prefix = rule.rewrite.as_ref().is_some_and(|rewrite| rewrite.uri.is_some());
        let every_path = || rewrites_prefix.then(|| PathMatch::Prefix("/".to_owned()));
        if rule.match_.is_empty() {
            let path = every_path();
            let matches = path.map(|path| RouteMatch { path: Some(path), ..RouteMatch::default() });
            let group = MatchGroup { name: rule_name.to_owned(), matches: matches.into_iter().collect() };
            return Self { groups: vec![group], takes_all: true };
        }
        let mut groups: Vec<MatchGroup> = Vec::new();
        for request in rule.match_.iter().filter(|request| is_for(request, &key.namespace, here)) {
            let Some(mut found) = route_match(request, virtual_service.semantics.prefix) else { continue };
            let name = match &request.name {
                Some(match_name) => format!("{rule_name}.{match_name}"),
                None => rule_name.to_owned(),
            };
            found.path = found.path.or_else(every_path);
            if is_catch_all(&found) {
                groups.push(MatchGroup { name, matches: vec![found] });
                return Self { groups, takes_all: true };
            }
            match groups.last_mut() {
                Some(group) if group.name == name => group.matches.push(found),
                _ => groups.push(MatchGroup { name, matches: vec![found] }),
            }
        }
        Self { groups, takes_all: false }
    }
}

/// What a rule does with requests, whatever their match.
#[derive(Clone)]
struct Action {
    action: RouteAction,
    request_headers: HeaderOps,
    response_headers: HeaderOps,
    cors: Option<CorsPolicy>,
}

impl Action {
    fn of(
        rule: &HttpRoute,
        asker: &Asker<'_>,
        resolver: &mut Resolver<'_>,
        at: &At<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let headers = header_changes(rule.headers.as_ref(), &at.field("headers"), findings);
        let action = match rule.action() {
            // Of a rule that has been merged, or could not be.
            Some(HttpAction::Delegate(_)) => return None,
            Some(HttpAction::Redirect(to)) => {
                RouteAction::Redirect(redirect(to, asker.semantics, &at.field("redirect"), findings)?)
            }
            Some(HttpAction::DirectResponse(response)) => {
                let at = at.field("directResponse");
                RouteAction::DirectResponse(direct_response(response, &at, findings)?)
            }
            Some(HttpAction::Route(destinations)) => {
                let targets = targets(destinations, asker, resolver, &at.field("route"), findings);
                let mirrors = mirrors(rule, asker, resolver, at, findings);
                RouteAction::Forward(forward(rule, targets, mirrors, headers.host, at, findings))
            }
            None => {
                let message = "it has neither route nor redirect nor directResponse; this rule is left out";
                findings.error(at, Problem::accepted(Reason::Invalid, message));
                return None;
            }
        };
        Some(Self {
            action,
            request_headers: headers.request,
            response_headers: headers.response,
            cors: rule.cors_policy.as_ref().map(cors_policy),
        })
    }

    /// The routes of the rule, one for each group of matches.
    fn routes(self, mut groups: Vec<MatchGroup>, origin: &str) -> Vec<Route> {
        // Nearly all rules have one group, which need not copy.
        let Some(last) = groups.pop() else { return Vec::new() };
        let mut routes: Vec<_> = groups.into_iter().map(|group| self.clone().route(group, origin)).collect();
        routes.push(self.route(last, origin));
        routes
    }

    fn route(self, group: MatchGroup, origin: &str) -> Route {
        Route {
            name: group.name,
            origin: origin.to_owned(),
            matches: group.matches,
            action: self.action,
            request_headers: self.request_headers,
            response_headers: self.response_headers,
            filters: RouteFilters::default(),
            cors: self.cors,
        }
    }
}

fn forward(
    rule: &HttpRoute,
    mut targets: Vec<WeightedTarget>,
    mirrors: Vec<Mirror>,
    host: Option<String>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Forward {
    let rewrite = rule.rewrite.as_ref();
    let path_rewrite = rewrite.and_then(|rewrite| match (&rewrite.uri_regex_rewrite, &rewrite.uri) {
        (Some(regex), _) => {
            Some(PathRewrite::Regex { pattern: regex.match_.clone(), substitution: regex.rewrite.clone() })
        }
        (None, Some(uri)) => Some(PathRewrite::Prefix(uri.clone())),
        (None, None) => None,
    });
    let mut host_rewrite = rewrite.and_then(|rewrite| rewrite.authority.clone()).or(host);
    // A sole target's is as good as the route's.
    if let ([target], None) = (targets.as_mut_slice(), &host_rewrite) {
        host_rewrite = target.host_rewrite.take();
    }
    Forward {
        targets,
        path_rewrite,
        host_rewrite,
        timeout: rule.timeout.filter(|timeout| !timeout.is_zero()).map(Into::into),
        retry: retry_policy(rule.retries.as_ref(), &at.field("retries"), findings),
        mirrors,
    }
}

/// The shares of traffic, at least one. A sole destination gets everything; of several those of weight 0 are left
/// out. `at` is the place of `route`.
fn targets(
    destinations: &[HttpRouteDestination],
    asker: &Asker<'_>,
    resolver: &mut Resolver<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<WeightedTarget> {
    let sole = destinations.len() == 1;
    let mut targets = Vec::with_capacity(destinations.len());
    for (index, destination) in destinations.iter().enumerate() {
        if destination.weight == 0 && !sole {
            continue;
        }
        let at = at.index(index);
        let target = resolver.target(&destination.destination, asker, &at.field("destination"), findings);
        let HeaderChanges { request, response, host } =
            header_changes(destination.headers.as_ref(), &at.field("headers"), findings);
        targets.push(WeightedTarget {
            target,
            weight: if sole { 1 } else { destination.weight },
            host_rewrite: host,
            request_headers: request,
            response_headers: response,
        });
    }
    if targets.is_empty() {
        let message = "the weights of all destinations are 0, so there is none; requests get an error";
        findings.error(at, Problem::accepted(Reason::Invalid, message));
        let status = asker.semantics.missing_destination_status;
        targets.push(nowhere(status));
    }
    targets
}

/// Who gets copies of the requests. One that does not exist, or gets a share of nothing, is left out (Istio). `at` is the
/// rule's place.
fn mirrors(
    rule: &HttpRoute,
    asker: &Asker<'_>,
    resolver: &mut Resolver<'_>,
    at: &At<'_>,
    findings: &mut Findings,
) -> Vec<Mirror> {
    let asker = Asker { otherwise: "it gets no copies of requests", ..*asker };
    let list = at.field("mirrors");
    let mut mirrors = Vec::new();
    for (index, policy) in rule.all_mirrors().iter().enumerate() {
        let per_million = policy.share().millionths();
        let target = if rule.mirror.is_some() {
            resolver.target(&policy.destination, &asker, &at.field("mirror"), findings)
        } else {
            resolver.target(&policy.destination, &asker, &list.index(index).field("destination"), findings)
        };
        if let (Target::Cluster(cluster), 1..) = (target, per_million) {
            mirrors.push(Mirror { cluster, per_million });
        }
    }
    mirrors
}

/// A target that answers with an error.
pub(crate) fn nowhere(status: u16) -> WeightedTarget {
    WeightedTarget {
        target: Target::Unavailable { status },
        weight: 1,
        host_rewrite: None,
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    }
}
