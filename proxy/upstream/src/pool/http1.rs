//! HTTP/1.1 connections.

use std::{rc::Rc, sync::Arc};

use hyper::{
    body::Body,
    client::conn::http1::{Builder, SendRequest},
};
use hyper_util::rt::TokioIo;

use super::host::Host;
use crate::{Cause, Cluster, ConnectError, UpstreamStream};

/// Sends requests over one connection, one after the other.
pub(super) type Sender<B> = SendRequest<B>;

/// Starts HTTP/1.1 on a stream.
pub(super) async fn handshake<B>(
    stream: UpstreamStream,
    host: &Rc<Host<B>>,
    cluster: &Arc<Cluster>,
) -> Result<Sender<B>, ConnectError>
where
    B: Body + 'static,
    B::Data: Send,
    B::Error: Into<Cause>,
{
    let (sender, connection) = Builder::new()
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| ConnectError::Handshake(Arc::new(error)))?;
    let closing = host.closing(cluster);
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "an upstream connection failed");
        }
        drop(closing);
    });
    Ok(sender)
}
