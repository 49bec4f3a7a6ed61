//! What `postern run` can be told.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};

use crate::cli::InstallationArgs;

/// Runs Postern in a cluster: makes ingresses of Gateways, keeps their proxies up to date, and tells what became of each
/// object.
///
/// Of several that run at the same time one writes, the one that holds the Lease; the others stand by.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,

    /// Read objects of this namespace only, and of the root namespace. May be given several times. Default: all namespaces.
    #[arg(long, value_name = "NAMESPACE")]
    pub(crate) namespace: Vec<String>,

    /// The image of the proxies, where an IngressGateway does not say another.
    #[arg(long, env = "POSTERN_PROXY_IMAGE", default_value = concat!("postern-proxy:", env!("CARGO_PKG_VERSION")), value_name = "IMAGE")]
    pub(crate) proxy_image: String,

    /// When the proxies' image is pulled. Default: Kubernetes decides.
    #[arg(long, env = "POSTERN_PROXY_IMAGE_PULL_POLICY", value_enum, value_name = "POLICY")]
    pub(crate) proxy_image_pull_policy: Option<PullPolicy>,

    /// The name of the Lease by which one of several operators is the one that writes.
    #[arg(long, default_value = "postern", value_name = "NAME")]
    pub(crate) lease: String,

    /// The namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "postern-system", value_name = "NAMESPACE")]
    pub(crate) lease_namespace: String,

    /// The name of this one among several. Default: the name of the machine and the number of the process.
    #[arg(long, env = "POD_NAME", value_name = "NAME")]
    pub(crate) identity: Option<String>,

    /// Where /metrics, /healthz and /readyz are.
    #[arg(long, default_value = "[::]:8080", value_name = "IP:PORT")]
    pub(crate) metrics_address: SocketAddr,

    /// The kubeconfig's context. Default: its current one, or in a pod the cluster's own access.
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
}

/// `imagePullPolicy` of Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PullPolicy {
    /// Ask the registry each time.
    Always,
    /// Only when the image is not there.
    IfNotPresent,
    /// The image is there.
    Never,
}

impl PullPolicy {
    /// As Kubernetes calls it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
