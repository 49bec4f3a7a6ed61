//! What the proxy serves at this moment, for whoever asks and whoever waits for a change.

use std::time::Duration;

use postern_snapshot::{
    ack::{Ack, Applied, Refused, Rejected},
    manifest::Hash,
};
use tokio::sync::watch;

/// Written by the reload, read by the status port.
#[derive(Debug)]
pub struct Progress {
    state: watch::Sender<State>,
}

#[derive(Debug, Clone)]
struct State {
    ack: Ack,
    draining: bool,
}

/// Why the proxy should not be sent traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// It would not know what to do with it.
    #[error("no snapshot was applied yet")]
    NoSnapshot,
    /// It is about to end.
    #[error("draining")]
    Draining,
}

impl Progress {
    /// Nothing is served yet.
    #[must_use]
    pub fn new(proxy_version: &str) -> Self {
        let ack = Ack { proxy_version: proxy_version.to_owned(), ..Ack::default() };
        Self { state: watch::Sender::new(State { ack, draining: false }) }
    }

    /// This is served from now on.
    pub fn applied(&self, applied: Applied) {
        self.state.send_modify(|state| {
            state.ack.applied = Some(applied);
            state.ack.rejected = None;
        });
    }

    /// Of what is served, this is not served now: something outside of the snapshot changed.
    pub fn refused(&self, refused: Vec<Refused>) {
        self.state.send_if_modified(|state| match &mut state.ack.applied {
            Some(applied) if applied.refused != refused => {
                applied.refused = refused;
                true
            }
            _ => false,
        });
    }

    /// The newest snapshot is not served. Says whether that is news.
    pub fn rejected(&self, rejected: Rejected) -> bool {
        self.state.send_if_modified(|state| {
            let is_news = state.ack.rejected.as_ref() != Some(&rejected);
            if is_news {
                state.ack.rejected = Some(rejected);
            }
            is_news
        })
    }

    /// The newest snapshot is again the one that is served: what was refused in between is gone.
    pub fn no_longer_rejected(&self) {
        self.state.send_if_modified(|state| state.ack.rejected.take().is_some());
    }

    /// The proxy is about to end.
    pub fn drain(&self) {
        self.state.send_modify(|state| state.draining = true);
    }

    /// May traffic come?
    ///
    /// # Errors
    /// Why not.
    pub fn ready(&self) -> Result<(), NotReady> {
        let state = self.state.borrow();
        if state.draining {
            Err(NotReady::Draining)
        } else if state.ack.applied.is_none() {
            Err(NotReady::NoSnapshot)
        } else {
            Ok(())
        }
    }

    /// What is served.
    #[must_use]
    pub fn ack(&self) -> Ack {
        self.state.borrow().ack.clone()
    }

    /// What is served, as soon as that is not `known`, or something changed since the call, or after `patience`.
    pub async fn ack_unless(&self, known: Hash, patience: Duration) -> Ack {
        let mut changes = self.state.subscribe();
        let current = self.ack();
        if current.applied.as_ref().is_none_or(|applied| applied.hash == known) {
            // The sender is this very object: it outlives the wait.
            let _ = tokio::time::timeout(patience, changes.changed()).await;
            return self.ack();
        }
        current
    }
}

#[cfg(test)]
mod tests {
    use postern_snapshot::ack::RefusedKind;

    use super::*;

    fn applied(content: &[u8]) -> Applied {
        Applied { hash: Hash::of(content), ingress: String::new(), sources: vec![], refused: vec![] }
    }

    #[test]
    fn ready_is_between_the_first_snapshot_and_the_drain() {
        let progress = Progress::new("0");
        assert_eq!(progress.ready(), Err(NotReady::NoSnapshot));
        progress.applied(applied(b"one"));
        assert_eq!(progress.ready(), Ok(()));
        progress.drain();
        assert_eq!(progress.ready(), Err(NotReady::Draining));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_with_the_next_snapshot_or_refusal_or_patience() {
        let progress = Progress::new("0");
        progress.applied(applied(b"one"));
        let patience = Duration::from_secs(30);
        let wait = || progress.ack_unless(Hash::of(b"one"), patience);

        let started = tokio::time::Instant::now();
        assert_eq!(wait().await.applied, Some(applied(b"one")));
        assert_eq!(started.elapsed(), patience);

        let rejected = Rejected { hash: None, problem: "bad".to_owned() };
        let (ack, is_news) = tokio::join!(wait(), async { progress.rejected(rejected.clone()) });
        assert!(is_news);
        assert_eq!(ack.rejected, Some(rejected.clone()));
        assert!(!progress.rejected(rejected), "the same again is no news");

        let refused = Refused {
            kind: RefusedKind::Listener,
            name: "0.0.0.0_80".to_owned(),
            origin: String::new(),
            problem: "taken".to_owned(),
        };
        let (ack, ()) = tokio::join!(wait(), async { progress.refused(vec![refused.clone()]) });
        let one = Applied { refused: vec![refused], ..applied(b"one") };
        assert_eq!((ack.applied, ack.rejected.is_some()), (Some(one), true), "the newest is still rejected");

        let (ack, ()) = tokio::join!(wait(), async { progress.applied(applied(b"two")) });
        assert_eq!((ack.applied, ack.rejected), (Some(applied(b"two")), None));
        assert_eq!(started.elapsed(), patience);

        assert_eq!(wait().await.applied, Some(applied(b"two")), "not what is known: at once");
        assert_eq!(started.elapsed(), patience);
    }
}
