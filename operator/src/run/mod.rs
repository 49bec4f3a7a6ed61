//! `postern run`: the operator in a cluster.

mod args;
mod state;

use std::process::ExitCode;

pub(crate) use args::RunArgs;

/// Runs until it is told to stop.
pub(crate) fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let _ = (args, state::Reconciled::default(), state::Observed::default());
        Ok(ExitCode::SUCCESS)
    })
}
