//! `postern run`: the operator in a cluster.
//!
//! [`watch`] tells of changes, [`store`] keeps what was read, [`reconcile`] makes of it what is to be ([`meaning`], pure)
//! and has it written ([`round`], [`apply`]). What came of it goes to [`status`], which asks the proxies what they serve
//! and writes that into the objects. Of several operators one writes, the one with the [`lease`].

mod admin;
mod apply;
mod args;
pub(crate) mod clients;
mod debounce;
mod events;
mod lease;
mod meaning;
mod metrics;
mod observed;
mod reconcile;
mod round;
mod state;
mod status;
mod store;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use postern_translate::Options;
use postern_translate::children::ChildDefaults;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch as channel};
use tokio::time::Instant;

use admin::Admin;
pub(crate) use args::RunArgs;
use clients::Clients;
use events::Events;
use lease::Candidate;
use metrics::Metrics;
use reconcile::{Reconciler, Told};
use status::Statuses;

/// Giving the lease back may take this long when the program ends.
const LAST_WORD: Duration = Duration::from_secs(2);

/// Runs until it is told to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(operate(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn operate(args: &RunArgs) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let clients = Clients::new(args.context.as_deref()).await?;
    let identity = args.identity.clone().unwrap_or_else(|| format!("process-{}", std::process::id()));
    let candidate = Candidate::new(clients.lease.clone(), &args.lease_namespace, &args.lease, &identity);
    let write = clients.write(candidate.leadership())?;
    let metrics = Arc::new(Metrics::new());
    let events = Events::start(write.clone(), &identity);
    let options = args.installation.options(Options::default());
    let (sender, changes) = mpsc::unbounded_channel();
    let namespaces = namespaces(args, &options);
    let watches = watch::start(&clients.read, &namespaces, &metrics, &sender);
    drop(sender);
    let told = Told {
        reconciled: channel::channel(Arc::default()).0,
        observed: channel::channel(Arc::default()).0,
        ready: channel::channel(false).0,
        alive: channel::channel(Instant::now()).0,
    };
    let admin =
        Admin { metrics: Arc::clone(&metrics), ready: told.ready.subscribe(), alive: told.alive.subscribe() };
    admin.start(args.metrics_address).await?;
    let statuses = Statuses {
        client: write.clone(),
        reconciled: told.reconciled.subscribe(),
        observed: told.observed.subscribe(),
        leads: candidate.leads(),
        events: events.clone(),
        metrics: Arc::clone(&metrics),
    };
    let statuses = tokio::spawn(statuses.run());
    let leads = candidate.leads();
    let defaults = Arc::new(ChildDefaults {
        image: args.proxy_image.clone(),
        image_pull_policy: args.proxy_image_pull_policy.map(|policy| policy.as_str().to_owned()),
    });
    let options = Arc::new(options);
    let reconciler =
        Reconciler { client: write, options, defaults, changes, watches, leads, told, events, metrics };
    let (stop, stopped) = channel::channel(false);
    let mut reconciler = tokio::spawn(reconciler.run(stopped));
    let mut failed = None;
    tokio::select! {
        () = candidate.run() => {}
        ended = &mut reconciler => failed = Some(ended),
        _ = terminate.recv() => tracing::info!("told to stop"),
        _ = interrupt.recv() => tracing::info!("told to stop"),
    }
    stop.send_replace(true);
    statuses.abort();
    let ended = match failed {
        Some(ended) => ended,
        None => reconciler.await,
    };
    let released = tokio::time::timeout(LAST_WORD, candidate.release()).await;
    ended.context("the loop failed")?;
    released.context("cannot give the lease back in time")?.context("cannot give the lease back")
}

/// The namespaces to read: none means all. Where ingresses are is always among them.
fn namespaces(args: &RunArgs, options: &Options) -> Vec<String> {
    let mut namespaces = args.namespace.clone();
    if !namespaces.is_empty() && !namespaces.contains(&options.root_namespace) {
        namespaces.push(options.root_namespace.clone());
    }
    namespaces
}
