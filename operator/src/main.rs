//! `postern`: runs the edge of a Kubernetes cluster, or of a folder of its objects.

mod ack;
mod check;
mod cli;
mod cluster;
mod error_chain;
mod files;
mod report;
mod run;
mod serve;
mod snapshot_directory;
mod translate_cmd;

use std::io;
use std::process::ExitCode;

use clap::Parser;

// Objects are many small allocations: with the system's allocator a large folder takes a third longer to read.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let filter = cli.log.unwrap_or_else(|| cli.command.usual_log());
    cli::log::start(filter, cli.log_format);
    match cli.command.run() {
        Ok(code) => code,
        // Whoever read our output has enough of it: `postern translate -f . | head`.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("{}error{:#}: {error:#}", report::ERROR, report::ERROR);
            ExitCode::FAILURE
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
