//! What to try: commands made from what a snapshot serves.
//!
//! A request that should reach a route is made up from the route's conditions, and then put to the same [`Router`] that
//! the proxy uses: only what arrives is shown.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use postern_router::{Lookup, RequestHead, Router};
use postern_snapshot::model::{
    Forward, HeaderMatch, HttpChain, ListenerProtocol, PathMatch, QueryMatch, Route, RouteAction, RouteMatch,
    Snapshot, StringMatch, Target, Terminated, TlsAction, TlsChain, ValueMatch, VirtualHost,
};
use postern_snapshot::{HostPattern, Port};

/// So many hosts of an ingress are shown.
const MAX_HINTS: usize = 8;
/// A path that is likely not to be there.
const NOWHERE: &str = "/other";

/// A command, and what comes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) command: String,
    pub(super) outcome: String,
}

/// The hints for an ingress at this address.
pub(super) fn hints(snapshot: &Snapshot, address: IpAddr, cacert: Option<&Path>) -> Vec<Hint> {
    let mut hints = Hints { snapshot, address, cacert, found: Vec::new(), nowhere: None };
    for listener in &snapshot.routes.listeners {
        let address = listener.address.filter(|address| !address.is_unspecified()).unwrap_or(hints.address);
        let socket = Socket { address, port: listener.port };
        match &listener.protocol {
            ListenerProtocol::Http(chain) => hints.http(chain, socket),
            ListenerProtocol::Tcp(_) => hints.add(format!("nc {address} {}", listener.port), "TCP"),
            ListenerProtocol::Tls { chains } => chains.iter().for_each(|chain| hints.tls(chain, socket)),
            ListenerProtocol::Udp(_) => hints.add(format!("nc -u {address} {}", listener.port), "UDP"),
        }
    }
    let Hints { mut found, nowhere, .. } = hints;
    let left = found.len().saturating_sub(MAX_HINTS);
    found.truncate(MAX_HINTS);
    if left > 0 {
        found.push(Hint { command: format!("# … and {left} more"), outcome: String::new() });
    }
    found.extend(nowhere);
    found
}

#[derive(Debug, Clone, Copy)]
struct Socket {
    address: IpAddr,
    port: Port,
}

struct Hints<'a> {
    snapshot: &'a Snapshot,
    address: IpAddr,
    cacert: Option<&'a Path>,
    found: Vec<Hint>,
    /// One that is answered with 404.
    nowhere: Option<Hint>,
}

impl<'a> Hints<'a> {
    fn add(&mut self, command: String, outcome: impl Into<String>) {
        self.found.push(Hint { command, outcome: outcome.into() });
    }

    fn http(&mut self, chain: &HttpChain, socket: Socket) {
        let Some(table) = self.snapshot.routes.route_tables.get(&chain.route_table) else { return };
        let router = Router::compile(table).0;
        for virtual_host in &table.virtual_hosts {
            let Some(domain) = virtual_host.domains.first() else { continue };
            self.virtual_host(&router, virtual_host, domain, "http", socket);
        }
    }

    fn tls(&mut self, chain: &TlsChain, socket: Socket) {
        let Some(name) = chain.server_names.first() else { return };
        let host = example(name);
        match &chain.action {
            TlsAction::Terminate { then: Terminated::Http(http), .. } => {
                let Some(table) = self.snapshot.routes.route_tables.get(&http.route_table) else { return };
                let router = Router::compile(table).0;
                for name in &chain.server_names {
                    let shown = |virtual_host: &&VirtualHost| {
                        virtual_host.domains.iter().any(|domain| domain.intersect(name).is_some())
                    };
                    let Some(virtual_host) = table.virtual_hosts.iter().find(shown) else { continue };
                    let both = virtual_host.domains.iter().find_map(|domain| domain.intersect(name));
                    self.virtual_host(
                        &router,
                        virtual_host,
                        &both.unwrap_or_else(|| name.clone()),
                        "https",
                        socket,
                    );
                }
            }
            TlsAction::Terminate { then: Terminated::Tcp(_), .. } | TlsAction::Passthrough(_) => {
                let Socket { address, port } = socket;
                let servername = quoted(&host);
                let outcome = match &chain.action {
                    TlsAction::Passthrough(_) => "TLS, passed through",
                    TlsAction::Terminate { .. } => "TLS, with TCP inside",
                };
                let connect = with_port(address, port);
                self.add(format!("openssl s_client -connect {connect} -servername {servername}"), outcome);
            }
        }
    }

    /// The first of its routes that a request can be made up for; and one that no route takes.
    fn virtual_host(
        &mut self,
        router: &Router,
        virtual_host: &VirtualHost,
        domain: &HostPattern,
        scheme: &'static str,
        socket: Socket,
    ) {
        let host = example(domain);
        let reaches = |sample: &Sample| sample.lookup(router, &host, scheme, socket.port);
        let made_up = virtual_host.routes.iter().flat_map(samples);
        let hit = made_up.chain([Sample::path("/")]).find_map(|sample| {
            let outcome = self.outcome(virtual_host, reaches(&sample))?;
            Some((sample, outcome))
        });
        if let Some((sample, outcome)) = hit {
            let command = self.curl(&sample, &host, scheme, socket);
            self.add(command, outcome);
        }
        let nowhere = Sample::path(NOWHERE);
        if self.nowhere.is_none() && matches!(reaches(&nowhere), Lookup::NoRoute { .. }) {
            let command = self.curl(&nowhere, &host, scheme, socket);
            self.nowhere = Some(Hint { command, outcome: "404".to_owned() });
        }
    }

