//! Connections to the API server: one to read, one to write, and one for the Lease. The one to write refuses to while
//! this operator does not lead, whatever asks it to.

use std::time::Duration;

use kube::client::{Body, ClientBuilder};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tower::BoxError;
use tower::filter::FilterLayer;

use super::lease::Leadership;

/// An answer to a write takes no longer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// The Lease has to be renewed in time.
const LEASE_TIMEOUT: Duration = Duration::from_secs(2);
/// On a watch something comes once a minute: a bookmark, if nothing else.
const WATCH_SILENCE: Duration = Duration::from_secs(100);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// This operator does not lead, or may not lead any more.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("another operator leads")]
pub(super) struct NotLeading;

/// The connections.
pub(super) struct Clients {
    pub(super) read: Client,
    pub(super) lease: Client,
    config: Config,
}

impl Clients {
    /// As the kubeconfig says, or in a pod as the cluster does.
    pub(super) async fn new(context: Option<&str>) -> anyhow::Result<Self> {
        let config = config(context).await?;
        let read = Client::try_from(with_timeout(&config, WATCH_SILENCE))?;
        let lease = Client::try_from(with_timeout(&config, LEASE_TIMEOUT))?;
        Ok(Self { read, lease, config })
    }

    /// To write; only reads are let through when this operator does not lead.
    pub(super) fn write(&self, leadership: Leadership) -> anyhow::Result<Client> {
        let guard = move |request: http::Request<Body>| -> Result<http::Request<Body>, BoxError> {
            if request.method() == http::Method::GET || leadership.holds() {
                Ok(request)
            } else {
                Err(NotLeading.into())
            }
        };
        let builder = ClientBuilder::try_from(with_timeout(&self.config, WRITE_TIMEOUT))?;
        Ok(builder.with_layer(&FilterLayer::new(guard)).build())
    }
}

/// Where the API server is, and how to speak to it.
pub(crate) async fn config(context: Option<&str>) -> anyhow::Result<Config> {
    Ok(match context {
        Some(context) => {
            let options =
                KubeConfigOptions { context: Some(context.to_owned()), ..KubeConfigOptions::default() };
            Config::from_kubeconfig(&options).await?
        }
        None => Config::infer().await?,
    })
}

fn with_timeout(config: &Config, read_timeout: Duration) -> Config {
    let mut config = config.clone();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    config.read_timeout = Some(read_timeout);
    config
}

/// Was it not written because another operator leads?
pub(super) fn is_not_leading(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Service(source) if source.is::<NotLeading>())
}
