//! Postern's proxy: serves the snapshot in a mounted directory.

mod args;
mod log;
mod stop;

use clap::Parser;

// Many small allocations from a few threads: the system's allocator costs about a tenth of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let log = log::start(&args.log, args.log_format)?;
    let until_stdin_closes = args.until_stdin_closes;
    let config = args.into_config(log)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = stop::stop(until_stdin_closes)?;
        Ok(postern_engine::run(config, stop).await?)
    })
}
