//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use postern_translate::Options;

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// A file, or a directory whose *.yaml, *.yml and *.json are read, subdirectories included; `-` is standard input.
    /// May be given several times.
    #[arg(short, long, required = true, value_name = "PATH")]
    pub(crate) filename: Vec<PathBuf>,
}

/// What is true for the whole installation.
#[derive(Debug, Args)]
pub(crate) struct InstallationArgs {
    /// The namespace of Istio Gateways' ingresses, and of the Secrets that `credentialName` names.
    #[arg(long, default_value = "istio-system", value_name = "NAMESPACE")]
    root_namespace: String,

    /// The DNS domain of the cluster's Services.
    #[arg(long, default_value = "cluster.local", value_name = "DOMAIN")]
    cluster_domain: String,
}

impl InstallationArgs {
    /// As the translation takes them, the rest as given.
    pub(crate) fn options(&self, rest: Options) -> Options {
        Options {
            root_namespace: self.root_namespace.clone(),
            cluster_domain: self.cluster_domain.clone(),
            ..rest
        }
    }
}
