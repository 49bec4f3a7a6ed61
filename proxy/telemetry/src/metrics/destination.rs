//! Where requests go, as Istio's labels tell it.

/// The service that requests go to: Istio's labels `destination_service`,
/// `destination_service_name` and `destination_service_namespace`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DestinationLabels {
    /// The host of the service, such as `app-service.default.svc.cluster.local`.
    pub service: String,
    /// Its short name, such as `app-service`.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

impl DestinationLabels {
    /// The labels of requests that have no destination (no route matched, or the route answered
    /// itself): Istio's `unknown`.
    #[must_use]
    pub fn unknown() -> Self {
        let unknown = || "unknown".to_owned();
        Self { service: unknown(), name: unknown(), namespace: unknown() }
    }
}

/// A destination that is known to the metrics.
///
/// Made by [`Metrics::destination`](super::Metrics::destination): equal labels give the same
/// destination, over reloads too. Whoever may send requests to it keeps it; when nobody has kept it
/// for [`Options::retention`](super::Options::retention), its series are removed.
#[derive(Debug)]
pub struct Destination {
    /// Unique in the life of the process, so a cache may use it as a key without keeping it alive.
    id: u32,
    labels: DestinationLabels,
}

impl Destination {
    pub(super) const fn new(id: u32, labels: DestinationLabels) -> Self {
        Self { id, labels }
    }

    pub(super) const fn id(&self) -> u32 {
        self.id
    }

    /// What the destination is called.
    #[must_use]
    pub const fn labels(&self) -> &DestinationLabels {
        &self.labels
    }
}
