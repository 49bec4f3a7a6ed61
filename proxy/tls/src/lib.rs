//! Everything about TLS that needs no socket: certificates, the settings of both sides, and the ClientHello.
//!
//! * [`CertificateStore`]: the parts `certificates` and `keys` of a snapshot, parsed and checked; what is bad is
//!   reported by name, and the last good one stays.
//! * [`server_config`]: a [`ServerTls`](postern_snapshot::model::ServerTls) of a listener as rustls wants it.
//! * [`client_config`]: an [`UpstreamTls`](postern_snapshot::model::UpstreamTls) of a cluster likewise.
//! * [`client_hello::peek`]: what a client asks for, before it is decided who answers; [`ServerNames`]: who answers.
//! * [`TlsInfo`] and [`PeerCertificate`]: what access logs and forwarded headers say about a connection.
//!
//! All configurations are immutable and shared by all workers. On the path of a handshake only the ticket keys are
//! behind a lock (shared, held for one encryption), and the cache for TLS 1.2 clients without tickets.

mod alert;
mod client;
pub mod client_hello;
mod error;
mod fingerprint;
mod info;
mod peer;
mod plain_http;
mod provider;
mod san;
mod server;
mod server_names;
mod store;
mod version1;

pub use alert::alert;
pub use client::{client_config, client_fingerprint, server_name};
pub use error::{CertificateProblem, Piece, TlsError};
pub use fingerprint::Fingerprint;
pub use info::{TlsInfo, cipher_name, version_name};
pub use peer::PeerCertificate;
pub use plain_http::PLAIN_HTTP_RESPONSE;
pub use provider::provider;
pub use san::SubjectAltName;
pub use server::{ServerSide, SessionResumption, server_config, server_fingerprint};
pub use server_names::ServerNames;
pub use store::{
    CertificateStore, CertificateWarning, Instead, LoadedAuthorities, LoadedCertificate, RefusedCertificate,
    Subject, Validity, WarningKind,
};
