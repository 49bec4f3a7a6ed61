//! Postern's proxy: serves the snapshot in a mounted directory.

mod args;
mod log;
mod stop;

use clap::Parser;
use postern_engine::Stop;
use tokio::sync::oneshot;

// Many small allocations from a few threads: the system's allocator costs about a tenth of the throughput.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args = args::Args::parse();
    let log = log::start(args.log.clone(), args.log_format);
    let until_stdin_closes = args.until_stdin_closes;
    let config = args.into_config(log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut stops = stop::Stops::listen(until_stdin_closes)?;
        let (stop, stopped) = oneshot::channel();
        let running = postern_engine::run(config, async { stopped.await.unwrap_or(Stop::Now) });
        let stopping = async {
            // Nobody listens only when the proxy has ended by itself.
            let _ = stop.send(stops.stop().await);
            stops.impatience().await;
        };
        tokio::select! {
            result = running => Ok(result?),
            () = stopping => Err(anyhow::anyhow!("interrupted before the drain was over")),
        }
    })
}
