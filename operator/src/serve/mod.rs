//! `postern serve`: the whole system on files.
//!
//! [`watch`] wakes [`System`], which reads and translates, writes each ingress's snapshot into a directory, and runs a
//! [`proxy`] for each. What these answer comes back by [`ack`](crate::ack).

mod addresses;
mod hints;
mod proxy;
mod say;
mod system;
mod watch;

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::ServeArgs;
use crate::files::Reader;
use crate::files::paths::STANDARD_INPUT;
use system::System;
use watch::Watch;

/// Serves until a signal comes.
pub(crate) fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    if args.files.filename.iter().any(|path| path.as_os_str() == STANDARD_INPUT) {
        bail!("standard input cannot be watched; give files or directories");
    }
    let run_dir = RunDirectory::new(args.run_dir.clone())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve(args, run_dir.path()))?;
    Ok(ExitCode::SUCCESS)
}

async fn serve(args: ServeArgs, run_dir: PathBuf) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    // First watch, then read: a change in between is not missed.
    let mut watch = Watch::start(&args.files.filename);
    let mut reader = Reader::new(args.files.filename.clone());
    let (sender, mut events) = mpsc::unbounded_channel();
    let mut system = System::new(args, run_dir, sender);
    system.start(&reader.read())?;
    // A task of its own: what a proxy says must not make it forget a change that it waits to be complete.
    let (sender, mut readings) = mpsc::channel(1);
    tokio::spawn(async move { while sender.send(watch.changed(&mut reader).await).await.is_ok() {} });
    loop {
        tokio::select! {
            Some((since, reading)) = readings.recv() => system.changed(since, &reading)?,
            Some(event) = events.recv() => system.heard(event)?,
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = hangup.recv() => break,
        }
    }
    tokio::select! {
        stopped = system.stop() => stopped,
        // Somebody is in a hurry; the runtime kills the proxies when it ends.
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    }
}

/// Where snapshots are put.
enum RunDirectory {
    Given(PathBuf),
    /// Removed at the end.
    Temporary(TempDir),
}

impl RunDirectory {
    fn new(given: Option<PathBuf>) -> anyhow::Result<Self> {
        let Some(path) = given else {
            return Ok(Self::Temporary(tempfile::Builder::new().prefix("postern-").tempdir()?));
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self::Given(path))
    }

    fn path(&self) -> PathBuf {
        match self {
            Self::Given(path) => path.clone(),
            Self::Temporary(directory) => directory.path().to_owned(),
        }
    }
}
