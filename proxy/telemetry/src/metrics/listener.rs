//! Downstream connections, by listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// Defines a closed set of failures with their labels, and an array of counters by them.
macro_rules! failures {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $label:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value of the label `reason`.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}
pub(super) use failures;

failures! {
    /// Why a TLS handshake with a client failed: the label `reason` of
    /// `postern_tls_handshake_failures_total`.
    HandshakeFailure {
        /// The client sent no server name, and no certificate is for that.
        NoServerName = "no_server_name",
        /// No certificate is for the server name.
        UnknownServerName = "unknown_server_name",
        /// The certificate could not be loaded.
        NoCertificate = "no_certificate",
        /// The client showed no certificate where it must.
        ClientCertificateMissing = "client_certificate_missing",
        /// The client's certificate is not trusted, has expired or has the wrong names.
        ClientCertificateInvalid = "client_certificate_invalid",
        /// No TLS version in common.
        Version = "version",
        /// No cipher suite, group or signature scheme in common.
        Parameters = "parameters",
        /// No application protocol (ALPN) in common.
        ApplicationProtocol = "application_protocol",
        /// What came was not TLS, such as plain HTTP.
        NotTls = "not_tls",
        /// The client sent an alert; mostly it does not trust the certificate.
        ClientAlert = "client_alert",
        /// The handshake was not done in time.
        Timeout = "timeout",
        /// The client closed the connection in the middle.
        Closed = "closed",
        /// Anything else.
        Other = "other",
    }
}

/// The counters of one listener. Made by [`Metrics::listener`](super::Metrics::listener).
#[derive(Debug, Default)]
pub struct ListenerMetrics {
    pub(super) total: AtomicU64,
    pub(super) active: AtomicI64,
    pub(super) handshake_failures: [AtomicU64; HandshakeFailure::ALL.len()],
}

impl ListenerMetrics {
    /// Counts a connection, which is active for as long as the returned guard lives.
    pub fn connection(self: &Arc<Self>) -> ActiveConnection {
        self.total.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        ActiveConnection(Active::Listener(Arc::clone(self)))
    }

    /// Counts a failed TLS handshake.
    pub fn handshake_failed(&self, failure: HandshakeFailure) {
        if let Some(counter) = self.handshake_failures.get(failure as usize) {
            counter.fetch_add(1, Relaxed);
        }
    }

    /// Connections that are open now.
    #[must_use]
    pub fn active(&self) -> u64 {
        u64::try_from(self.active.load(Relaxed)).unwrap_or(0)
    }
}

/// A connection that counts as active until this is dropped.
#[derive(Debug)]
#[must_use = "the connection counts as closed when this is dropped"]
pub struct ActiveConnection(Active);

#[derive(Debug)]
enum Active {
    Listener(Arc<ListenerMetrics>),
    Cluster(Arc<super::ClusterMetrics>),
}

impl ActiveConnection {
    pub(super) const fn of_cluster(cluster: Arc<super::ClusterMetrics>) -> Self {
        Self(Active::Cluster(cluster))
    }
}

impl Drop for ActiveConnection {
    fn drop(&mut self) {
        match &self.0 {
            Active::Listener(listener) => listener.active.fetch_sub(1, Relaxed),
            Active::Cluster(cluster) => cluster.active.fetch_sub(1, Relaxed),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_active_while_its_guard_lives() {
        let listener = Arc::new(ListenerMetrics::default());
        let (one, two) = (listener.connection(), listener.connection());
        assert_eq!(listener.active(), 2);
        drop((one, two));
        assert_eq!((listener.active(), listener.total.load(Relaxed)), (0, 2));
    }
}
