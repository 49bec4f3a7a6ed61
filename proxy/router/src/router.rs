//! The whole way from a request's head to a route.

use postern_snapshot::model::{HttpsRedirect, RouteTable};

use crate::{
    Explanation, HostMap, PathMatched, RefusedRoute, RequestHead,
    compile::{self, Entry},
    explain,
    pattern::Patterns,
    virtual_host::VirtualHost,
};

/// A compiled route table. Immutable; share it freely.
#[derive(Debug, Default)]
pub struct Router {
    hosts: HostMap<usize>,
    virtual_hosts: Box<[VirtualHost]>,
}

/// What a request is to get. The numbers are places in the [`RouteTable`] that was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// No virtual host has the request's host: 404.
    NoHost,
    /// The virtual host has no route for it, and no other is asked: 404.
    NoRoute {
        /// In [`RouteTable::virtual_hosts`].
        virtual_host: usize,
    },
    /// The virtual host sends everything to HTTPS.
    HttpsRedirect {
        /// In [`RouteTable::virtual_hosts`].
        virtual_host: usize,
        /// How.
        redirect: HttpsRedirect,
    },
    /// A route matches.
    Route {
        /// In [`RouteTable::virtual_hosts`].
        virtual_host: usize,
        /// In the virtual host's `routes`.
        route: usize,
        /// What of the path it took.
        matched: PathMatched,
    },
    /// It may be meant for a route that could not be compiled, see [`RefusedRoute`]: 500.
    Refused {
        /// In [`RouteTable::virtual_hosts`].
        virtual_host: usize,
        /// In the virtual host's `routes`.
        route: usize,
    },
}

impl Router {
    /// Compiles a route table. What cannot be compiled is told and costs only itself. If two virtual hosts have the
    /// same domain, against the contract, the first keeps it.
    #[must_use]
    pub fn compile(table: &RouteTable) -> (Self, Vec<RefusedRoute>) {
        let mut patterns = Patterns::default();
        let mut hosts = HostMap::new();
        let mut virtual_hosts = Vec::with_capacity(table.virtual_hosts.len());
        let mut refused = Vec::new();
        for (index, virtual_host) in table.virtual_hosts.iter().enumerate() {
            let (entries, problems) = compile::entries(virtual_host, index, &mut patterns);
            virtual_hosts.push(VirtualHost::new(virtual_host.https_redirect, entries));
            refused.extend(problems);
        }
        // Backwards, so that the first of two wins.
        for (index, virtual_host) in table.virtual_hosts.iter().enumerate().rev() {
            for domain in &virtual_host.domains {
                hosts.insert(domain, index);
            }
        }
        (Self { hosts, virtual_hosts: virtual_hosts.into() }, refused)
    }

    /// The route of a request: the virtual host by [`RequestHead::host`], then the first of its routes that matches.
    ///
    /// Takes no lock. Allocates only for a path that more than eight of the host's prefixes fit, for a condition on a
    /// header that the request has several times, and for one on `:path` when there is a query.
    #[must_use]
    pub fn route(&self, head: &RequestHead<'_>) -> Lookup {
        let Some((index, virtual_host)) = self.virtual_host(head.host) else { return Lookup::NoHost };
        if let Some(redirect) = virtual_host.https_redirect(head) {
            return Lookup::HttpsRedirect { virtual_host: index, redirect };
        }
        match virtual_host.find(head) {
            Some(entry) => Lookup::of_entry(index, entry),
            None => Lookup::NoRoute { virtual_host: index },
        }
    }

    /// The same as [`Self::route`], found by testing every route from the top, with the reasons.
    #[must_use]
    pub fn explain(&self, head: &RequestHead<'_>) -> Explanation {
        explain::explain(self.virtual_host(head.host), head)
    }

    fn virtual_host(&self, host: &str) -> Option<(usize, &VirtualHost)> {
        let index = *self.hosts.get(host)?;
        Some((index, self.virtual_hosts.get(index)?))
    }
}

impl Lookup {
    pub(crate) const fn of_entry(virtual_host: usize, entry: &Entry) -> Self {
        if entry.refused {
            Self::Refused { virtual_host, route: entry.route }
        } else {
            Self::Route { virtual_host, route: entry.route, matched: entry.path.matched() }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#[path = "router_tests.rs"]
mod tests;
