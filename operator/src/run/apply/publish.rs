//! Writes a snapshot into the ConfigMaps and Secrets of an ingress.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::Client;
use kube::api::{DeleteParams, Patch, PatchParams};
use postern_snapshot::codec::Encoded;
use postern_translate::IngressName;
use postern_translate::children::IngressSettings;
use postern_translate::children::publication::{PublicationError, Published, Write, publication};

use super::{FIELD_MANAGER, is_not_found};
use crate::run::clients::is_not_leading;

/// Why a snapshot was not published.
#[derive(Debug, thiserror::Error)]
pub(super) enum PublishError {
    /// It does not fit.
    #[error(transparent)]
    TooLarge(#[from] PublicationError),
    /// The API server refused a write, or could not be reached.
    #[error("cannot write {name}")]
    Write { name: String, source: Box<kube::Error> },
}

impl PublishError {
    /// Was it not written because another operator leads?
    pub(super) fn is_not_leading(&self) -> bool {
        matches!(self, Self::Write { source, .. } if is_not_leading(source))
    }
}

/// Publishes; `published` is what is there, and follows each write. Says whether there was anything to write.
pub(super) async fn publish(
    client: &Client,
    ingress: &IngressName,
    settings: &IngressSettings,
    encoded: &Encoded,
    published: &mut Published,
) -> Result<bool, PublishError> {
    let publication = publication(encoded, ingress, settings, published)?;
    let mut written = false;
    for write in publication.writes() {
        let result = one(client, &ingress.namespace, write).await;
        result.map_err(|source| PublishError::Write {
            name: write.name().to_owned(),
            source: Box::new(source),
        })?;
        published.record(ingress, write);
        written = true;
    }
    Ok(written)
}

async fn one(client: &Client, namespace: &str, write: &Write) -> kube::Result<()> {
    let config_maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    // The snapshot is Postern's alone: what anybody else writes into it makes it unreadable.
    let apply = PatchParams::apply(FIELD_MANAGER).force();
    match write {
        Write::ConfigMap(object) => {
            config_maps.patch(write.name(), &apply, &Patch::Apply(object)).await.map(drop)
        }
        Write::Secret(object) => secrets.patch(write.name(), &apply, &Patch::Apply(object)).await.map(drop),
        Write::DeleteConfigMap(name) => {
            gone(config_maps.delete(name, &DeleteParams::default()).await.map(drop))
        }
        Write::DeleteSecret(name) => gone(secrets.delete(name, &DeleteParams::default()).await.map(drop)),
    }
}

fn gone(result: kube::Result<()>) -> kube::Result<()> {
    match result {
        Err(error) if is_not_found(&error) => Ok(()),
        other => other,
    }
}
