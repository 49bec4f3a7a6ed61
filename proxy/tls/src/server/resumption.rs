//! Sessions that clients resume without a full handshake.

use std::sync::Arc;

use rustls::{
    crypto::aws_lc_rs::Ticketer,
    server::{ProducesTickets, ServerSessionMemoryCache, StoresServerSessions},
};

use crate::{Fingerprint, TlsError};

/// How many sessions are remembered for TLS 1.2 clients without tickets.
const SESSIONS: usize = 1024;

/// The largest session that goes into a ticket. A session holds the client's certificates, and the ticket comes back
/// in a ClientHello, which other servers (and [`peek`](crate::client_hello::peek)) limit to 16 KiB.
const MAX_TICKET: usize = 8 << 10;

/// What lets clients resume sessions: ticket keys that live 6 hours and open tickets for 6 more, and a small cache
/// for TLS 1.2 clients without tickets. One for the whole life of the proxy.
///
/// All chains share it, so that ten thousand of them cost no more than one, but each session is bound to a *scope*: the
/// settings of its chain and the content of the authorities and revocation lists it trusts. A resumed session
/// skips the check of the client's certificate, so it must never come from a chain with another idea of a good one,
/// nor from before a revocation. rustls itself binds it to the server name. New certificates of the server
/// do not end sessions.
#[derive(Debug, Clone)]
pub struct SessionResumption {
    tickets: Arc<dyn ProducesTickets>,
    sessions: Arc<ServerSessionMemoryCache>,
}

impl SessionResumption {
    /// With fresh keys.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new() -> Result<Self, TlsError> {
        let tickets = Ticketer::new().map_err(|error| TlsError::Refused(error.to_string()))?;
        Ok(Self { tickets, sessions: ServerSessionMemoryCache::new(SESSIONS) })
    }

    pub(super) fn tickets(&self, scope: Fingerprint) -> Arc<dyn ProducesTickets> {
        Arc::new(ScopedTickets { scope, tickets: self.tickets.clone() })
    }

    pub(super) fn sessions(&self, scope: Fingerprint) -> Arc<dyn StoresServerSessions> {
        Arc::new(ScopedSessions { scope, sessions: self.sessions.clone() })
    }
}

/// Tickets that begin, inside of the encryption, with the scope.
#[derive(Debug)]
struct ScopedTickets {
    scope: Fingerprint,
    tickets: Arc<dyn ProducesTickets>,
}

impl ProducesTickets for ScopedTickets {
    fn enabled(&self) -> bool {
        self.tickets.enabled()
    }

    fn lifetime(&self) -> u32 {
        self.tickets.lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        if plain.len() > MAX_TICKET {
            return None;
        }
        self.tickets.encrypt(&[self.scope.as_bytes(), plain].concat())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut plain = self.tickets.decrypt(cipher)?;
        let scope = self.scope.as_bytes();
        plain.starts_with(scope).then(|| plain.split_off(scope.len()))
    }
}

/// Sessions under keys that begin with the scope.
#[derive(Debug)]
struct ScopedSessions {
    scope: Fingerprint,
    sessions: Arc<ServerSessionMemoryCache>,
}

impl ScopedSessions {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.scope.as_bytes(), key].concat()
    }
}

impl StoresServerSessions for ScopedSessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.sessions.put(self.key(&key), value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.get(&self.key(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.take(&self.key(key))
    }

    fn can_cache(&self) -> bool {
        self.sessions.can_cache()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_opens_only_in_its_scope() {
        let resumption = SessionResumption::new().unwrap();
        let [a, b] = [b"a", b"b"].map(|scope| resumption.tickets(Fingerprint::of(scope)));
        let ticket = a.encrypt(b"session").unwrap();
        assert_eq!(a.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(b.decrypt(&ticket), None);
        assert_eq!(a.decrypt(&ticket[1..]), None);
        assert_eq!(a.encrypt(&vec![0; MAX_TICKET + 1]), None);
    }

    #[test]
    fn a_session_is_found_only_in_its_scope() {
        let resumption = SessionResumption::new().unwrap();
        let [a, b] = [b"a", b"b"].map(|scope| resumption.sessions(Fingerprint::of(scope)));
        assert!(a.can_cache() && a.put(vec![1], vec![2]));
        assert_eq!((a.get(&[1]), b.get(&[1])), (Some(vec![2]), None));
        assert_eq!((b.take(&[1]), a.take(&[1]), a.get(&[1])), (None, Some(vec![2]), None));
    }
}
