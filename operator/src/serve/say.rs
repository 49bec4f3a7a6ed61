//! What `postern serve` tells the person before the terminal.

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use anstyle::Style;
use postern_snapshot::ack::Refused;
use postern_snapshot::manifest::Hash;
use postern_snapshot::model::{ListenerProtocol, Snapshot, TlsAction};
use postern_translate::IngressName;

use super::hints::{Hint, hints, with_port};
use super::proxy::{METRICS_PORT, STATUS_PORT};
use crate::report::{ERROR, Line, counted};

const STRONG: Style = Style::new().bold();
const FAINT: Style = Style::new().dimmed();
/// So many changed objects are named.
const MAX_NAMES: usize = 5;

/// Writes to standard output, each message whole.
#[derive(Debug)]
pub(super) struct Say;

impl Say {
    /// The files are not served as they are.
    pub(super) fn refused(&self, errors: &[Line], serving: bool) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let consequence = if serving { "what was served before stays" } else { "nothing is served yet" };
        let count = counted(errors.len(), "error");
        writeln!(out, "{ERROR}not served{ERROR:#}: {count} in the files; {consequence}")?;
        errors.iter().try_for_each(|line| writeln!(out, "  {line}"))
    }

    /// The errors are gone.
    pub(super) fn mended(&self) -> io::Result<()> {
        writeln!(anstream::stdout().lock(), "mended: there are no more errors in the files")
    }

    /// What translating said for the first time, and what it no longer says.
    pub(super) fn findings(&self, new: &[&Line], gone: usize) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        new.iter().try_for_each(|line| writeln!(out, "{line}"))?;
        if gone > 0 {
            writeln!(out, "settled: {}", counted(gone, "finding"))?;
        }
        Ok(())
    }

    /// Which objects changed.
    pub(super) fn changed(&self, names: &[String]) -> io::Result<()> {
        let mut shown = names.iter().take(MAX_NAMES).cloned().collect::<Vec<_>>().join(", ");
        if let Some(more @ 1..) = names.len().checked_sub(MAX_NAMES) {
            shown.push_str(&format!(" and {more} more"));
        }
        writeln!(anstream::stdout().lock(), "changed: {shown}")
    }

    /// But nothing came of it.
    pub(super) fn same(&self) -> io::Result<()> {
        writeln!(anstream::stdout().lock(), "  no ingress serves anything else now")
    }

    /// An ingress is no longer wanted.
    pub(super) fn gone(&self, ingress: &IngressName) -> io::Result<()> {
        writeln!(anstream::stdout().lock(), "  {STRONG}{ingress}{STRONG:#} is gone; its proxy drains")
    }

    /// There is no ingress at all.
    pub(super) fn nothing(&self) -> io::Result<()> {
        writeln!(
            anstream::stdout().lock(),
            "There is nothing to serve: the files have no Gateway with a server."
        )
    }

    /// A proxy serves what was written for it.
    pub(super) fn applied(
        &self,
        ingress: &IngressName,
        hash: &Hash,
        after: Option<Duration>,
    ) -> io::Result<()> {
        let after = after.map_or_else(String::new, |after| format!(" after {} ms", after.as_millis()));
        writeln!(anstream::stdout().lock(), "  {STRONG}{ingress}{STRONG:#} serves {}{after}", hash.short())
    }

    /// A part of a snapshot is not served.
    pub(super) fn not_served(&self, ingress: &IngressName, parts: &[Refused]) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        for Refused { kind, name, origin, problem } in parts {
            let origin = if origin.is_empty() { String::new() } else { format!(" of {origin}") };
            writeln!(out, "  {ERROR}not served{ERROR:#} by {ingress}: {kind:?} {name}{origin}: {problem}")?;
        }
        Ok(())
    }

    /// A snapshot is not served at all.
    pub(super) fn rejected(&self, ingress: &IngressName, problem: &str) -> io::Result<()> {
        let what = "refused the whole snapshot; what was served before stays";
        writeln!(anstream::stdout().lock(), "  {ERROR}{ingress} {what}{ERROR:#}: {problem}")
    }

    /// Anything that is not as it should be.
    pub(super) fn trouble(&self, what: impl std::fmt::Display) -> io::Result<()> {
        writeln!(anstream::stdout().lock(), "{ERROR}trouble{ERROR:#}: {what}")
    }

    /// An ingress serves for the first time: where, what, and what to try.
    pub(super) fn introduce(
        &self,
        ingress: &IngressName,
        snapshot: &Snapshot,
        hash: &Hash,
        address: IpAddr,
        cacert: Option<&Path>,
    ) -> io::Result<()> {
        let mut out = anstream::stdout().lock();
        let listeners = &snapshot.routes.listeners;
        let counts =
            format!("{}, {}", counted(listeners.len(), "listener"), counted(hosts(snapshot).len(), "host"));
        writeln!(out, "\n{STRONG}{ingress}{STRONG:#} on {address}: {counts}, snapshot {}", hash.short())?;
        for listener in listeners {
            let (what, hosts) = describe(snapshot, &listener.protocol);
            let address = listener.address.filter(|address| !address.is_unspecified()).unwrap_or(address);
            let service = match listener.service_port {
                port if port == listener.port => String::new(),
                port => format!(" for {port}"),
            };
            writeln!(out, "  {}{service}  {what}  {}", with_port(address, listener.port), hosts.join(" "))?;
        }
        writeln!(out, "Try:")?;
        let own = |port, path: &str, outcome: &str| Hint {
            command: format!("curl http://{}{path}", with_port(address, port)),
            outcome: outcome.to_owned(),
        };
        let own = [
            own(METRICS_PORT, "/stats/prometheus", "metrics"),
            own(STATUS_PORT, "/snapshot", "what is served, and what was refused and why"),
        ];
        for Hint { command, outcome } in hints(snapshot, address, cacert).iter().chain(&own) {
            if outcome.is_empty() {
                writeln!(out, "  {command}")?;
            } else {
                writeln!(out, "  {command}  {FAINT}# {outcome}{FAINT:#}")?;
            }
        }
        Ok(())
    }

    /// Everything that was there at the start serves.
    pub(super) fn watching(&self, roots: &[std::path::PathBuf]) -> io::Result<()> {
        let roots: Vec<_> = roots.iter().map(|root| root.display().to_string()).collect();
        let roots = roots.join(", ");
        writeln!(anstream::stdout().lock(), "\nChanges of {roots} are served at once. Ctrl-C ends.")
    }
}

