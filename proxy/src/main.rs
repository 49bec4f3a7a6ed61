//! Postern's proxy: serves the snapshot in a mounted directory.

mod args;
mod log;
mod stop;

use anyhow::Context;
use clap::Parser;

// Many small allocations from a few threads: the system's allocator costs about a tenth of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let log = log::start(&args.log, args.log_format)?;
    let config = args.into_config(log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::on_signal().context("cannot listen to signals")?;
        Ok(postern_engine::run(config, stop).await?)
    })
}
