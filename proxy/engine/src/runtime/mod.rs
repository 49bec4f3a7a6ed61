//! From a snapshot to what the workers serve. This is the only place that changes it.

mod chains;
mod compile;
mod files;
mod listeners;

use std::{net::IpAddr, sync::Arc, time::SystemTime};

use postern_snapshot::{
    CertificateName,
    ack::{Refused, RefusedKind},
    manifest::Hash,
    model::{Certificates, Endpoints, Keys, ListenerProtocol, Routes, TlsAction},
};
use postern_telemetry::metrics::{Metrics, ReloadResult};
use postern_tls::{CertificateStore, RefusedCertificate, SessionResumption, Subject};
use postern_upstream::Clusters;

use self::{chains::Chains, files::NamedFiles, listeners::Listeners};
use crate::{
    drain::Drain,
    http::RateLimits,
    reload::{Apply, Update},
    workers::Workers,
};

/// How the runtime is set up, once for the life of the process.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Where listeners without an address listen.
    pub(crate) default_address: IpAddr,
    /// How long connections of a listener or chain that was removed may go on.
    pub(crate) removal_grace: std::time::Duration,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) resumption: SessionResumption,
    /// What was counted of the rate limits.
    pub(crate) limits: RateLimits,
    /// Set off when the process ends.
    pub(crate) drain: Drain,
}

/// What is served, as the control thread sees it.
#[derive(Debug)]
pub(crate) struct Runtime {
    setup: Setup,
    workers: Arc<Workers>,
    certificates: CertificateStore,
    /// Still true when the certificates did not change.
    refused_certificates: Vec<Refused>,
    /// What the certificates were read from besides the snapshot.
    named_files: NamedFiles,
    clusters: Arc<Clusters>,
    chains: Chains,
    listeners: Listeners,
    /// Still true when only endpoints changed. Listeners tell their own.
    refused: Vec<Refused>,
}

impl Runtime {
    pub(crate) fn new(setup: Setup, workers: Arc<Workers>) -> Self {
        Self {
            setup,
            workers,
            certificates: CertificateStore::default(),
            refused_certificates: vec![],
            named_files: NamedFiles::default(),
            clusters: Arc::default(),
            chains: Chains::default(),
            listeners: Listeners::default(),
            refused: vec![],
        }
    }

    fn apply_certificates(&mut self, certificates: &Certificates, keys: &Keys, routes: &Routes) {
        self.named_files = NamedFiles::look(certificates);
        let (mut store, mut refused) = CertificateStore::build(certificates, keys, Some(&self.certificates));
        refused.extend(store.keep_absent(&self.certificates, shown_certificates(routes), []));
        self.certificates = store;
        self.refused_certificates = refused.iter().map(refused_certificate).collect();
        for warning in self.certificates.warnings(SystemTime::now()) {
            tracing::warn!(%warning, "a certificate that clients will refuse");
        }
    }

    fn apply_routes(&mut self, routes: &Routes, endpoints: &Endpoints) {
        let mut refused = self.refused_certificates.clone();
        let (clusters, refused_clusters) =
            Clusters::compile(&routes.clusters, endpoints, &self.certificates, Some(&self.clusters));
        refused.extend(refused_clusters.into_iter().map(|cluster| Refused {
            kind: RefusedKind::Cluster,
            name: cluster.name.to_string(),
            origin: String::new(),
            problem: cluster.reason.to_string(),
        }));
        self.clusters = Arc::new(clusters);

        let compiled = compile::Compile {
            routes,
            clusters: &self.clusters,
            certificates: &self.certificates,
            setup: &self.setup,
            chains: &mut self.chains,
            refused: &mut refused,
        }
        .run();
        let gone = self.chains.end_generation();
        let removed = self.listeners.apply(compiled, &self.setup, &self.workers);
        let gone = gone.into_iter().map(|drain| (drain, self.setup.removal_grace));
        for (drain, grace) in gone.chain(removed) {
            tokio::task::spawn_local(async move { drain.run(grace).await });
        }
        self.workers.retain(&self.clusters);
        self.refused = refused;
    }

    fn refused(&self) -> Vec<Refused> {
        self.refused.iter().cloned().chain(self.listeners.refused()).collect()
    }
}

impl Apply for Runtime {
    fn apply(&mut self, update: Update) -> Vec<Refused> {
        match update {
            Update::Endpoints(endpoints) => {
                let changed = self.clusters.update_endpoints(&endpoints);
                tracing::debug!(clusters = changed, "endpoints changed");
                self.workers.retain(&self.clusters);
            }
            Update::Everything { routes, endpoints, certificates } => {
                if let Some((certificates, keys)) = certificates {
                    self.apply_certificates(&certificates, &keys, &routes);
                }
                self.apply_routes(&routes, &endpoints);
            }
        }
        self.refused()
    }

    fn is_stale(&self) -> bool {
        self.named_files.changed()
    }

    fn retry(&mut self) -> Option<Vec<Refused>> {
        self.listeners.retry(&self.setup, &self.workers).then(|| self.refused())
    }

    fn looked(&mut self, result: ReloadResult, hash: Option<Hash>) {
        let hash = hash.map(|hash| hash.short()).unwrap_or_default();
        self.setup.metrics.reloaded(result, &hash, SystemTime::now());
    }
}

/// The certificates that something of it shows, as server or as client. Authorities are not kept: trust that was taken
/// away must end.
fn shown_certificates(routes: &Routes) -> impl Iterator<Item = &CertificateName> {
    let chains = routes.listeners.iter().flat_map(|listener| match &listener.protocol {
        ListenerProtocol::Tls { chains } => chains.as_slice(),
        ListenerProtocol::Http(_) | ListenerProtocol::Tcp(_) | ListenerProtocol::Udp(_) => &[],
    });
    let servers = chains.filter_map(|chain| match &chain.action {
        TlsAction::Terminate { tls, .. } => Some(&tls.certificates),
        TlsAction::Passthrough(_) => None,
    });
    let clients =
        routes.clusters.values().filter_map(|cluster| cluster.tls.as_ref()?.client_certificate.as_ref());
    servers.flatten().chain(clients)
}

fn refused_certificate(refused: &RefusedCertificate) -> Refused {
    let name = match &refused.subject {
        Subject::Certificate(name) => name.to_string(),
        Subject::Authorities(name) => name.to_string(),
    };
    Refused {
        kind: RefusedKind::Certificate,
        name,
        origin: refused.origin.clone(),
        problem: refused.to_string(),
    }
}
