//! The command line: what can be asked for, and how.

pub(crate) mod log;
mod options;

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use tracing_subscriber::EnvFilter;

use log::LogFormat;
pub(crate) use options::{ClusterArgs, FileArgs, InstallationArgs, SourceArgs};

use crate::{check, run, serve, translate_cmd};

/// An ingress for Kubernetes: from Istio's Gateways and VirtualServices to served requests.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// What to log, to standard error: a level, or a filter such as `warn,postern=debug`. Default: `info` for `run`, or
    /// else `warn`.
    #[arg(long, global = true, env = "POSTERN_LOG", value_name = "FILTER")]
    pub(crate) log: Option<EnvFilter>,

    /// How a line of the log looks. Default: `json` in a pod, or else `text`.
    #[arg(long, global = true, env = "POSTERN_LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub(crate) log_format: Option<LogFormat>,
}

const EXAMPLES: &str = "\
Examples:
  postern check -f manifests/           what is wrong, by file, object and field
  postern translate -f manifests/       what each ingress would serve
  postern serve -f manifests/           serve it on this machine, and follow the changes
  postern run                           be the operator of the cluster that kubectl uses";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::RunArgs),
    Serve(ServeArgs),
    Translate(TranslateArgs),
    Check(CheckArgs),
    Completions(CompletionsArgs),
}

impl Command {
    /// What is logged, where nothing else is said.
    pub(crate) fn usual_log(&self) -> EnvFilter {
        EnvFilter::new(if matches!(self, Self::Run(_)) { "info" } else { "warn" })
    }

    /// Does it.
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Run(args) => run::run(&args),
            Self::Serve(args) => serve::run(args),
            Self::Translate(args) => translate_cmd::run(&args),
            Self::Check(args) => check::run(&args),
            Self::Completions(args) => {
                clap_complete::generate(args.shell, &mut Cli::command(), "postern", &mut io::stdout());
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

/// Serves the objects in files on this machine, and follows their changes.
///
/// Runs one proxy for each ingress, each on a loopback address of its own. A change of a file is served within
/// 200 ms, and no connection is lost. While a file has an error nothing changes.
///
/// Ports below 1024 are moved up by 8000: 80 is served on 8080, 443 on 8443.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postern serve -f manifests/examples/web-gateway --cacert manifests/examples/ca.crt
  postern serve -f gateways/ -f services.yaml --access-log text")]
pub(crate) struct ServeArgs {
    #[command(flatten)]
    pub(crate) files: FileArgs,

    #[command(flatten)]
    pub(crate) installation: InstallationArgs,

    /// The loopback address of the first ingress; the others get those that follow.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) address: IpAddr,

    /// The authority of the certificates, for the curl commands that are printed.
    #[arg(long, value_name = "FILE")]
    pub(crate) cacert: Option<PathBuf>,

    /// The proxies' access log, to standard output: `off`, `text` (Envoy's default format), `json` (Istio's), or a
    /// format of your own with Envoy's command operators.
    #[arg(long, default_value = "off", value_name = "FORMAT")]
    pub(crate) access_log: String,

    /// Where the proxies' snapshots are put. They hold private keys. Default: a directory that is removed at the end.
    #[arg(long, value_name = "DIR")]
    pub(crate) run_dir: Option<PathBuf>,

    /// The program of the proxy. Default: `postern-proxy` beside this program, or else in PATH.
    #[arg(long, env = "POSTERN_PROXY", value_name = "FILE")]
    pub(crate) proxy: Option<PathBuf>,

    /// What the proxies log, to standard error: a level or a filter. What they refuse is said anyway.
    #[arg(long, default_value = "error", value_name = "FILTER")]
    pub(crate) proxy_log: String,

    /// How long a proxy that ends lets its open connections go on.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub(crate) drain_seconds: u16,
}

/// Prints the objects of Istio that the Gateway API's objects mean: Gateways, VirtualServices, DestinationRules and
/// ServiceEntries, for `kubectl apply`. Or prints what each ingress would serve: its snapshot, readable, without private
/// keys.
///
/// What Istio's API cannot say stands in comments, and on standard error. What is wrong with the objects goes to standard
/// error; they are left out, as in a cluster. The exit code is 1 only when the files cannot be read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postern translate -f routes.yaml | kubectl apply -f -
  postern translate --cluster | less
  postern translate -f manifests/ --format snapshot | less
  postern translate -f manifests/ --output snapshots/
  postern-proxy --snapshot snapshots/istio-system/istio-ingressgateway")]
pub(crate) struct TranslateArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) installation: InstallationArgs,

    /// What to print.
    #[arg(long, value_enum, default_value = "istio")]
    pub(crate) format: TranslateFormat,

    /// Write the snapshots as proxies load them into DIR/NAMESPACE/NAME instead, private keys included.
    #[arg(long, value_name = "DIR", conflicts_with = "format")]
    pub(crate) output: Option<PathBuf>,
}

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TranslateFormat {
    /// The objects of Istio that objects of the Gateway API mean. Comments say what Istio's API cannot say, and name the
    /// objects that are Istio's already.
    Istio,
    /// What each ingress serves, a document for each.
    #[value(alias = "yaml")]
    Snapshot,
    /// The same as a list in JSON.
    Json,
}

/// Says what is wrong with the objects in files or in a cluster, by file, object and field.
///
/// One finding a line: `FILE:LINE:COLUMN: LEVEL: OBJECT: FIELD: what is wrong [CODE]`. Codes are those of `istioctl analyze`.
/// The exit code is 1 when there are errors.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  postern check -f manifests/
  postern check --cluster --fail-on warning
  postern check -f manifests/ --format json | jq '.findings[].message'")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,

    #[command(flatten)]
    pub(crate) installation: InstallationArgs,

    /// How to print.
    #[arg(long, value_enum, default_value = "text")]
    pub(crate) format: ReportFormat,

    /// From which level on findings make the exit code 1.
    #[arg(long, value_enum, default_value = "error", value_name = "LEVEL")]
    pub(crate) fail_on: FailOn,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people and editors.
    Text,
    /// For programs.
    Json,
}

/// From which level on findings count as a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// Part of an object is refused.
    Error,
    /// Part of an object has no effect, or not the likely one.
    Warning,
    /// Anything at all.
    Info,
}

/// Prints a script that completes the commands of `postern`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  source <(postern completions bash)
  postern completions fish > ~/.config/fish/completions/postern.fish")]
pub(crate) struct CompletionsArgs {
    /// For which shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_scripts_of_the_project_call_is_understood() {
        let parse = |line: &str| Cli::try_parse_from(line.split(' ')).map(|_| ());
        parse("postern translate --filename objects --output snapshots").unwrap();
        parse("postern serve --filename a -f b --cacert ca.crt --access-log text").unwrap();
        parse("postern check -f - --format json --fail-on warning").unwrap();
        parse("postern completions zsh").unwrap();
        parse("postern check --cluster --context prod -n shop -n istio-system").unwrap();
        assert!(parse("postern translate").is_err());
        assert!(parse("postern check -f a --cluster").is_err());
        assert!(parse("postern check -f a -n shop").is_err());
        assert!(parse("postern translate -f a --format json --output b").is_err());
    }
}