/// What a listener speaks, and for which hosts.
fn describe(snapshot: &Snapshot, protocol: &ListenerProtocol) -> (&'static str, Vec<String>) {
    match protocol {
        ListenerProtocol::Http(chain) => {
            let table = snapshot.routes.route_tables.get(&chain.route_table);
            let hosts =
                table.into_iter().flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.domains);
            ("HTTP", shortened(hosts.map(ToString::to_string).collect()))
        }
        ListenerProtocol::Tcp(_) => ("TCP", Vec::new()),
        ListenerProtocol::Udp(_) => ("UDP", Vec::new()),
        ListenerProtocol::Tls { chains } => {
            let passed = chains.iter().all(|chain| matches!(chain.action, TlsAction::Passthrough(_)));
            let names = chains.iter().flat_map(|chain| &chain.server_names);
            let what = if passed { "TLS, passed through" } else { "TLS" };
            (what, shortened(names.map(ToString::to_string).collect()))
        }
    }
}

fn hosts(snapshot: &Snapshot) -> std::collections::BTreeSet<String> {
    let protocols = snapshot.routes.listeners.iter().map(|listener| &listener.protocol);
    let all = protocols.flat_map(|protocol| match protocol {
        ListenerProtocol::Http(chain) => {
            let table = snapshot.routes.route_tables.get(&chain.route_table);
            let hosts =
                table.into_iter().flat_map(|table| &table.virtual_hosts).flat_map(|host| &host.domains);
            hosts.collect()
        }
        ListenerProtocol::Tcp(_) | ListenerProtocol::Udp(_) => Vec::new(),
        ListenerProtocol::Tls { chains } => chains.iter().flat_map(|chain| &chain.server_names).collect(),
    });
    all.map(ToString::to_string).collect()
}

fn shortened(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    if names.len() > MAX_NAMES {
        let more = names.len() - MAX_NAMES;
        names.truncate(MAX_NAMES);
        names.push(format!("and {more} more"));
    }
    names
}
