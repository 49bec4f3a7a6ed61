//! What a listener does with its connections, as of the newest snapshot. The workers' accept loops hold the slot; a
//! reload changes what is in it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use postern_snapshot::model::ProxyProtocol;
use postern_telemetry::metrics::ListenerMetrics;
use postern_tls::ServerNames;
use rustls::ServerConfig;

use crate::{drain::Drain, http::ChainSlot, l4::Forward};

/// A listening address.
#[derive(Debug)]
pub(crate) struct ListenerSlot {
    /// For logs and metrics.
    pub(crate) name: Arc<str>,
    /// Set off when the listener is removed or the proxy ends.
    pub(crate) drain: Drain,
    pub(crate) metrics: Arc<ListenerMetrics>,
    configured: ArcSwap<Configured>,
}

/// What a listener does with its connections.
#[derive(Debug, Clone)]
pub(crate) struct Configured {
    /// They begin with the PROXY protocol's header; `None`: they do not.
    pub(crate) proxy_protocol: Option<ProxyProtocol>,
    pub(crate) handling: Arc<Handling>,
}

impl From<Handling> for Configured {
    fn from(handling: Handling) -> Self {
        Self { proxy_protocol: None, handling: Arc::new(handling) }
    }
}

impl ListenerSlot {
    pub(crate) fn new(
        name: &str,
        drain: Drain,
        metrics: Arc<ListenerMetrics>,
        configured: Configured,
    ) -> Self {
        Self { name: name.into(), drain, metrics, configured: ArcSwap::from_pointee(configured) }
    }

    /// From now on.
    pub(crate) fn set(&self, configured: Configured) {
        self.configured.store(Arc::new(configured));
    }

    /// What a connection that is made now begins with, if it is the PROXY protocol.
    pub(crate) fn proxy_protocol(&self) -> Option<ProxyProtocol> {
        self.configured.load().proxy_protocol
    }

    /// Who serves a connection that is made now; `None`: its ClientHello decides. What is returned is small and owned: a
    /// connection must not keep alive all that its listener did when it began.
    pub(crate) fn plaintext(&self) -> Option<Terminated> {
        match &*self.configured.load().handling {
            Handling::Http(target) => Some(Terminated::Http(target.clone())),
            Handling::Tcp(target) => Some(Terminated::Tcp(target.clone())),
            Handling::Tls(_) => None,
        }
    }

    /// As of now.
    pub(crate) fn handling(&self) -> Arc<Handling> {
        Arc::clone(&self.configured.load().handling)
    }
}

/// What is done with a connection.
#[derive(Debug)]
pub(crate) enum Handling {
    Http(HttpTarget),
    Tcp(TcpTarget),
    Tls(TlsChains),
}

/// The chains of a TLS listener.
#[derive(Debug)]
pub(crate) struct TlsChains {
    pub(crate) by_name: ServerNames<Arc<TlsChain>>,
    /// All of them pass TLS on: the proxy is no end of any handshake, and says nothing in one. It closes a connection
    /// that nobody is to get, as Envoy does.
    pub(crate) only_pass_on: bool,
}

/// Requests are served.
#[derive(Debug, Clone)]
pub(crate) struct HttpTarget {
    pub(crate) chain: Arc<ChainSlot>,
    /// Set off when the chain is removed or its listener is.
    pub(crate) drain: Drain,
}

/// Bytes are passed on. A connection keeps the target that it began with.
#[derive(Debug, Clone)]
pub(crate) struct TcpTarget {
    pub(crate) forward: Arc<Forward>,
    pub(crate) drain: Drain,
}

/// Who answers to some server names.
#[derive(Debug)]
pub(crate) enum TlsChain {
    Terminate {
        config: Arc<ServerConfig>,
        then: Terminated,
    },
    Passthrough(TcpTarget),
    /// It has no usable certificate. Its names are refused; they must not fall to a wider chain.
    Unusable,
}

/// What is inside of a connection: in plain text, or of TLS that was terminated.
#[derive(Debug, Clone)]
pub(crate) enum Terminated {
    Http(HttpTarget),
    Tcp(TcpTarget),
}

impl Terminated {
    /// Set off when its connections should end.
    pub(crate) const fn drain(&self) -> &Drain {
        match self {
            Self::Http(target) => &target.drain,
            Self::Tcp(target) => &target.drain,
        }
    }
}