    /// What becomes of a request, if there is a route for it.
    fn outcome(&self, virtual_host: &VirtualHost, lookup: Lookup) -> Option<String> {
        match lookup {
            Lookup::NoHost | Lookup::NoRoute { .. } | Lookup::Refused { .. } => None,
            Lookup::HttpsRedirect { .. } => Some("301 to https".to_owned()),
            Lookup::Route { route, .. } => match &virtual_host.routes.get(route)?.action {
                RouteAction::Forward(forward) => Some(self.targets(forward)),
                RouteAction::Redirect(redirect) => Some(redirect.status.to_string()),
                RouteAction::DirectResponse(response) => Some(response.status.to_string()),
            },
        }
    }

    fn targets(&self, forward: &Forward) -> String {
        let name = |target: &Target| match target {
            Target::Unavailable { status } => status.to_string(),
            Target::Cluster(cluster) => {
                let identity = self.snapshot.routes.clusters.get(cluster).map(|cluster| &cluster.service);
                let name = identity.map(|service| service.name.clone()).filter(|name| !name.is_empty());
                name.unwrap_or_else(|| cluster.to_string())
            }
        };
        let names: Vec<_> = forward.targets.iter().map(|weighted| name(&weighted.target)).collect();
        names.join(" or ")
    }

    fn curl(&self, sample: &Sample, host: &str, scheme: &str, socket: Socket) -> String {
        let Socket { address, port } = socket;
        let mut command = "curl".to_owned();
        let mut push = |argument: &dyn fmt::Display| command.push_str(&format!(" {argument}"));
        if host.parse::<IpAddr>().is_err() {
            push(&format_args!("--resolve {}", quoted(&format!("{host}:{port}:{}", bracketed(address)))));
        }
        if let (Some(cacert), "https") = (self.cacert, scheme) {
            push(&format_args!("--cacert {}", quoted(&cacert.to_string_lossy())));
        }
        if sample.method != "GET" {
            push(&format_args!("-X {}", quoted(&sample.method)));
        }
        for (name, value) in &sample.headers {
            push(&format_args!("-H {}", quoted(&format!("{name}: {}", value.to_str().unwrap_or_default()))));
        }
        let query = sample.query.as_ref().map_or_else(String::new, |query| format!("?{query}"));
        push(&quoted(&format!("{scheme}://{host}:{port}{}{query}", sample.path)));
        command
    }
}

/// A request that is made up.
#[derive(Debug, Clone)]
struct Sample {
    method: String,
    path: String,
    query: Option<String>,
    headers: HeaderMap,
}

impl Sample {
    fn path(path: &str) -> Self {
        Self { method: "GET".to_owned(), path: path.to_owned(), query: None, headers: HeaderMap::new() }
    }

    /// One that may fit these conditions; `None` for those that cannot be fulfilled by looking at them.
    fn of(condition: &RouteMatch) -> Option<Self> {
        let mut sample = Self::path(&match &condition.path {
            None => "/".to_owned(),
            Some(PathMatch::Exact(path)) => path.clone(),
            Some(PathMatch::Prefix(prefix) | PathMatch::PathSeparatedPrefix(prefix)) => {
                format!("{}/hello", prefix.trim_end_matches('/'))
            }
            Some(PathMatch::Regex(_)) => return None,
        });
        if let Some(method) = &condition.method {
            sample.method = text(method)?.to_owned();
        }
        for HeaderMatch { name, value, invert } in &condition.headers {
            if !invert {
                let name: HeaderName = name.parse().ok()?;
                sample.headers.insert(name, HeaderValue::from_str(value_text(value)?).ok()?);
            }
        }
        let query = condition
            .query
            .iter()
            .map(|QueryMatch { name, value }| Some(format!("{name}={}", value_text(value)?)));
        let query = query.collect::<Option<Vec<_>>>()?.join("&");
        sample.query = (!query.is_empty()).then_some(query);
        Some(sample)
    }

    fn lookup(&self, router: &Router, host: &str, scheme: &str, port: Port) -> Lookup {
        router.route(&RequestHead {
            host,
            authority: &format!("{host}:{port}"),
            scheme,
            method: &self.method,
            path: &self.path,
            query: self.query.as_deref(),
            headers: &self.headers,
        })
    }
}

fn samples(route: &Route) -> Vec<Sample> {
    if route.matches.is_empty() {
        return vec![Sample::path("/hello")];
    }
    route.matches.iter().filter_map(Sample::of).collect()
}

fn text(condition: &StringMatch) -> Option<&str> {
    match condition {
        StringMatch::Exact(text) | StringMatch::Prefix(text) => Some(text),
        StringMatch::Regex(_) => None,
    }
}

fn value_text(condition: &ValueMatch) -> Option<&str> {
    match condition {
        ValueMatch::Present => Some("1"),
        ValueMatch::String(condition) => text(condition),
    }
}

/// A host that the pattern covers.
fn example(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Suffix(suffix) => format!("www{suffix}"),
        HostPattern::Any => "example.com".to_owned(),
    }
}

fn bracketed(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

/// `127.0.0.1:80`, `[::1]:80`.
pub(super) fn with_port(address: IpAddr, port: impl fmt::Display) -> String {
    format!("{}:{port}", bracketed(address))
}

/// As a word for the shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests;
