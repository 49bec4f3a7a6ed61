//! What the proxy serves at this moment, for whoever asks and whoever waits for a change.

use std::time::Duration;

use bytes::Bytes;
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

#[derive(Debug)]
struct State {
    ack: Ack,
    draining: bool,
    answer: Answer,
}

impl State {
    fn new(ack: Ack) -> Self {
        Self { answer: Answer::of(&ack), ack, draining: false }
    }

    /// Changes what is said; `change` says whether it did.
    fn change(&mut self, change: impl FnOnce(&mut Ack) -> bool) -> bool {
        let changed = change(&mut self.ack);
        if changed {
            self.answer = Answer::of(&self.ack);
        }
        changed
    }
}

/// An [`Ack`] as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// JSON.
    pub body: Bytes,
    /// Of the body: another answer has another one.
    pub tag: Hash,
}

impl Answer {
    fn of(ack: &Ack) -> Self {
        // Nothing in it can fail: its keys are text, and its numbers integers.
        let mut body = serde_json::to_vec_pretty(ack).unwrap_or_default();
        body.push(b'\n');
        Self { tag: Hash::of(&body), body: body.into() }
    }
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
        Self { state: watch::Sender::new(State::new(ack)) }
    }

    /// This is served from now on.
    pub fn applied(&self, applied: Applied) {
        self.state.send_if_modified(|state| {
            state.change(|ack| {
                ack.applied = Some(applied);
                ack.rejected = None;
                true
            })
        });
    }

    /// Of what is served, this is not served now: something outside of the snapshot changed.
    pub fn refused(&self, refused: Vec<Refused>) {
        self.state.send_if_modified(|state| {
            state.change(|ack| match &mut ack.applied {
                Some(applied) if applied.refused != refused => {
                    applied.refused = refused;
                    true
                }
                _ => false,
            })
        });
    }

    /// The newest snapshot is not served. Says whether that is news.
    pub fn rejected(&self, rejected: Rejected) -> bool {
        self.state.send_if_modified(|state| {
            state.change(|ack| {
                let is_news = ack.rejected.as_ref() != Some(&rejected);
                if is_news {
                    ack.rejected = Some(rejected);
                }
                is_news
            })
        })
    }

    /// The newest snapshot is again the one that is served: what was refused in between is gone.
    pub fn no_longer_rejected(&self) {
        self.state.send_if_modified(|state| state.change(|ack| ack.rejected.take().is_some()));
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

    /// What is served, as it is sent.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.state.borrow().answer.clone()
    }

    /// What is served, as soon as that is another answer than the one with the tag `known`, or after `patience`.
    pub async fn answer_unless(&self, known: Hash, patience: Duration) -> Answer {
        let mut changes = self.state.subscribe();
        let is_news = changes.wait_for(|state| state.answer.tag != known);
        // The sender is this very object: it outlives the wait.
        let _ = tokio::time::timeout(patience, is_news).await;
        self.answer()
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
        let started = tokio::time::Instant::now();
        let mut known = progress.answer();
        assert_eq!(progress.answer_unless(known.tag, patience).await, known);
        assert_eq!(started.elapsed(), patience);

        let rejected = Rejected { hash: None, problem: "bad".to_owned() };
        let refused = Refused {
            kind: RefusedKind::Listener,
            name: "0.0.0.0_80".to_owned(),
            origin: String::new(),
            problem: "taken".to_owned(),
        };
        let changes: [&dyn Fn(); 4] = [
            &|| assert!(progress.rejected(rejected.clone())),
            &|| progress.refused(vec![refused.clone()]),
            &|| progress.applied(applied(b"two")),
            &|| assert!(progress.rejected(rejected.clone())),
        ];
        for change in changes {
            let (answer, ()) = tokio::join!(progress.answer_unless(known.tag, patience), async { change() });
            assert_ne!(answer, known);
            known = answer;
        }
        assert!(!progress.rejected(rejected.clone()), "the same again is no news");
        // What happened between two questions is told at once, also when the snapshot is still the same.
        progress.no_longer_rejected();
        let answer = progress.answer_unless(known.tag, patience).await;
        let ack: Ack = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!((ack.applied, ack.rejected), (Some(applied(b"two")), None));
        assert_eq!(started.elapsed(), patience, "only the first question waited");
    }
}
