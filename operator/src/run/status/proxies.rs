//! What the proxies say: every pod of every ingress is asked, ready or not, so that what one serves is known at the
//! moment at which it becomes ready.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use postern_snapshot::ack::Ack;
use postern_translate::IngressName;
use postern_translate::status::ProxyAck;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::ack;
use crate::run::state::Observed;

/// The proxies' status port, Istio's.
const STATUS_PORT: u16 = 15021;

/// A pod, by ingress and name.
pub(super) type PodKey = (IngressName, String);

/// What a pod said, or that it does not answer any more.
pub(super) struct Said {
    pod: PodKey,
    /// Which pod of this name.
    follower: u64,
    ack: Option<Arc<ProxyAck>>,
}

/// The pods that are asked.
pub(super) struct Proxies {
    sender: mpsc::UnboundedSender<Said>,
    followed: BTreeMap<PodKey, Followed>,
    followers: u64,
}

struct Followed {
    uid: String,
    ip: IpAddr,
    follower: u64,
    task: AbortHandle,
    ack: Option<Arc<ProxyAck>>,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Proxies {
    /// What pods say comes out of the channel, and is to be given to [`Self::hear`].
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Said>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self { sender, followed: BTreeMap::new(), followers: 0 }, receiver)
    }

    /// Asks the pods that there are now, and no others.
    pub(super) fn follow(&mut self, observed: &Observed) {
        let mut before = std::mem::take(&mut self.followed);
        for (ingress, running) in &observed.ingresses {
            for (name, pod) in &running.pods {
                let Some(ip) = pod.ip else { continue };
                let key = (ingress.clone(), name.clone());
                let known = before.remove(&key).filter(|known| known.uid == pod.uid && known.ip == ip);
                let followed = known.unwrap_or_else(|| self.start(key.clone(), &pod.uid, ip));
                self.followed.insert(key, followed);
            }
        }
    }

    fn start(&mut self, pod: PodKey, uid: &str, ip: IpAddr) -> Followed {
        self.followers += 1;
        let (sender, follower) = (self.sender.clone(), self.followers);
        let tell = move |ack: Option<Ack>| {
            let ack = ack.map(|ack| Arc::new(ProxyAck::from(ack)));
            // Nobody listens any more when everything ends.
            let _ = sender.send(Said { pod: pod.clone(), follower, ack });
        };
        let task = tokio::spawn(ack::follow(SocketAddr::new(ip, STATUS_PORT), tell)).abort_handle();
        Followed { uid: uid.to_owned(), ip, follower, task, ack: None }
    }

    /// Takes what a pod said.
    pub(super) fn hear(&mut self, said: Said) {
        if let Some(followed) = self.followed.get_mut(&said.pod)
            && followed.follower == said.follower
        {
            followed.ack = said.ack;
        }
    }

    /// What a pod said last.
    pub(super) fn ack(&self, pod: &PodKey) -> Option<&Arc<ProxyAck>> {
        self.followed.get(pod)?.ack.as_ref()
    }
}
