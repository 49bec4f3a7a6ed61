//! Objects of a cluster, read once: for the commands that look and change nothing.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};

use crate::cli::ClusterArgs;
use crate::files::kinds::{KINDS, KindReader};
use crate::files::{Object, Reading};
use crate::run::clients;

/// Objects are asked for so many at a time.
const PAGE: u32 = 500;

/// Reads everything of the cluster that the translation reads. Kinds that the cluster does not have are left out, and
/// told.
///
/// # Errors
/// When there is no cluster, or it does not let itself be read.
pub(crate) fn read(args: &ClusterArgs) -> anyhow::Result<Reading> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = clients::config(args.context.as_deref())
            .await
            .context("no cluster: there is no kubeconfig with it, and this is no pod")?;
        let client = Client::try_from(config)?;
        let mut objects = Vec::new();
        for reader in &KINDS {
            for scope in scopes(reader, &args.namespace) {
                objects.extend(list(&client, reader, &scope).await?);
            }
        }
        Ok(Reading::of_cluster(objects))
    })
}

/// A part of a cluster that is listed at once.
enum Scope {
    All,
    Namespace(String),
    /// The one object of this name.
    Name(String),
}

fn scopes(reader: &KindReader, namespaces: &[String]) -> Vec<Scope> {
    if namespaces.is_empty() {
        return vec![Scope::All];
    }
    let scope = if reader.namespaced { Scope::Namespace } else { Scope::Name };
    namespaces.iter().cloned().map(scope).collect()
}

async fn list(client: &Client, reader: &KindReader, scope: &Scope) -> anyhow::Result<Vec<Object>> {
    let resource = reader.resource();
    let api: Api<DynamicObject> = match scope {
        Scope::Namespace(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        Scope::All | Scope::Name(_) => Api::all_with(client.clone(), &resource),
    };
    let mut params = ListParams::default().limit(PAGE);
    params.field_selector = match scope {
        Scope::Name(name) => Some(format!("metadata.name={name}")),
        Scope::All | Scope::Namespace(_) => reader.field_selector().map(str::to_owned),
    };
    let origin: Arc<Path> = Path::new("the cluster").into();
    let mut read = Vec::new();
    loop {
        let page = match api.list(&params).await {
            Ok(page) => page,
            Err(kube::Error::Api(status)) if status.code == 404 => {
                tracing::warn!(kind = %reader.kind, "the cluster does not have this kind");
                return Ok(read);
            }
            Err(error) => return Err(error).with_context(|| format!("cannot list {}", resource.plural)),
        };
        read.extend(page.items.into_iter().map(|object| Object::of_cluster(reader, object, &origin)));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(read),
        }
    }
}
