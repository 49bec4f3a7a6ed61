//! TLS for the examples.

use std::{fs::File, io::BufReader, sync::Arc};

use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// With the certificate and key of these PEM files; `None` without.
pub(crate) fn acceptor(files: &[String]) -> Option<TlsAcceptor> {
    let [certificate, key] = files else { return None };
    let open = |path: &String| BufReader::new(File::open(path).expect("the file can be read"));
    let chain = CertificateDer::pem_reader_iter(open(certificate)).collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_reader(open(key)).expect("PEM");
    let mut config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a key that fits its certificate");
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(TlsAcceptor::from(Arc::new(config)))
}
