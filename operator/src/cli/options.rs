//! Arguments that several commands share.

use std::path::PathBuf;

use clap::Args;
use postern_translate::Options;

use crate::cluster;
use crate::files::{Reader, Reading};

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct FileArgs {
    /// A file, or a directory whose *.yaml, *.yml and *.json are read, subdirectories included; `-` is standard input.
    /// May be given several times.
    #[arg(short, long, required = true, value_name = "PATH")]
    pub(crate) filename: Vec<PathBuf>,
}

/// Files, or a cluster.
#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// A file, or a directory whose *.yaml, *.yml and *.json are read, subdirectories included; `-` is standard input.
    /// May be given several times.
    #[arg(short, long, required_unless_present = "cluster", value_name = "PATH")]
    filename: Vec<PathBuf>,

    /// Read the objects of the cluster instead.
    #[arg(long, conflicts_with = "filename")]
    cluster: bool,

    #[command(flatten)]
    of: ClusterArgs,
}

/// Which cluster, and what of it.
#[derive(Debug, Args)]
pub(crate) struct ClusterArgs {
    /// The kubeconfig's context. Default: its current one.
    #[arg(long, requires = "cluster", conflicts_with = "filename", value_name = "NAME")]
    pub(crate) context: Option<String>,

    /// Read objects of this namespace only. May be given several times. Default: all namespaces.
    #[arg(short, long, requires = "cluster", conflicts_with = "filename", value_name = "NAMESPACE")]
    pub(crate) namespace: Vec<String>,
}

impl SourceArgs {
    /// Reads the objects.
    pub(crate) fn read(&self) -> anyhow::Result<Reading> {
        if self.cluster { cluster::read(&self.of) } else { Ok(Reader::new(self.filename.clone()).read()) }
    }
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
