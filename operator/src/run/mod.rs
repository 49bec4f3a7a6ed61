//! `postern run`: the operator in a cluster.

mod apply;
mod args;
mod debounce;
mod lease;
mod meaning;
mod observed;
mod reconcile;
mod state;
mod store;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use postern_translate::Options;
use postern_translate::children::ChildDefaults;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch as channel};

pub(crate) use args::RunArgs;
use lease::Candidate;
use reconcile::Reconciler;

/// Runs until it is told to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(operate(args))?;
    Ok(ExitCode::SUCCESS)
}

async fn operate(args: &RunArgs) -> anyhow::Result<()> {
    let client = client(args).await?;
    let options = args.installation.options(Options::default());
    let defaults = ChildDefaults {
        image: args.proxy_image.clone(),
        image_pull_policy: args.proxy_image_pull_policy.map(|policy| policy.as_str().to_owned()),
    };
    let mut namespaces = args.namespace.clone();
    if !namespaces.is_empty() && !namespaces.contains(&options.root_namespace) {
        namespaces.push(options.root_namespace.clone());
    }
    let identity = args.identity.clone().unwrap_or_else(|| format!("process-{}", std::process::id()));
    let candidate = Candidate::new(client.clone(), &args.lease_namespace, &args.lease, &identity);
    let (lead, leads) = channel::channel(false);
    let (sender, changes) = mpsc::unbounded_channel();
    let watches = watch::start(&client, &namespaces, &sender);
    drop(sender);
    let reconciler = Reconciler {
        client,
        options: Arc::new(options),
        defaults: Arc::new(defaults),
        changes,
        watches,
        leads,
        reconciled: channel::channel(Arc::default()).0,
        observed: channel::channel(Arc::default()).0,
        ready: channel::channel(false).0,
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        () = reconciler.run() => {}
        () = candidate.run(lead) => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    candidate.release().await.context("cannot give the lease back")
}

async fn client(args: &RunArgs) -> anyhow::Result<Client> {
    let config = match &args.context {
        Some(context) => {
            let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await?
        }
        None => Config::infer().await?,
    };
    Ok(Client::try_from(config)?)
}
